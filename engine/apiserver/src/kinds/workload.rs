//! What Deployments and their like share: a selector, a pod template, a number of replicas.

use labkit_api::selector::LabelSelector;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field::{self, Shown, go_map};
use crate::pod_spec;

/// A list of objects or scalars below an object; empty where there is none.
pub(crate) fn list<'a>(value: Option<&'a Value>, field: &str) -> &'a [Value] {
    value.and_then(|value| value.get(field)).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The defaults of the pod template at a path. What is absent on the way there comes into being, as Go's structs do.
pub(crate) fn set_template_defaults(object: &mut Object, path: &[&str]) {
    let mut place = object.rest.entry(path[0].to_owned()).or_insert_with(|| json!({}));
    for name in path[1..].iter().chain(&["spec"]) {
        let Some(fields) = place.as_object_mut() else { return };
        place = fields.entry(*name).or_insert_with(|| json!({}));
    }
    if let Some(spec) = place.as_object_mut() {
        pod_spec::defaults::set_defaults(spec);
    }
}

/// The replicas, the selector, the template and that they fit each other. `noun` is what messages call the kind.
pub(crate) fn validate(object: &Object, noun: &str) -> Vec<StatusCause> {
    let mut errors: Vec<StatusCause> =
        field::non_negative("spec.replicas", object.i64_at(&["spec", "replicas"])).into_iter().collect();
    errors.extend(field::non_negative("spec.minReadySeconds", object.i64_at(&["spec", "minReadySeconds"])));
    errors.extend(validate_selector(object, Some(noun)));
    let template = object.at(&["spec", "template"]).unwrap_or(&Value::Null);
    errors.extend(pod_spec::validate::validate_template(template, "spec.template"));
    errors
}

/// The selector, and that the template fits it. `noun`: what messages call a kind whose selector may not be empty.
pub(crate) fn validate_selector(object: &Object, noun: Option<&str>) -> Vec<StatusCause> {
    let null = Value::Null;
    let mut errors = Vec::new();
    let selector = object.at(&["spec", "selector"]).unwrap_or(&null);
    let is_empty = |field| {
        selector.get(field).is_none_or(|part| {
            part.as_object()
                .map_or_else(|| part.as_array().is_none_or(Vec::is_empty), serde_json::Map::is_empty)
        })
    };
    if selector.is_null() {
        errors.push(field::required("spec.selector", ""));
    } else if let Some(noun) = noun.filter(|_| is_empty("matchLabels") && is_empty("matchExpressions")) {
        let shown = Shown::literal(go_label_selector(selector));
        errors.push(field::invalid("spec.selector", shown, &format!("empty selector is invalid for {noun}")));
    }
    let template = object.at(&["spec", "template"]).unwrap_or(&null);
    let labels = pod_spec::string_map(template.get("metadata").and_then(|metadata| metadata.get("labels")));
    let misfit = || {
        let shown = if labels.is_empty() { "map[string]string(nil)".to_owned() } else { go_map(&labels) };
        let detail = "`selector` does not match template `labels`";
        field::invalid("spec.template.metadata.labels", Shown::literal(shown), detail)
    };
    match LabelSelector::from_value(selector) {
        // No selector selects nothing.
        _ if selector.is_null() => errors.push(misfit()),
        Err(error) => {
            errors.push(field::invalid("spec.selector", Shown::literal(go_label_selector(selector)), &error))
        }
        Ok(selector) if !errors.iter().any(|error| error.field == "spec.selector") => {
            if !selector.matches(&labels) {
                errors.push(misfit());
            }
        }
        Ok(_) => {}
    }
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

/// The wide cells CONTAINERS, IMAGES and SELECTOR, of the template and the selector at a path.
pub(crate) fn wide_cells(object: &Object, path: &[&str]) -> [Value; 3] {
    let below = |tail: &[&str]| object.at(&[path, tail].concat());
    let containers = list(below(&["template", "spec"]), "containers");
    let join = |field: &str| {
        let parts: Vec<&str> =
            containers.iter().filter_map(|container| container.get(field)?.as_str()).collect();
        json!(parts.join(","))
    };
    let selector = below(&["selector"]).map(LabelSelector::from_value);
    let selector = match selector {
        Some(Ok(selector)) => selector.to_string(),
        _ => String::new(),
    };
    [join("name"), join("image"), crate::table::or_none(&selector)]
}
