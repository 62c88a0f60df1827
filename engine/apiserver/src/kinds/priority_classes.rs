//! PriorityClasses. Counterpart: `pkg/registry/scheduling/priorityclass`.

use jiff::Timestamp;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::table::{self, AGE, Column, number, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["pc"],
    columns: &[
        number("Value", "The priority of pods of this class."),
        Column {
            format: "boolean",
            ..text("Global-Default", "Whether pods without a class are of this one.")
        },
        AGE,
        text("PreemptionPolicy", "Whether pods of this class push others out."),
    ],
    ..Kind::of::<PriorityClass>(&PriorityClasses)
};

/// `scheduling.HighestUserDefinablePriority`.
const VALUE_MAX: i64 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";
const PREEMPTION_POLICIES: &[&str] = &["Never", "PreemptLowerPriority"];

struct PriorityClasses;

impl Strategy for PriorityClasses {
    fn set_defaults(&self, object: &mut Object) {
        object.rest.entry("preemptionPolicy").or_insert(json!("PreemptLowerPriority"));
        object.rest.entry("value").or_insert(json!(0));
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.metadata.generation = 1;
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        if object.metadata.name.starts_with(SYSTEM_PREFIX) {
            let detail = "priority class names with 'system-' prefix are reserved for system use only";
            errors.push(field::forbidden("metadata.name", detail));
        }
        if object.i64_at(&["value"]).is_some_and(|value| value > VALUE_MAX) {
            let detail = format!("maximum allowed value of a user defined priority is {VALUE_MAX}");
            errors.push(field::forbidden("value", &detail));
        }
        let policy = object.str_at(&["preemptionPolicy"]).unwrap_or_default();
        if !PREEMPTION_POLICIES.contains(&policy) {
            errors.push(field::not_supported("preemptionPolicy", policy, PREEMPTION_POLICIES));
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let null = Value::Null;
        let of = |object: &Object, name: &str| object.rest.get(name).unwrap_or(&null).clone();
        let mut errors = Vec::new();
        if of(object, "value") != of(old, "value") {
            errors.push(field::forbidden("value", "may not be changed in an update."));
        }
        let name = "preemptionPolicy";
        errors.extend(field::immutable(name, &of(object, name), &of(old, name)));
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![
            json!(object.i64_at(&["value"]).unwrap_or_default()),
            json!(object.at(&["globalDefault"]) == Some(&json!(true))),
            table::age(object, now),
            json!(object.str_at(&["preemptionPolicy"]).unwrap_or_default()),
        ]
    }
}
