//! NodeRestriction: a kubelet changes its own node and the pods on it, and no others. Off unless it is enabled, as
//! upstream. Counterpart: `plugin/pkg/admission/noderestriction`.

use std::collections::BTreeSet;
use std::sync::Arc;

use labkit_api::{Object, Status, Verb};
use serde_json::Value;

use crate::authz::node::{identity, references};
use crate::kinds::{Kind, Subresource, csi_nodes, leases, nodes, pods, service_accounts};
use crate::storage::relative_key;
use crate::verbs::Call;

const MIRROR: &str = "kubernetes.io/config.mirror";
/// Labels of these names a node may set, though their domains are the system's.
const OWN_LABELS: &[&str] = &[
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/instance-type",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
const OWN_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Refuses what the request's user, if it is a node, may not do to the object. `object` is none for a deletion.
pub(crate) fn check(call: &Call, verb: Verb, object: Option<&Object>) -> Result<(), Status> {
    let Some(node) = identity(&call.user) else { return Ok(()) };
    let (kind, subresource) = (call.info.kind.stored(), call.info.subresource);
    let own_name = object.map(|object| object.metadata.name.as_str()).unwrap_or_default();
    let name = if call.info.name.is_empty() { own_name } else { &call.info.name };
    let is = |other: &'static Kind| std::ptr::eq(kind, other);
    let judged = if node.is_empty() {
        Err(format!("could not determine node from user {:?}", call.user.name))
    } else if is(&pods::KIND) {
        of_pod(call, node, name, verb, object)
    } else if is(&nodes::KIND) {
        of_node(call, node, name, verb, object)
    } else if is(&service_accounts::KIND) && subresource == Some(Subresource::Token) {
        of_token(call, node, object)
    } else if is(&leases::KIND) {
        of_lease(call, node, name)
    } else if is(&csi_nodes::KIND) && name != node {
        Err("can only access CSINode with the same name as the requesting node".to_owned())
    } else {
        Ok(())
    };
    judged.map_err(|why| Status::forbidden(&kind.resource(), name, &why))
}

fn present(call: &Call, kind: &'static Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
    call.registry.cache(kind).get(&relative_key(kind, namespace, name)).map(|entry| entry.object())
}

fn of_pod(call: &Call, node: &str, name: &str, verb: Verb, object: Option<&Object>) -> Result<(), String> {
    let before = || present(call, &pods::KIND, &call.info.namespace, name);
    let is_own = |pod: &Object| pod.str_at(&["spec", "nodeName"]) == Some(node);
    let own_or = |what: &str| match before() {
        Some(pod) if !is_own(&pod) => {
            Err(format!("node {node:?} can only {what} spec.nodeName set to itself"))
        }
        _ => Ok(()),
    };
    match (call.info.subresource, verb) {
        (None, Verb::Create) => object.map_or(Ok(()), |pod| mirror_pod(call, node, pod)),
        (None, Verb::Delete) => own_or("delete pods with"),
        (Some(Subresource::Status), _) => {
            own_or("update pod status for pods with")?;
            let labels = |pod: &Object| pod.metadata.labels.clone();
            match (before(), object) {
                (Some(before), Some(after)) if labels(&before) != labels(after) => {
                    Err(format!("node {node:?} cannot update labels through pod status"))
                }
                _ => Ok(()),
            }
        }
        (Some(Subresource::Eviction), _) => own_or("evict pods with"),
        (Some(other), _) => Err(format!(
            "unexpected pod subresource {:?}, only 'status' and 'eviction' are allowed",
            other.name()
        )),
        (None, other) => Err(format!("unexpected operation {:?}", other.as_str().to_uppercase())),
    }
}

fn mirror_pod(call: &Call, node: &str, pod: &Object) -> Result<(), String> {
    if !pod.metadata.annotations.contains_key(MIRROR) {
        return Err(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if pod.str_at(&["spec", "nodeName"]) != Some(node) {
        return Err(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owners = &pod.metadata.owner_references;
    let uid = present(call, &nodes::KIND, "", node).map(|node| node.metadata.uid.clone());
    let is_node = |owner: &labkit_api::OwnerReference| {
        owner.api_version == "v1"
            && owner.kind == "Node"
            && owner.name == node
            && Some(&owner.uid) == uid.as_ref()
    };
    match owners.as_slice() {
        [one] if is_node(one) && one.controller != Some(true) => {
            return Err(format!(
                "node {node:?} can only create pods with a controller reference set to itself"
            ));
        }
        [one] if is_node(one) && one.block_owner_deletion == Some(true) => {
            return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
        }
        [one] if is_node(one) => {}
        _ => {
            return Err(format!(
                "node {node:?} can only create pods with a single owner reference set to itself"
            ));
        }
    }
    let spec = pod.rest.get("spec").unwrap_or(&Value::Null);
    let account = spec.get("serviceAccountName").and_then(Value::as_str).unwrap_or_default();
    if !account.is_empty() {
        return Err(format!("node {node:?} can not create pods that reference a service account"));
    }
    match references(spec) {
        Some(what) => Err(format!("node {node:?} can not create pods that reference {what}")),
        None => Ok(()),
    }
}

fn of_node(call: &Call, node: &str, name: &str, verb: Verb, object: Option<&Object>) -> Result<(), String> {
    if name != node {
        return Err(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    let Some(after) = object else { return Ok(()) };
    let before = present(call, &nodes::KIND, "", node).filter(|_| verb != Verb::Create);
    let labels = |key: &str| before.as_ref().and_then(|before| before.metadata.labels.get(key));
    let all = after.metadata.labels.keys().chain(before.iter().flat_map(|old| old.metadata.labels.keys()));
    let changed: BTreeSet<&String> =
        all.filter(|key| after.metadata.labels.get(*key) != labels(key) && !is_own_label(key)).collect();
    let changed: Vec<&str> = changed.into_iter().map(String::as_str).collect();
    let Some(before) = &before else {
        return match changed.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "node {node:?} is not allowed to set the following labels: {}",
                changed.join(", ")
            )),
        };
    };
    let taints = |node: &Object| node.at(&["spec", "taints"]).cloned();
    if taints(after) != taints(before) {
        return Err(format!("node {node:?} is not allowed to modify taints"));
    }
    if !changed.is_empty() {
        return Err(format!("is not allowed to modify labels: {}", changed.join(", ")));
    }
    if after.metadata.owner_references != before.metadata.owner_references {
        return Err(format!("node {node:?} is not allowed to modify ownerReferences"));
    }
    Ok(())
}

/// Whether a node may set the label: one of no domain of the system's, or one of those that describe nodes.
fn is_own_label(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_in = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    if is_in("node-restriction.kubernetes.io") {
        return false;
    }
    let of_system = is_in("kubernetes.io") || is_in("k8s.io");
    !of_system || OWN_LABELS.contains(&key) || OWN_PREFIXES.iter().any(|own| is_in(own))
}

fn of_token(call: &Call, node: &str, object: Option<&Object>) -> Result<(), String> {
    let bound = |field: &str| {
        object.and_then(|request| request.str_at(&["spec", "boundObjectRef", field])).unwrap_or_default()
    };
    if bound("kind") != "Pod" || bound("name").is_empty() {
        return Err("node requested token not bound to a pod".to_owned());
    }
    if bound("uid").is_empty() {
        return Err("node requested token with a pod binding without a uid".to_owned());
    }
    let pod = present(call, &pods::KIND, &call.info.namespace, bound("name"));
    let pod = pod.ok_or_else(|| format!("pod {:?} not found", bound("name")))?;
    if pod.metadata.uid != bound("uid") {
        let (asked, found) = (bound("uid"), &pod.metadata.uid);
        return Err(format!(
            "the UID in the bound object reference ({asked}) does not match the UID in record ({found}). The object might have been deleted and then recreated"
        ));
    }
    match pod.str_at(&["spec", "nodeName"]) == Some(node) {
        true => Ok(()),
        false => Err("node requested token bound to a pod scheduled on a different node".to_owned()),
    }
}

fn of_lease(call: &Call, node: &str, name: &str) -> Result<(), String> {
    if call.info.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".to_owned());
    }
    match name == node {
        true => Ok(()),
        false => Err("can only access node lease with the same name as the requesting node".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_own_label;

    #[test]
    fn nodes_set_labels_that_describe_them_and_those_of_nobody() {
        for own in
            ["a", "example.com/a", "kubernetes.io/os", "node.kubernetes.io/x", "a.kubelet.kubernetes.io/x"]
        {
            assert!(is_own_label(own), "{own}");
        }
        for not in
            ["node-restriction.kubernetes.io/a", "kubernetes.io/a", "node-role.kubernetes.io/a", "x.k8s.io/a"]
        {
            assert!(!is_own_label(not), "{not}");
        }
    }
}
