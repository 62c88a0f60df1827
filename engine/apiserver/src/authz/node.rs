//! The Node authorizer: a kubelet may read what the pods on its node refer to, and little else. Counterpart:
//! `plugin/pkg/auth/authorizer/node`, with selectors as 1.32 asks for them.
//!
//! Upstream keeps a graph from pods to what they name. Here the path is looked for in the caches of pods, claims and
//! volumes when it is asked for: nodes are few, and so are their pods.

use labkit_api::UserInfo;
use serde_json::Value;

use crate::authz::{Attributes, Decision, rbac};
use crate::kinds::{persistent_volume_claims, persistent_volumes, pods, volume_attachments};
use crate::registry::Registry;

const USER: &str = "system:node:";
const GROUP: &str = "system:nodes";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The node that the user is; `Some("")` for one of the nodes' group that has no node's name.
pub(crate) fn identity(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix(USER)?;
    user.groups.iter().any(|group| group == GROUP).then_some(name)
}

/// What the node's pods allow, and the rules of `system:node` for everything that is not told apart.
pub(crate) fn authorize(registry: &Registry, rules: &[Value], attributes: &Attributes) -> Decision {
    let no = |why: &str| Decision::NoOpinion(why.to_owned());
    let Some(node) = identity(&attributes.user) else { return no("") };
    if node.is_empty() {
        return Decision::NoOpinion(format!("unknown node for user {:?}", attributes.user.name));
    }
    let judged = match (attributes.group.as_str(), attributes.resource.as_str()) {
        _ if attributes.path.is_some() => None,
        ("", "secrets" | "configmaps") => Some(read_of_one(attributes)),
        ("", "persistentvolumeclaims") if attributes.subresource == "status" => {
            let may = matches!(attributes.verb.as_str(), "update" | "patch");
            Some(if may { Ok(Some(Related)) } else { Err("can only get/update/patch this type".to_owned()) })
        }
        ("", "persistentvolumeclaims" | "persistentvolumes") | ("storage.k8s.io", "volumeattachments") => {
            Some(get_of_one(attributes))
        }
        ("", "serviceaccounts") => Some(token(attributes)),
        ("coordination.k8s.io", "leases") => Some(lease(node, attributes)),
        ("storage.k8s.io", "csinodes") => Some(csi_node(node, attributes)),
        ("", "nodes") => Some(own_node(node, attributes)),
        ("", "pods") => Some(pod(node, attributes)),
        _ => None,
    };
    match judged {
        None if rules.iter().any(|rule| rbac::allows(rule, attributes)) => Decision::Allow(String::new()),
        None => no(""),
        Some(Err(why)) => Decision::NoOpinion(why),
        Some(Ok(None)) => Decision::Allow(String::new()),
        Some(Ok(Some(Related))) if attributes.name.is_empty() => no("No Object name found"),
        Some(Ok(Some(Related))) if is_related(registry, node, attributes) => Decision::Allow(String::new()),
        Some(Ok(Some(Related))) => {
            Decision::NoOpinion(format!("no relationship found between node '{node}' and this object"))
        }
    }
}

/// The object must be related to the node.
struct Related;

/// Allowed; allowed if related; or why not.
type Judged = Result<Option<Related>, String>;

fn refuse(why: &str) -> Judged {
    Err(why.to_owned())
}

fn read_of_one(attributes: &Attributes) -> Judged {
    match attributes.verb.as_str() {
        "get" | "list" | "watch" if !attributes.subresource.is_empty() => refuse("cannot read subresource"),
        "get" | "list" | "watch" if attributes.namespace.is_empty() => {
            refuse("can only read namespaced object of this type")
        }
        "get" | "list" | "watch" => Ok(Some(Related)),
        _ => refuse("can only read resources of this type"),
    }
}

fn get_of_one(attributes: &Attributes) -> Judged {
    match attributes.verb.as_str() {
        "get" if attributes.subresource.is_empty() => Ok(Some(Related)),
        "get" => refuse("cannot get subresource"),
        _ => refuse("can only get individual resources of this type"),
    }
}

fn token(attributes: &Attributes) -> Judged {
    if attributes.verb != "create" || attributes.name.is_empty() {
        return refuse("can only create tokens for individual service accounts");
    }
    if attributes.subresource != "token" {
        return refuse("can only create token subresource of serviceaccount");
    }
    Ok(Some(Related))
}

