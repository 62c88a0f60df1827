//! HorizontalPodAutoscalers as autoscaling/v2, in which they are stored.
//! Counterpart: `pkg/registry/autoscaling/horizontalpodautoscaler`.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::workload::list;
use crate::kinds::{Kind, Strategy, Subresource, kind};
use crate::pod_spec::text as text_of;
use crate::table::{self, AGE, Column, number, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["hpa"],
    categories: &["all"],
    columns: COLUMNS,
    subresources: &[Subresource::Status],
    ..Kind::of::<HorizontalPodAutoscaler>(&HorizontalPodAutoscalers)
};

pub(crate) const COLUMNS: &[Column] = &[
    text("Reference", "What is scaled."),
    text("Targets", "Each metric as it is and as it should be."),
    text("MinPods", "The least number of pods."),
    text("MaxPods", "The greatest number of pods."),
    number("Replicas", "The number of pods now."),
    AGE,
];

/// Metrics that a table shows.
const SHOWN: usize = 2;

struct HorizontalPodAutoscalers;

impl Strategy for HorizontalPodAutoscalers {
    fn set_defaults(&self, object: &mut Object) {
        let cpu = json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
        }});
        kind::fill(object, &["spec"], json!({"minReplicas": 1, "metrics": [cpu]}));
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({"currentMetrics": null, "desiredReplicas": 0}))
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let number = |name: &str| object.i64_at(&["spec", name]);
        let (min, max) = (number("minReplicas").unwrap_or(1), number("maxReplicas").unwrap_or_default());
        let mut errors = Vec::new();
        if min < 1 {
            errors.push(field::invalid("spec.minReplicas", min, "must be greater than or equal to 1"));
        }
        if max < 1 {
            errors.push(field::invalid("spec.maxReplicas", max, "must be greater than 0"));
        }
        if max < min {
            let detail = "must be greater than or equal to `minReplicas`";
            errors.push(field::invalid("spec.maxReplicas", max, detail));
        }
        for name in ["kind", "name"] {
            if object.str_at(&["spec", "scaleTargetRef", name]).unwrap_or_default().is_empty() {
                errors.push(field::required(format!("spec.scaleTargetRef.{name}"), ""));
            }
        }
        for (index, metric) in list(object.rest.get("spec"), "metrics").iter().enumerate() {
            errors.extend(validate_metric(metric, &format!("spec.metrics[{index}]")));
        }
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let reference = |name: &str| object.str_at(&["spec", "scaleTargetRef", name]).unwrap_or_default();
        vec![
            json!(format!("{}/{}", reference("kind"), reference("name"))),
            json!(targets(object)),
            json!(table::number_or(object.at(&["spec", "minReplicas"]), "<unset>")),
            json!(table::number_or(object.at(&["spec", "maxReplicas"]), "0")),
            json!(object.i64_at(&["status", "currentReplicas"]).unwrap_or_default()),
            table::age(object, now),
        ]
    }
}

/// The field of a metric that its type names.
fn source(metric: &Value) -> Option<&'static str> {
    Some(match text_of(metric, "type") {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return None,
    })
}

fn validate_metric(metric: &Value, path: &str) -> Vec<StatusCause> {
    const TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];
    let kind = text_of(metric, "type");
    let Some(source) = source(metric) else {
        return vec![match kind {
            "" => field::required(format!("{path}.type"), "must specify a metric source type"),
            other => field::not_supported(format!("{path}.type"), other, TYPES),
        }];
    };
    let Some(body) = metric.get(source) else {
        return vec![field::required(
            format!("{path}.{source}"),
            "must populate information for the given metric source",
        )];
    };
    let target = body.get("target").unwrap_or(&Value::Null);
    let path = format!("{path}.{source}.target");
    let mut errors = Vec::new();
    match text_of(target, "type") {
        "Utilization" | "Value" | "AverageValue" => {}
        "" => errors.push(field::required(format!("{path}.type"), "must specify a metric target type")),
        other => {
            let detail = "must be either Utilization, Value, or AverageValue";
            errors.push(field::invalid(format!("{path}.type"), other, detail));
        }
    }
    if let Some(utilization) =
        target.get("averageUtilization").and_then(Value::as_i64).filter(|number| *number < 1)
    {
        errors.push(field::invalid(
            format!("{path}.averageUtilization"),
            utilization,
            "must be greater than 0",
        ));
    }
    errors
}

/// `cpu: 20%/80%, memory: <unknown>/1Gi`
fn targets(object: &Object) -> String {
    let metrics = list(object.rest.get("spec"), "metrics");
    if metrics.is_empty() {
        return "<none>".to_owned();
    }
    let current = list(object.rest.get("status"), "currentMetrics");
    let shown: Vec<String> = metrics
        .iter()
        .take(SHOWN)
        .enumerate()
        .map(|(index, metric)| target(metric, current.get(index)))
        .collect();
    match metrics.len() {
        all if all > SHOWN => format!("{} + {} more...", shown.join(", "), all - SHOWN),
        _ => shown.join(", "),
    }
}

fn target(metric: &Value, current: Option<&Value>) -> String {
    let Some(source) = source(metric) else { return "<unknown type>".to_owned() };
    let null = Value::Null;
    let wanted = &metric[source]["target"];
    let now = current.and_then(|current| current.get(source)?.get("current")).unwrap_or(&null);
    let (field, unit, mark) = match text_of(wanted, "type") {
        "Utilization" => ("averageUtilization", "%", ""),
        "AverageValue" if matches!(source, "object" | "external") => ("averageValue", "", " (avg)"),
        "AverageValue" => ("averageValue", "", ""),
        _ => ("value", "", ""),
    };
    let shown = |value: &Value| match value.get(field) {
        Some(Value::Null) | None => None,
        value => Some(format!("{}{unit}", table::number_or(value, ""))),
    };
    let now = shown(now).unwrap_or_else(|| "<unknown>".to_owned());
    let wanted = shown(wanted).unwrap_or_else(|| "<auto>".to_owned());
    let name = match source {
        "resource" | "containerResource" => format!("{}: ", text_of(&metric[source], "name")),
        _ => String::new(),
    };
    format!("{name}{now}/{wanted}{mark}")
}
