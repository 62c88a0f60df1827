//! RoleBindings. Counterpart: `pkg/registry/rbac/rolebinding`, `pkg/apis/rbac/validation`.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::RoleBinding;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field::{self, Shown};
use crate::kinds::{Kind, Strategy};
use crate::pod_spec::text as text_of;
use crate::table::{self, AGE, Column, text, wide};

pub(crate) static KIND: Kind = Kind { columns: COLUMNS, ..Kind::of::<RoleBinding>(&RoleBindings) };

pub(crate) const COLUMNS: &[Column] = &[
    text("Role", "The role that is granted."),
    AGE,
    wide("Users", "Users that it is granted to."),
    wide("Groups", "Groups that it is granted to."),
    wide("ServiceAccounts", "Service accounts that it is granted to."),
];

const GROUP: &str = "rbac.authorization.k8s.io";
const SUBJECTS: &[&str] = &["ServiceAccount", "User", "Group"];

struct RoleBindings;

impl Strategy for RoleBindings {
    fn set_defaults(&self, object: &mut Object) {
        set_defaults(object);
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        labkit_api::validation::is_path_segment_name(name)
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        validate(object, &["Role", "ClusterRole"])
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        validate_update(object, old)
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        cells(object, now)
    }
}

fn subjects(object: &Object) -> &[Value] {
    object.rest.get("subjects").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn set_defaults(object: &mut Object) {
    if let Some(role) = object.rest.entry("roleRef").or_insert_with(|| json!({})).as_object_mut()
        && role.get("apiGroup").is_none_or(|group| group == "")
    {
        role.insert("apiGroup".to_owned(), json!(GROUP));
    }
    for subject in object.rest.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if matches!(text_of(subject, "kind"), "User" | "Group") && text_of(subject, "apiGroup").is_empty() {
            subject["apiGroup"] = json!(GROUP);
        }
    }
}

pub(crate) fn validate(object: &Object, roles: &[&str]) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let role = |name: &str| object.str_at(&["roleRef", name]).unwrap_or_default();
    if role("apiGroup") != GROUP {
        errors.push(field::not_supported("roleRef.apiGroup", role("apiGroup"), &[GROUP]));
    }
    if !roles.contains(&role("kind")) {
        errors.push(field::not_supported("roleRef.kind", role("kind"), roles));
    }
    match role("name") {
        "" => errors.push(field::required("roleRef.name", "")),
        name => {
            let complaints = labkit_api::validation::is_path_segment_name(name);
            errors.extend(field::invalid_all("roleRef.name", name, complaints));
        }
    }
    for (index, subject) in subjects(object).iter().enumerate() {
        let path = |name: &str| format!("subjects[{index}].{name}");
        if text_of(subject, "name").is_empty() {
            errors.push(field::required(path("name"), ""));
        }
        let group = text_of(subject, "apiGroup");
        match text_of(subject, "kind") {
            "ServiceAccount" => {
                if !group.is_empty() {
                    errors.push(field::not_supported(path("apiGroup"), group, &[""]));
                }
                // In a RoleBinding too: the namespace of a service account is never understood.
                if text_of(subject, "namespace").is_empty() {
                    errors.push(field::required(path("namespace"), ""));
                }
            }
            "User" | "Group" => {
                if group != GROUP {
                    errors.push(field::not_supported(path("apiGroup"), group, &[GROUP]));
                }
            }
            other => errors.push(field::not_supported(path("kind"), other, SUBJECTS)),
        }
    }
    errors
}

/// What a binding grants never changes.
pub(crate) fn validate_update(object: &Object, old: &Object) -> Vec<StatusCause> {
    if object.rest.get("roleRef") == old.rest.get("roleRef") {
        return Vec::new();
    }
    let role = |name: &str| field::quoted(object.str_at(&["roleRef", name]).unwrap_or_default());
    let shown = format!(
        "rbac.RoleRef{{APIGroup:{}, Kind:{}, Name:{}}}",
        role("apiGroup"),
        role("kind"),
        role("name")
    );
    vec![field::invalid("roleRef", Shown::literal(shown), "cannot change roleRef")]
}

pub(crate) fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let role = |name: &str| object.str_at(&["roleRef", name]).unwrap_or_default();
    let named = |kind: &str| {
        let of_kind = subjects(object).iter().filter(|subject| text_of(subject, "kind") == kind);
        let name = |subject: &Value| match (kind, text_of(subject, "namespace"), text_of(subject, "name")) {
            ("ServiceAccount", namespace, name) => format!("{namespace}/{name}"),
            (_, _, name) => name.to_owned(),
        };
        json!(of_kind.map(name).collect::<Vec<_>>().join(", "))
    };
    vec![
        json!(format!("{}/{}", role("kind"), role("name"))),
        table::age(object, now),
        named("User"),
        named("Group"),
        named("ServiceAccount"),
    ]
}
