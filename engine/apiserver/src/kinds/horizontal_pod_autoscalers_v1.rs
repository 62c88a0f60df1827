//! HorizontalPodAutoscalers as autoscaling/v1 shows them: the target of CPU is a field, everything else that v2 has
//! travels in annotations. Counterpart: `pkg/apis/autoscaling/v1/conversion.go`.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::kinds::{Kind, Strategy, Subresource, horizontal_pod_autoscalers as v2};

pub(crate) static KIND: Kind = Kind {
    short_names: &["hpa"],
    categories: &["all"],
    columns: v2::COLUMNS,
    subresources: &[Subresource::Status],
    ..Kind::of::<HorizontalPodAutoscaler>(&HorizontalPodAutoscalersV1)
};

/// Fields of v2's spec and status, and the annotations that hold them as JSON.
const CARRIED: [(&str, &str, &str); 4] = [
    ("spec", "metrics", "autoscaling.alpha.kubernetes.io/metrics"),
    ("spec", "behavior", "autoscaling.alpha.kubernetes.io/behavior"),
    ("status", "currentMetrics", "autoscaling.alpha.kubernetes.io/current-metrics"),
    ("status", "conditions", "autoscaling.alpha.kubernetes.io/conditions"),
];

struct HorizontalPodAutoscalersV1;

impl Strategy for HorizontalPodAutoscalersV1 {
    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        v2::KIND.strategy.validate(object)
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        v2::KIND.strategy.cells(object, now)
    }

    fn to_stored(&self, mut object: Object) -> Object {
        object.api_version = v2::KIND.api_version();
        for (part, name, annotation) in CARRIED {
            let carried = object.metadata.annotations.remove(annotation);
            if let Some(Ok(value)) = carried.map(|text| serde_json::from_str::<Value>(&text)) {
                object.set_at(&[part, name], value);
            }
        }
        if let Some(percent) = object.remove_at(&["spec", "targetCPUUtilizationPercentage"]) {
            let target = json!({"type": "Utilization", "averageUtilization": percent});
            insert_metric(&mut object, &["spec", "metrics"], json!({"name": "cpu", "target": target}));
        }
        if let Some(percent) = object.remove_at(&["status", "currentCPUUtilizationPercentage"]) {
            let current = json!({"averageUtilization": percent});
            insert_metric(
                &mut object,
                &["status", "currentMetrics"],
                json!({"name": "cpu", "current": current}),
            );
        }
        object
    }

    fn to_served(&self, mut object: Object) -> Object {
        object.api_version = KIND.api_version();
        let percent = take_cpu(&mut object, &["spec", "metrics"], "target");
        if let Some(percent) = percent {
            object.set_at(&["spec", "targetCPUUtilizationPercentage"], percent);
        }
        let percent = take_cpu(&mut object, &["status", "currentMetrics"], "current");
        if let Some(percent) = percent {
            object.set_at(&["status", "currentCPUUtilizationPercentage"], percent);
        }
        for (part, name, annotation) in CARRIED {
            let value = object.remove_at(&[part, name]);
            let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            if let Some(value) = value.filter(|value| !is_empty(value)) {
                object.metadata.annotations.insert(annotation.to_owned(), value.to_string());
            }
        }
        object
    }
}

/// Puts the metric of CPU first.
fn insert_metric(object: &mut Object, path: &[&str], resource: Value) {
    let mut metrics = object.at(path).and_then(Value::as_array).cloned().unwrap_or_default();
    metrics.insert(0, json!({"type": "Resource", "resource": resource}));
    object.set_at(path, Value::Array(metrics));
}

/// Takes the first metric that is a percentage of CPU out of a list.
fn take_cpu(object: &mut Object, path: &[&str], part: &str) -> Option<Value> {
    let mut metrics = object.at(path)?.as_array()?.clone();
    let percent = |metric: &Value| {
        let is_cpu = metric["type"] == "Resource" && metric["resource"]["name"] == "cpu";
        metric["resource"][part].get("averageUtilization").filter(|_| is_cpu).cloned()
    };
    let index = metrics.iter().position(|metric| percent(metric).is_some())?;
    let taken = percent(&metrics.remove(index));
    object.set_at(path, Value::Array(metrics));
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_survives_the_way_from_v2_to_v1_and_back() {
        let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
        let stored = Object::from_value(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"maxReplicas": 5, "minReplicas": 1, "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "metrics": [cpu, memory]},
            "status": {"desiredReplicas": 0},
        }))
        .unwrap();
        let served = KIND.strategy.to_served(stored.clone());
        assert_eq!(served.i64_at(&["spec", "targetCPUUtilizationPercentage"]), Some(50));
        assert_eq!(served.at(&["spec", "metrics"]), None);
        assert_eq!(KIND.strategy.to_stored(served), stored);
    }
}