fn lease(node: &str, attributes: &Attributes) -> Judged {
    if !matches!(attributes.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a node lease");
    }
    if attributes.namespace != "kube-node-lease" {
        return refuse("can only access leases in the \"kube-node-lease\" system namespace");
    }
    if attributes.verb != "create" && attributes.name != node {
        return refuse("can only access node lease with the same name as the requesting node");
    }
    Ok(None)
}

fn csi_node(node: &str, attributes: &Attributes) -> Judged {
    if !matches!(attributes.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a CSINode");
    }
    if !attributes.subresource.is_empty() {
        return refuse("cannot authorize CSINode subresources");
    }
    if attributes.verb != "create" && attributes.name != node {
        return refuse("can only access CSINode with the same name as the requesting node");
    }
    Ok(None)
}

fn own_node(node: &str, attributes: &Attributes) -> Judged {
    match (attributes.subresource.as_str(), attributes.verb.as_str(), attributes.name.as_str()) {
        ("", "create" | "update" | "patch", _) | ("status", "update" | "patch", _) => Ok(None),
        ("", "get" | "list" | "watch", name) if name == node => Ok(None),
        ("", "get" | "list" | "watch", "") => {
            Err(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch", other) => {
            Err(format!("node '{node}' cannot read '{other}', only its own Node object"))
        }
        _ => refuse(""),
    }
}

fn pod(node: &str, attributes: &Attributes) -> Judged {
    let selects_own =
        || attributes.selected.iter().any(|(field, value)| field == "spec.nodeName" && value == node);
    match (attributes.subresource.as_str(), attributes.verb.as_str()) {
        ("", "get") => Ok(Some(Related)),
        ("", "list" | "watch") if selects_own() => Ok(None),
        ("", "list" | "watch") if !attributes.name.is_empty() => Ok(Some(Related)),
        ("", "list" | "watch") => refuse("can only list/watch pods with spec.nodeName field selector"),
        ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(None),
        _ => refuse(""),
    }
}

/// Whether a path leads from the object over a pod to the node.
fn is_related(registry: &Registry, node: &str, attributes: &Attributes) -> bool {
    let (namespace, name) = (attributes.namespace.as_str(), attributes.name.as_str());
    match attributes.resource.as_str() {
        "pods" => {
            let pod = registry.cache(&pods::KIND).get(&format!("{namespace}/{name}"));
            pod.is_some_and(|pod| pod.object().str_at(&["spec", "nodeName"]) == Some(node))
        }
        "volumeattachments" => {
            let attachment = registry.start(&volume_attachments::KIND).get(name);
            attachment.is_some_and(|found| found.object().str_at(&["spec", "nodeName"]) == Some(node))
        }
        "serviceaccounts" => {
            is_named(registry, node, namespace, |pod, _| text(pod, "serviceAccountName") == name)
        }
        "persistentvolumeclaims" => is_claimed(registry, node, namespace, name),
        "persistentvolumes" => {
            let volume = registry.start(&persistent_volumes::KIND).get(name);
            volume.is_some_and(|volume| leads_to(registry, node, volume.object().at(&["spec", "claimRef"])))
        }
        "configmaps" => is_named(registry, node, namespace, |pod, _| names_config_map(pod, name)),
        _ => {
            is_named(registry, node, namespace, |pod, _| names_secret(pod, name))
                || is_secret_of_a_volume(registry, node, namespace, name)
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a pod of that namespace on the node, which is no mirror of a static one, names what is looked for.
fn is_named(registry: &Registry, node: &str, namespace: &str, names: impl Fn(&Value, &str) -> bool) -> bool {
    let (all, ..) = registry.cache(&pods::KIND).snapshot(&format!("{namespace}/"));
    all.iter().any(|entry| {
        let pod = entry.object();
        pod.str_at(&["spec", "nodeName"]) == Some(node)
            && !pod.metadata.annotations.contains_key(MIRROR)
            && pod.rest.get("spec").is_some_and(|spec| names(spec, &pod.metadata.name))
    })
}

fn is_claimed(registry: &Registry, node: &str, namespace: &str, claim: &str) -> bool {
    is_named(registry, node, namespace, |pod, pod_name| {
        volumes(pod).any(|volume| match volume.get("persistentVolumeClaim") {
            Some(source) => text(source, "claimName") == claim,
            None => {
                volume.get("ephemeral").is_some()
                    && claim.strip_prefix(pod_name).and_then(|rest| rest.strip_prefix('-'))
                        == Some(text(volume, "name"))
            }
        })
    })
}

/// Whether the claim of a volume is used on the node, and is there.
fn leads_to(registry: &Registry, node: &str, claim: Option<&Value>) -> bool {
    let Some(claim) = claim else { return false };
    let (namespace, name) = (text(claim, "namespace"), text(claim, "name"));
    let exists =
        registry.start(&persistent_volume_claims::KIND).get(&format!("{namespace}/{name}")).is_some();
    exists && is_claimed(registry, node, namespace, name)
}

fn is_secret_of_a_volume(registry: &Registry, node: &str, namespace: &str, name: &str) -> bool {
    let (all, ..) = registry.start(&persistent_volumes::KIND).snapshot("");
    all.iter().any(|entry| {
        let volume = entry.object();
        let Some(spec) = volume.rest.get("spec") else { return false };
        let claim = spec.get("claimRef");
        let of_claim = claim.map(|claim| text(claim, "namespace")).unwrap_or_default();
        let names = spec.as_object().into_iter().flatten().any(|(_, source)| {
            let fields = source.as_object().into_iter().flatten();
            let mut references = fields.filter(|(field, _)| field.ends_with("ecretRef"));
            references.any(|(_, reference)| {
                let own = Some(text(reference, "namespace")).filter(|own| !own.is_empty());
                text(reference, "name") == name && own.unwrap_or(of_claim) == namespace
            })
        });
        names && leads_to(registry, node, claim)
    })
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn volumes(pod: &Value) -> impl Iterator<Item = &Value> {
    items(pod, "volumes")
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers", "ephemeralContainers"].into_iter().flat_map(|field| items(pod, field))
}

/// Whether a container takes a variable, or all of them, from that object.
fn is_in_environment(pod: &Value, key_reference: &str, reference: &str, name: &str) -> bool {
    containers(pod).any(|container| {
        let one =
            items(container, "env").filter_map(|variable| variable.get("valueFrom")?.get(key_reference));
        let all = items(container, "envFrom").filter_map(|from| from.get(reference));
        one.chain(all).any(|from| text(from, "name") == name)
    })
}

/// Whether a volume, itself or among its projected sources, is that object.
fn is_projected(pod: &Value, field: &str, name: &str) -> bool {
    let projected = volumes(pod).filter_map(|volume| volume.get("projected"));
    projected
        .flat_map(|projected| items(projected, "sources"))
        .filter_map(|source| source.get(field))
        .any(|source| text(source, "name") == name)
}

pub(crate) fn names_config_map(pod: &Value, name: &str) -> bool {
    is_in_environment(pod, "configMapKeyRef", "configMapRef", name)
        || is_projected(pod, "configMap", name)
        || volumes(pod)
            .any(|volume| volume.get("configMap").is_some_and(|source| text(source, "name") == name))
}

pub(crate) fn names_secret(pod: &Value, name: &str) -> bool {
    let of_volume = |volume: &Value| {
        volume.as_object().into_iter().flatten().any(|(_, source)| {
            let references = ["secretRef", "nodePublishSecretRef"].into_iter();
            text(source, "secretName") == name
                || references.filter_map(|field| source.get(field)).any(|found| text(found, "name") == name)
        })
    };
    items(pod, "imagePullSecrets").any(|secret| text(secret, "name") == name)
        || is_in_environment(pod, "secretKeyRef", "secretRef", name)
        || is_projected(pod, "secret", name)
        || volumes(pod).any(of_volume)
}

/// What a pod refers to at all: `secrets`, `configmaps`, `persistentvolumeclaims`.
pub(crate) fn references(pod: &Value) -> Option<&'static str> {
    let environment = |key: &str, all: &str| {
        containers(pod).any(|container| {
            items(container, "env")
                .any(|one| one.get("valueFrom").is_some_and(|from| from.get(key).is_some()))
                || items(container, "envFrom").any(|from| from.get(all).is_some())
        })
    };
    let volume = |field: &str| {
        volumes(pod).any(|volume| {
            volume.get(field).is_some()
                || volume.get("projected").is_some_and(|projected| {
                    items(projected, "sources").any(|source| source.get(field).is_some())
                })
        })
    };
    if items(pod, "imagePullSecrets").next().is_some()
        || environment("secretKeyRef", "secretRef")
        || volume("secret")
    {
        Some("secrets")
    } else if environment("configMapKeyRef", "configMapRef") || volume("configMap") {
        Some("configmaps")
    } else if volume("persistentVolumeClaim") || volume("ephemeral") {
        Some("persistentvolumeclaims")
    } else {
        None
    }
}
