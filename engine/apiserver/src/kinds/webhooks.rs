//! What webhook configurations share. Counterpart: `pkg/apis/admissionregistration/{v1,validation}`.

use jiff::Timestamp;
use labkit_api::{Object, StatusCause};
use serde_json::{Map, Value, json};

use crate::field;
use crate::pod_spec::{list, text as text_of};
use crate::table::{self, AGE, Column, number};

pub(crate) const COLUMNS: &[Column] =
    &[number("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration"), AGE];

const SECONDS: std::ops::RangeInclusive<i64> = 1..=30;

/// Fills in what every webhook has, and `more`.
pub(crate) fn set_defaults(object: &mut Object, more: &[(&str, &str)]) {
    for webhook in object.rest.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(webhook) = webhook.as_object_mut() else { continue };
        let mut fill = |name: &str, value: Value| {
            webhook.entry(name).or_insert(value);
        };
        fill("failurePolicy", json!("Fail"));
        fill("matchPolicy", json!("Equivalent"));
        fill("namespaceSelector", json!({}));
        fill("objectSelector", json!({}));
        fill("timeoutSeconds", json!(10));
        for (name, value) in more {
            fill(name, json!(value));
        }
        if let Some(service) = webhook.get_mut("clientConfig").and_then(|config| config.get_mut("service")) {
            fill_in(service, "port", json!(443));
        }
        set_scopes(webhook, "rules");
    }
}

/// A rule that names no scope is for all.
pub(crate) fn set_scopes(of: &mut Map<String, Value>, field: &str) {
    for rule in of.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
        fill_in(rule, "scope", json!("*"));
    }
}

fn fill_in(value: &mut Value, name: &str, default: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.entry(name).or_insert(default);
    }
}

/// `generation` counts the changes of the webhooks.
pub(crate) fn count_generation(object: &mut Object, old: &Object) {
    if object.rest.get("webhooks") != old.rest.get("webhooks") {
        object.metadata.generation = old.metadata.generation + 1;
    }
}

pub(crate) fn validate(object: &Object) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (index, webhook) in webhooks(object).iter().enumerate() {
        let path = |field: &str| format!("webhooks[{index}].{field}");
        let name = text_of(webhook, "name");
        if name.split('.').filter(|segment| !segment.is_empty()).count() < 3 {
            let why = "should be a domain with at least three segments separated by dots";
            errors.push(field::invalid(path("name"), name, why));
        } else if names.contains(&name) {
            errors.push(field::duplicate(path("name"), name));
        }
        names.push(name);
        if list(webhook, "admissionReviewVersions").is_empty() {
            let why = "must specify one of v1, v1beta1";
            errors.push(field::required(path("admissionReviewVersions"), why));
        }
        match text_of(webhook, "sideEffects") {
            "" => {
                let why = "must specify one of None, NoneOnDryRun";
                errors.push(field::required(path("sideEffects"), why));
            }
            effects => errors.extend(supported(path("sideEffects"), effects, &["None", "NoneOnDryRun"])),
        }
        errors.extend(supported(
            path("failurePolicy"),
            text_of(webhook, "failurePolicy"),
            &["Fail", "Ignore"],
        ));
        errors.extend(supported(
            path("matchPolicy"),
            text_of(webhook, "matchPolicy"),
            &["Equivalent", "Exact"],
        ));
        let seconds = webhook.get("timeoutSeconds").and_then(Value::as_i64);
        if let Some(seconds) = seconds.filter(|seconds| !SECONDS.contains(seconds)) {
            let why = "the timeout value must be between 1 and 30 seconds";
            errors.push(field::invalid(path("timeoutSeconds"), seconds, why));
        }
        let config = webhook.get("clientConfig").unwrap_or(&Value::Null);
        if config.get("url").is_some() == config.get("service").is_some() {
            errors.push(field::required(path("clientConfig"), "exactly one of url or service is required"));
        }
        for (rule, value) in list(webhook, "rules").iter().enumerate() {
            for field in ["operations", "apiGroups", "apiVersions", "resources"] {
                if list(value, field).is_empty() {
                    errors.push(field::required(path(&format!("rules[{rule}].{field}")), ""));
                }
            }
        }
    }
    errors
}

/// Refuses a value that is none of these.
pub(crate) fn supported(path: String, value: &str, values: &[&str]) -> Option<StatusCause> {
    (!value.is_empty() && !values.contains(&value)).then(|| field::not_supported(path, value, values))
}

pub(crate) fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![json!(webhooks(object).len()), table::age(object, now)]
}

fn webhooks(object: &Object) -> &[Value] {
    object.rest.get("webhooks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
