//! What Deployments and ReplicaSets share: a selector, a pod template, a number of replicas.

use labkit_api::selector::LabelSelector;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field::{self, Shown, go_map};
use crate::pod_spec;

/// A list of objects or scalars below an object; empty where there is none.
pub(crate) fn list<'a>(value: Option<&'a Value>, field: &str) -> &'a [Value] {
    value.and_then(|value| value.get(field)).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn set_template_defaults(object: &mut Object) {
    let spec =
        object.rest.get_mut("spec").and_then(|spec| spec.get_mut("template")).and_then(|t| t.get_mut("spec"));
    if let Some(spec) = spec.and_then(Value::as_object_mut) {
        pod_spec::defaults::set_defaults(spec);
    }
}

/// The selector, the template and that they fit each other.
pub(crate) fn validate(object: &Object) -> Vec<StatusCause> {
    let null = Value::Null;
    let mut errors: Vec<StatusCause> =
        field::non_negative("spec.replicas", object.i64_at(&["spec", "replicas"])).into_iter().collect();
    errors.extend(field::non_negative("spec.minReadySeconds", object.i64_at(&["spec", "minReadySeconds"])));
    let selector = object.at(&["spec", "selector"]).unwrap_or(&null);
    let is_empty = |field| {
        selector.get(field).is_none_or(|part| {
            part.as_object()
                .map_or_else(|| part.as_array().is_none_or(Vec::is_empty), serde_json::Map::is_empty)
        })
    };
    if selector.is_null() {
        errors.push(field::required("spec.selector", ""));
    } else if is_empty("matchLabels") && is_empty("matchExpressions") {
        let shown = Shown::literal(go_label_selector(selector));
        errors.push(field::invalid("spec.selector", shown, "empty selector is invalid for deployment"));
    }
    let template = object.at(&["spec", "template"]).unwrap_or(&null);
    match LabelSelector::from_value(selector) {
        Err(error) => {
            errors.push(field::invalid("spec.selector", Shown::literal(go_label_selector(selector)), &error))
        }
        Ok(selector) if !errors.iter().any(|error| error.field == "spec.selector") => {
            let labels =
                pod_spec::string_map(template.get("metadata").and_then(|metadata| metadata.get("labels")));
            if !selector.matches(&labels) {
                let detail = "`selector` does not match template `labels`";
                errors.push(field::invalid(
                    "spec.template.metadata.labels",
                    Shown::literal(go_map(&labels)),
                    detail,
                ));
            }
        }
        Ok(_) => {}
    }
    errors.extend(pod_spec::validate::validate_template(template, "spec.template"));
    errors
}

/// The selector of a workload never changes.
pub(crate) fn validate_selector_update(object: &Object, old: &Object) -> Vec<StatusCause> {
    let null = Value::Null;
    let selector = object.at(&["spec", "selector"]).unwrap_or(&null);
    if Some(selector) == old.at(&["spec", "selector"]) {
        return Vec::new();
    }
    vec![field::invalid("spec.selector", Shown::literal(go_label_selector(selector)), "field is immutable")]
}

/// Go's `%#v` of a `v1.LabelSelector`.
fn go_label_selector(selector: &Value) -> String {
    let labels = match selector.get("matchLabels") {
        None => "map[string]string(nil)".to_owned(),
        labels => go_map(&pod_spec::string_map(labels)),
    };
    let requirement = |requirement: &Value| {
        let text = |name| requirement.get(name).and_then(Value::as_str).unwrap_or_default();
        let values = list(Some(requirement), "values").iter().filter_map(Value::as_str).map(field::quoted);
        let values: Vec<String> = values.collect();
        let values = if values.is_empty() {
            "[]string(nil)".to_owned()
        } else {
            format!("[]string{{{}}}", values.join(", "))
        };
        format!(
            "v1.LabelSelectorRequirement{{Key:{:?}, Operator:{:?}, Values:{values}}}",
            text("key"),
            text("operator")
        )
    };
    let expressions: Vec<String> = list(Some(selector), "matchExpressions").iter().map(requirement).collect();
    let expressions = match expressions.as_slice() {
        [] => "(nil)".to_owned(),
        some => format!("{{{}}}", some.join(", ")),
    };
    format!(
        "v1.LabelSelector{{MatchLabels:{labels}, MatchExpressions:[]v1.LabelSelectorRequirement{expressions}}}"
    )
}

/// The wide cells CONTAINERS, IMAGES and SELECTOR.
pub(crate) fn wide_cells(object: &Object) -> [Value; 3] {
    let containers = list(object.at(&["spec", "template", "spec"]), "containers");
    let join = |field: &str| {
        let parts: Vec<&str> =
            containers.iter().filter_map(|container| container.get(field)?.as_str()).collect();
        json!(parts.join(","))
    };
    let selector = object.at(&["spec", "selector"]).map(LabelSelector::from_value);
    let selector = match selector {
        Some(Ok(selector)) => selector.to_string(),
        _ => String::new(),
    };
    [join("name"), join("image"), crate::table::or_none(&selector)]
}
