//! Roles. Counterpart: `pkg/registry/rbac/role`, `pkg/apis/rbac/validation`.

use k8s_openapi::api::rbac::v1::Role;
use labkit_api::{Object, StatusCause};
use serde_json::Value;

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::pod_spec::list;

pub(crate) static KIND: Kind = Kind::of::<Role>(&Roles);

struct Roles;

impl Strategy for Roles {
    fn validate_name(&self, name: &str) -> Vec<String> {
        labkit_api::validation::is_path_segment_name(name)
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        validate_rules(object, true)
    }
}

/// Each rule has verbs, and either groups and resources or, in a ClusterRole, URLs.
pub(crate) fn validate_rules(object: &Object, is_namespaced: bool) -> Vec<StatusCause> {
    let rules = object.rest.get("rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut errors = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let path = |name: &str| format!("rules[{index}].{name}");
        if list(rule, "verbs").is_empty() {
            errors.push(field::required(path("verbs"), "verbs must contain at least one value"));
        }
        if !list(rule, "nonResourceURLs").is_empty() {
            let shown = field::Shown::literal(rule["nonResourceURLs"].to_string());
            if is_namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                errors.push(field::invalid(path("nonResourceURLs"), shown, detail));
            } else if ["apiGroups", "resources", "resourceNames"]
                .iter()
                .any(|name| !list(rule, name).is_empty())
            {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(field::invalid(path("nonResourceURLs"), shown, detail));
            }
            continue;
        }
        if list(rule, "apiGroups").is_empty() {
            errors.push(field::required(
                path("apiGroups"),
                "resource rules must supply at least one api group",
            ));
        }
        if list(rule, "resources").is_empty() {
            errors
                .push(field::required(path("resources"), "resource rules must supply at least one resource"));
        }
    }
    errors
}
