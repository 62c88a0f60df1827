//! The status of a ReplicaSet, computed from its pods.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pods::{is_available, is_ready};

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The next status; `failure` is why pods could not be made or deleted.
pub(super) fn next(
    replica_set: &ReplicaSet,
    pods: &[Arc<Pod>],
    failure: Option<&str>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let spec = replica_set.spec.clone().unwrap_or_default();
    let template_labels = spec.template.and_then(|template| template.metadata?.labels).unwrap_or_default();
    let labelled = |pod: &Pod| {
        let labels = pod.metadata.labels.as_ref();
        template_labels.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    let min_ready = spec.min_ready_seconds.unwrap_or_default();
    let count = |counts: &dyn Fn(&Pod) -> bool| pods.iter().filter(|pod| counts(pod)).count() as i32;
    let some = |count: i32| (count > 0).then_some(count);
    let present = replica_set.status.clone().unwrap_or_default();
    let conditions =
        conditions(present.conditions, failure, pods.len() as i32 > spec.replicas.unwrap_or(1), now);
    ReplicaSetStatus {
        replicas: pods.len() as i32,
        fully_labeled_replicas: some(count(&labelled)),
        ready_replicas: some(count(&is_ready)),
        available_replicas: some(count(&|pod| is_available(pod, min_ready, now))),
        observed_generation: replica_set.metadata.generation,
        conditions,
    }
}

/// A first failure stays in the status until a reconcile goes through.
fn conditions(
    present: Option<Vec<ReplicaSetCondition>>,
    failure: Option<&str>,
    too_many: bool,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut conditions = present.unwrap_or_default();
    match failure {
        None => conditions.retain(|condition| condition.type_ != REPLICA_FAILURE),
        Some(_) if conditions.iter().any(|condition| condition.type_ == REPLICA_FAILURE) => {}
        Some(why) => conditions.push(ReplicaSetCondition {
            type_: REPLICA_FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: Some(if too_many { "FailedDelete" } else { "FailedCreate" }.to_owned()),
            message: Some(why.to_owned()),
            last_transition_time: Some(Time(now)),
        }),
    }
    (!conditions.is_empty()).then_some(conditions)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(labels: Value, ready_at: Option<&str>) -> Arc<Pod> {
        let ready = ready_at.map(|at| json!({"type": "Ready", "status": "True", "lastTransitionTime": at}));
        let conditions: Vec<Value> = ready.into_iter().collect();
        let pod = json!({"metadata": {"labels": labels}, "status": {"conditions": conditions}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn pods_are_counted_by_what_they_are() {
        let replica_set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"generation": 4},
            "spec": {"replicas": 3, "minReadySeconds": 10, "selector": {},
                "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}}},
        }))
        .unwrap();
        let pods = [
            pod(json!({"app": "web", "tier": "front"}), Some("2026-01-01T00:00:00Z")),
            pod(json!({"app": "web", "tier": "front"}), Some("2026-01-01T00:00:15Z")),
            pod(json!({"app": "web"}), None),
        ];
        let now = "2026-01-01T00:00:20Z".parse().unwrap();
        let status = next(&replica_set, &pods, None, now);
        let counts = (
            status.replicas,
            status.fully_labeled_replicas,
            status.ready_replicas,
            status.available_replicas,
        );
        assert_eq!(counts, (3, Some(2), Some(2), Some(1)));
        assert_eq!(status.observed_generation, Some(4));
        assert_eq!(status.conditions, None);
    }

    #[test]
    fn a_failure_is_a_condition_until_it_is_over() {
        let mut replica_set = ReplicaSet::default();
        let now = "2026-01-01T00:00:20Z".parse().unwrap();
        replica_set.status = Some(next(&replica_set, &[], Some("pods is forbidden"), now));
        let condition = &replica_set.status.as_ref().unwrap().conditions.as_ref().unwrap()[0];
        assert_eq!(condition.reason.as_deref(), Some("FailedCreate"));
        assert_eq!(condition.message.as_deref(), Some("pods is forbidden"));
        assert_eq!(next(&replica_set, &[], None, now).conditions, None);
    }
}
