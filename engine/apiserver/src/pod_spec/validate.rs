//! What a pod spec must satisfy.

use labkit_api::StatusCause;
use labkit_api::validation::{is_dns1123_label, is_dns1123_subdomain, is_qualified_name};
use serde_json::{Value, json};

use crate::field::{self, Shown, invalid_all};
use crate::metadata;
use crate::pod_spec::{containers, list, string_map, text, volumes};

const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const TOLERATION_OPERATORS: &[&str] = &["Equal", "Exists"];
const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A template of pods that always restart: those of a Deployment and its like.
pub(crate) fn validate_template(template: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = validate_any_template(template, path);
    let spec = template.get("spec").unwrap_or(&Value::Null);
    let policy = text(spec, "restartPolicy");
    if RESTART_POLICIES.contains(&policy) && policy != "Always" {
        errors.push(field::not_supported(format!("{path}.spec.restartPolicy"), policy, &["Always"]));
    }
    if spec.get("activeDeadlineSeconds").is_some() {
        let path = format!("{path}.spec.activeDeadlineSeconds");
        errors.push(field::forbidden(path, "activeDeadlineSeconds in ReplicaSet is not Supported"));
    }
    errors
}

/// The labels, annotations and spec of any template.
pub(crate) fn validate_any_template(template: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let metadata = template.get("metadata").unwrap_or(&Value::Null);
    errors.extend(metadata::validate_labels(&string_map(metadata.get("labels")), &format!("{path}.labels")));
    errors.extend(metadata::validate_annotations(
        &string_map(metadata.get("annotations")),
        &format!("{path}.annotations"),
    ));
    let spec = template.get("spec").unwrap_or(&Value::Null);
    errors.extend(validate_spec(spec, &format!("{path}.spec")));
    errors
}

/// The spec of a pod.
pub(crate) fn validate_spec(spec: &Value, path: &str) -> Vec<StatusCause> {
    let (volume_names, mut errors) = volumes::validate(spec, path);
    errors.extend(containers::validate_all(spec, &volume_names, path));
    match text(spec, "restartPolicy") {
        "" => errors.push(field::required(format!("{path}.restartPolicy"), "")),
        policy if !RESTART_POLICIES.contains(&policy) => {
            errors.push(field::not_supported(format!("{path}.restartPolicy"), policy, RESTART_POLICIES));
        }
        _ => {}
    }
    let dns_policy = text(spec, "dnsPolicy");
    if !dns_policy.is_empty() && !DNS_POLICIES.contains(&dns_policy) {
        errors.push(field::not_supported(format!("{path}.dnsPolicy"), dns_policy, DNS_POLICIES));
    }
    let number = |field: &str| spec.get(field).and_then(Value::as_i64);
    if let Some(deadline) = number("activeDeadlineSeconds").filter(|seconds| *seconds < 1) {
        let detail = labkit_api::validation::inclusive_range_error(1, i64::from(i32::MAX));
        errors.push(field::invalid(format!("{path}.activeDeadlineSeconds"), deadline, &detail));
    }
    errors.extend(validate_names(spec, path));
    errors.extend(validate_tolerations(spec, path));
    errors.extend(metadata::validate_labels(
        &string_map(spec.get("nodeSelector")),
        &format!("{path}.nodeSelector"),
    ));
    errors
}

fn validate_names(spec: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    type Rule = fn(&str) -> Vec<String>;
    let rules: [(&str, Rule); 5] = [
        ("serviceAccountName", is_dns1123_subdomain),
        ("nodeName", is_dns1123_subdomain),
        ("hostname", is_dns1123_label),
        ("subdomain", is_dns1123_label),
        ("priorityClassName", is_dns1123_subdomain),
    ];
    for (name, rule) in rules {
        let value = text(spec, name);
        if !value.is_empty() {
            errors.extend(invalid_all(&format!("{path}.{name}"), value, rule(value)));
        }
    }
    errors
}

fn validate_tolerations(spec: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    for (index, toleration) in list(spec, "tolerations").iter().enumerate() {
        let at = format!("{path}.tolerations[{index}]");
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        let (value, effect) = (text(toleration, "value"), text(toleration, "effect"));
        if !key.is_empty() {
            errors.extend(invalid_all(&format!("{at}.key"), key, is_qualified_name(key)));
        } else if operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(field::invalid(format!("{at}.operator"), operator, detail));
        }
        if toleration.get("tolerationSeconds").is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(field::invalid(format!("{at}.effect"), effect, detail));
        }
        match operator {
            "" | "Equal" => {}
            "Exists" if value.is_empty() => {}
            "Exists" => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(field::invalid(format!("{at}.operator"), value, detail));
            }
            other => errors.push(field::not_supported(format!("{at}.operator"), other, TOLERATION_OPERATORS)),
        }
        if !effect.is_empty() && !TAINT_EFFECTS.contains(&effect) {
            errors.push(field::not_supported(format!("{at}.effect"), effect, TAINT_EFFECTS));
        }
    }
    errors
}

/// Of a pod that exists, only images, the deadline, more tolerations and the grace period may change.
pub(crate) fn validate_spec_update(new: &Value, old: &Value) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    for field in ["containers", "initContainers"] {
        if list(new, field).len() != list(old, field).len() {
            errors.push(field::forbidden(
                format!("spec.{field}"),
                "pod updates may not add or remove containers",
            ));
        }
    }
    if !errors.is_empty() {
        return errors;
    }
    let kept =
        list(old, "tolerations").iter().all(|toleration| list(new, "tolerations").contains(toleration));
    if !kept {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(field::forbidden("spec.tolerations", detail));
    }
    if frozen(new) != frozen(old) {
        let mutable = "pod updates may not change fields other than `spec.containers[*].image`,\
                       `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions \
                       to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it \
                       was previously negative)";
        errors.push(field::forbidden("spec", mutable));
    }
    let deadline = |spec: &Value| spec.get("activeDeadlineSeconds").and_then(Value::as_i64);
    if let Some(before) = deadline(old)
        && deadline(new).is_none_or(|after| after > before)
    {
        let shown = deadline(new).map_or(Shown::literal("null"), Shown::from);
        errors.push(field::invalid(
            "spec.activeDeadlineSeconds",
            shown,
            "must be less than or equal to previous value",
        ));
    }
    errors
}

/// The spec without what may change.
fn frozen(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for field in ["containers", "initContainers"] {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            container["image"] = json!("");
        }
    }
    if let Some(fields) = spec.as_object_mut() {
        fields.shift_remove("activeDeadlineSeconds");
        fields.shift_remove("tolerations");
        let was_negative =
            fields.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|s| s < 0);
        if was_negative {
            fields.insert("terminationGracePeriodSeconds".to_owned(), json!(1));
        }
    }
    spec
}
