//! Nobody grants what they do not hold: roles and bindings are compared with the rules of whoever writes them.
//! Counterpart: `pkg/registry/rbac/escalation_check.go`, `validation.ConfirmNoEscalation`.

use std::collections::BTreeMap;

use labkit_api::{Object, Status, UserInfo};
use serde_json::{Value, json};

use crate::authz::rbac::{covers_resource, covers_url, names, own_rules, rules_of, rules_of_role};
use crate::authz::{Attributes, Decision};
use crate::guard::Guard;
use crate::kinds::{Kind, cluster_role_bindings, cluster_roles, role_bindings, roles};
use crate::pod_spec::list;

/// Refuses a role or a binding that grants more than its writer has.
pub(crate) fn check(
    guard: &Guard,
    user: &UserInfo,
    kind: &'static Kind,
    object: &Object,
) -> Result<(), Status> {
    let is = |other: &'static Kind| std::ptr::eq(kind, other);
    let (is_role, is_binding) = (
        is(&roles::KIND) || is(&cluster_roles::KIND),
        is(&role_bindings::KIND) || is(&cluster_role_bindings::KIND),
    );
    if !(is_role || is_binding)
        || !guard.has_rbac()
        || user.groups.iter().any(|group| group == "system:masters")
    {
        return Ok(());
    }
    let (verb, resource, name) = if is_role {
        ("escalate", kind.plural, object.metadata.name.as_str())
    } else {
        let of_role = object.str_at(&["roleRef", "kind"]) == Some("Role");
        (
            "bind",
            if of_role { "roles" } else { "clusterroles" },
            object.str_at(&["roleRef", "name"]).unwrap_or_default(),
        )
    };
    let namespace = object.metadata.namespace.as_str();
    let may = Attributes {
        user: user.clone(),
        verb: verb.to_owned(),
        group: kind.group.to_owned(),
        resource: resource.to_owned(),
        subresource: String::new(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        selected: Vec::new(),
        path: None,
    };
    if matches!(guard.decide(&may), Decision::Allow(_)) {
        return Ok(());
    }
    let forbidden = |why: &str| Err(Status::forbidden(&kind.resource(), &object.metadata.name, why));
    let granted = match is_role {
        true => own_rules(object),
        false => match rules_of_role(&guard.registry, object) {
            Ok(rules) => rules,
            Err(error) => return forbidden(&error),
        },
    };
    let (held, _) = rules_of(&guard.registry, user, namespace);
    let missing = missing(&granted, &held);
    if missing.is_empty() {
        return Ok(());
    }
    let groups: Vec<String> = user.groups.iter().map(|group| crate::field::quoted(group)).collect();
    forbidden(&format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        missing.join("\n")
    ))
}

/// What of the granted rules no held rule covers, as messages have it.
fn missing(granted: &[Value], held: &[Value]) -> Vec<String> {
    let mut verbs_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in granted.iter().flat_map(parts) {
        if held.iter().any(|rule| covers(rule, &part)) {
            continue;
        }
        let shown = match &part.url {
            Some(url) => format!("NonResourceURLs:[{url:?}]"),
            None => {
                let names =
                    part.name.as_ref().map(|name| format!(", ResourceNames:[{name:?}]")).unwrap_or_default();
                format!("APIGroups:[{:?}], Resources:[{:?}]{names}", part.group, part.resource)
            }
        };
        verbs_of.entry(shown).or_default().push(format!("{:?}", part.verb));
    }
    verbs_of.into_iter().map(|(what, verbs)| format!("{{{what}, Verbs:[{}]}}", verbs.join(" "))).collect()
}

/// The smallest part of a rule: one verb on one thing.
struct Part {
    verb: String,
    group: String,
    resource: String,
    name: Option<String>,
    url: Option<String>,
}

fn parts(rule: &Value) -> Vec<Part> {
    let texts = |field: &str| -> Vec<String> {
        list(rule, field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let names: Vec<Option<String>> = match texts("resourceNames") {
        none if none.is_empty() => vec![None],
        names => names.into_iter().map(Some).collect(),
    };
    let mut parts = Vec::new();
    for verb in texts("verbs") {
        for url in texts("nonResourceURLs") {
            let (group, resource) = (String::new(), String::new());
            parts.push(Part { verb: verb.clone(), group, resource, name: None, url: Some(url) });
        }
        for group in texts("apiGroups") {
            for resource in texts("resources") {
                for name in &names {
                    let (verb, group) = (verb.clone(), group.clone());
                    parts.push(Part {
                        verb,
                        group,
                        resource: resource.clone(),
                        name: name.clone(),
                        url: None,
                    });
                }
            }
        }
    }
    parts
}

fn covers(rule: &Value, part: &Part) -> bool {
    if !names(rule, "verbs", &part.verb) {
        return false;
    }
    if let Some(url) = &part.url {
        return list(rule, "nonResourceURLs")
            .iter()
            .filter_map(Value::as_str)
            .any(|held| covers_url(held, url));
    }
    let (resource, subresource) = part.resource.split_once('/').unwrap_or((&part.resource, ""));
    let own_names = list(rule, "resourceNames");
    names(rule, "apiGroups", &part.group)
        && covers_resource(rule, resource, subresource)
        && (own_names.is_empty() || part.name.as_ref().is_some_and(|name| own_names.contains(&json!(name))))
}
