//! RBAC: what bindings grant, from the caches of roles and bindings. Counterpart:
//! `plugin/pkg/auth/authorizer/rbac`, `pkg/registry/rbac/validation`.
//!
//! A ClusterRole with an aggregation rule grants what its `rules` say: a controller fills them in.

use labkit_api::{Object, UserInfo};
use serde_json::Value;

use crate::authn::service_account::user_name;
use crate::authz::{Attributes, Decision};
use crate::kinds::{cluster_role_bindings, cluster_roles, role_bindings, roles};
use crate::pod_spec::{list, text};
use crate::registry::Registry;

/// The group of those who may do everything, whatever the bindings say.
const MASTERS: &str = "system:masters";

/// What the roles of the user allow.
pub(crate) fn authorize(registry: &Registry, attributes: &Attributes) -> Decision {
    if attributes.user.groups.iter().any(|group| group == MASTERS) {
        return Decision::Allow(String::new());
    }
    let mut allowed = None;
    let errors = visit(registry, &attributes.user, &attributes.namespace, |source, rule| {
        if allows(rule, attributes) {
            allowed = Some(source());
        }
        allowed.is_none()
    });
    match allowed {
        Some(source) => Decision::Allow(format!("RBAC: allowed by {source}")),
        None if errors.is_empty() => Decision::NoOpinion(String::new()),
        None => Decision::NoOpinion(match errors.as_slice() {
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        }),
    }
}

/// Every rule that holds for the user there, each once for every binding that grants it.
pub(crate) fn rules_of(registry: &Registry, user: &UserInfo, namespace: &str) -> (Vec<Value>, Vec<String>) {
    let mut rules = Vec::new();
    let errors = visit(registry, user, namespace, |_, rule| {
        rules.push(rule.clone());
        true
    });
    (rules, errors)
}

/// Shows each rule of the user, with what grants it, until `see` has seen enough. Returns what could not be resolved.
fn visit(
    registry: &Registry,
    user: &UserInfo,
    namespace: &str,
    mut see: impl FnMut(&dyn Fn() -> String, &Value) -> bool,
) -> Vec<String> {
    let mut errors = Vec::new();
    let (cluster_bindings, ..) = registry.cache(&cluster_role_bindings::KIND).snapshot("");
    let bindings = match namespace {
        "" => Vec::new(),
        namespace => registry.cache(&role_bindings::KIND).snapshot(&format!("{namespace}/")).0,
    };
    for entry in cluster_bindings.iter().chain(&bindings) {
        let binding = &*entry.object();
        let Some(subject) = subject_of(binding, user) else { continue };
        let rules = match rules_of_role(registry, binding) {
            Ok(rules) => rules,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let source = || describe(binding, subject);
        if rules.iter().any(|rule| !see(&source, rule)) {
            break;
        }
    }
    errors
}

/// `ClusterRoleBinding "cluster-admin" of ClusterRole "cluster-admin" to Group "admins"`
fn describe(binding: &Object, subject: &Value) -> String {
    let meta = &binding.metadata;
    let name = match meta.namespace.as_str() {
        "" => meta.name.clone(),
        namespace => format!("{}/{namespace}", meta.name),
    };
    let who = match text(subject, "kind") {
        "ServiceAccount" => format!("{}/{}", text(subject, "name"), text(subject, "namespace")),
        _ => text(subject, "name").to_owned(),
    };
    let role = |field: &str| binding.str_at(&["roleRef", field]).unwrap_or_default();
    format!(
        "{} {name:?} of {} {:?} to {} {who:?}",
        binding.kind,
        role("kind"),
        role("name"),
        text(subject, "kind")
    )
}

/// The subject of the binding that the user is.
fn subject_of<'a>(binding: &'a Object, user: &UserInfo) -> Option<&'a Value> {
    let subjects = binding.rest.get("subjects").and_then(Value::as_array)?;
    subjects.iter().find(|subject| match text(subject, "kind") {
        "User" => text(subject, "name") == user.name,
        "Group" => user.groups.iter().any(|group| group == text(subject, "name")),
        "ServiceAccount" => {
            let namespace = match text(subject, "namespace") {
                "" => &binding.metadata.namespace,
                namespace => namespace,
            };
            user.name == user_name(namespace, text(subject, "name"))
        }
        _ => false,
    })
}

/// The rules of the role that a binding refers to.
pub(crate) fn rules_of_role(registry: &Registry, binding: &Object) -> Result<Vec<Value>, String> {
    let name = binding.str_at(&["roleRef", "name"]).unwrap_or_default();
    if binding.str_at(&["roleRef", "kind"]) == Some("Role") {
        let key = format!("{}/{name}", binding.metadata.namespace);
        let role = registry.cache(&roles::KIND).get(&key);
        let role = role.ok_or_else(|| format!("role.rbac.authorization.k8s.io {name:?} not found"))?;
        return Ok(own_rules(&role.object()));
    }
    let role = registry.cache(&cluster_roles::KIND).get(name);
    let role = role.ok_or_else(|| format!("clusterrole.rbac.authorization.k8s.io {name:?} not found"))?;
    Ok(own_rules(&role.object()))
}

pub(crate) fn own_rules(role: &Object) -> Vec<Value> {
    role.rest.get("rules").and_then(Value::as_array).cloned().unwrap_or_default()
}

pub(crate) fn allows(rule: &Value, attributes: &Attributes) -> bool {
    if !names(rule, "verbs", &attributes.verb) {
        return false;
    }
    if let Some(path) = &attributes.path {
        return list(rule, "nonResourceURLs")
            .iter()
            .filter_map(Value::as_str)
            .any(|url| covers_url(url, path));
    }
    let resource_names = list(rule, "resourceNames");
    names(rule, "apiGroups", &attributes.group)
        && covers_resource(rule, &attributes.resource, &attributes.subresource)
        && (resource_names.is_empty() || resource_names.iter().any(|name| *name == *attributes.name))
}

/// Whether the list names it, or everything.
pub(crate) fn names(rule: &Value, field: &str, wanted: &str) -> bool {
    list(rule, field).iter().filter_map(Value::as_str).any(|name| name == "*" || name == wanted)
}

/// `*`, `pods`, `pods/log`, `*/log`.
pub(crate) fn covers_resource(rule: &Value, resource: &str, subresource: &str) -> bool {
    list(rule, "resources").iter().filter_map(Value::as_str).any(|named| match named.split_once('/') {
        _ if named == "*" => true,
        None => named == resource && subresource.is_empty(),
        Some((of, sub)) => sub == subresource && !subresource.is_empty() && (of == "*" || of == resource),
    })
}

/// `/healthz`, `/healthz/*`, `*`.
pub(crate) fn covers_url(rule: &str, path: &str) -> bool {
    rule == "*" || rule == path || rule.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}
