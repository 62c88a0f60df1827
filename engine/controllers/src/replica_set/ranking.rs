//! Which pods go first when there are too many. Counterpart: `controller.ActivePodsWithRanks`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::objects::uid;
use crate::pods::{is_active, is_ready, node_name, phase, ready};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `count` pods that are missed least. `related` are the pods of the same application, whose crowding
/// on a node counts.
pub(super) fn victims(
    pods: &[Arc<Pod>],
    related: &[Arc<Pod>],
    count: usize,
    now: Timestamp,
) -> Vec<Arc<Pod>> {
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related.iter().filter(|pod| is_active(pod)) {
        *on_node.entry(node_name(pod)).or_default() += 1;
    }
    let crowd = |pod: &Pod| on_node.get(node_name(pod)).copied().unwrap_or_default();
    let mut ranked = pods.to_vec();
    ranked.sort_by(|a, b| {
        let by_state = unassigned(a, b).then(by_phase(a, b)).then(is_ready(a).cmp(&is_ready(b)));
        let by_use = by_state.then(cost(a).cmp(&cost(b))).then(crowd(b).cmp(&crowd(a)));
        let by_age = by_use.then_with(|| newer_first(ready_since(a), ready_since(b), a, b, now));
        by_age
            .then_with(|| restarts(b).cmp(&restarts(a)))
            .then_with(|| newer_first(created(a), created(b), a, b, now))
    });
    ranked.truncate(count);
    ranked
}

fn unassigned(a: &Pod, b: &Pod) -> Ordering {
    node_name(b).is_empty().cmp(&node_name(a).is_empty())
}

fn by_phase(a: &Pod, b: &Pod) -> Ordering {
    let rank = |pod: &Pod| match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    rank(a).cmp(&rank(b))
}

fn cost(pod: &Pod) -> i32 {
    let annotation = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DELETION_COST));
    annotation.and_then(|cost| cost.parse().ok()).unwrap_or_default()
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    ready(pod).and_then(|ready| ready.last_transition_time.as_ref()).map(|since| since.0)
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|created| created.0)
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|status| status.restart_count).max().unwrap_or_default()
}

/// Ages count by their order of magnitude (base 2); within one, the uid decides, so that not always the
/// youngest generation is hit.
fn newer_first(
    a: Option<Timestamp>,
    b: Option<Timestamp>,
    pod_a: &Pod,
    pod_b: &Pod,
    now: Timestamp,
) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return a.is_some().cmp(&b.is_some()) };
    if a == b {
        return Ordering::Equal;
    }
    let magnitude = |since: Timestamp| match u128::try_from(now.duration_since(since).as_nanos()) {
        Ok(nanos @ 1..) => i64::from(nanos.ilog2()),
        _ => -1,
    };
    magnitude(a).cmp(&magnitude(b)).then_with(|| uid(pod_a).cmp(uid(pod_b)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, node: &str, phase: &str, ready_at: Option<i64>, more: Value) -> Arc<Pod> {
        let at = |second| Timestamp::from_second(second).unwrap().to_string();
        let ready = json!({"type": "Ready", "status": if ready_at.is_some() { "True" } else { "False" },
            "lastTransitionTime": at(ready_at.unwrap_or(0))});
        let mut value = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": at(0)},
            "spec": {"containers": [], "nodeName": node},
            "status": {"phase": phase, "conditions": [ready]},
        });
        if let Some(cost) = more.get("cost") {
            value["metadata"]["annotations"] = json!({DELETION_COST: cost});
        }
        if let Some(restarts) = more.get("restarts") {
            value["status"]["containerStatuses"] =
                json!([{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": restarts}]);
        }
        if let Some(created) = more.get("created") {
            value["metadata"]["creationTimestamp"] = json!(at(created.as_i64().unwrap()));
        }
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[track_caller]
    fn check(pods: &[Arc<Pod>], related: &[Arc<Pod>], expected: &[&str]) {
        let order = victims(pods, related, pods.len(), Timestamp::from_second(10_000).unwrap());
        let names: Vec<&str> = order.iter().map(|pod| crate::objects::name(&**pod)).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn the_least_useful_pod_goes_first() {
        let none = json!({});
        let pods = [
            pod("e-old", "n1", "Running", Some(100), none.clone()),
            pod("d-new", "n1", "Running", Some(9_990), none.clone()),
            pod("c-cheap", "n1", "Running", Some(100), json!({"cost": "-1"})),
            pod("b-not-ready", "n1", "Running", None, none.clone()),
            pod("a-pending", "n1", "Pending", None, none.clone()),
            pod("unassigned", "", "Pending", None, none),
        ];
        check(&pods, &[], &["unassigned", "a-pending", "b-not-ready", "c-cheap", "d-new", "e-old"]);
    }

    #[test]
    fn a_crowded_node_is_thinned_out_before_the_newest_pod_goes() {
        let pods = [
            pod("alone-new", "n2", "Running", Some(9_990), json!({})),
            pod("crowded-old", "n1", "Running", Some(100), json!({})),
        ];
        let related = [pods[0].clone(), pods[1].clone(), pod("old-set", "n1", "Running", Some(1), json!({}))];
        check(&pods, &related, &["crowded-old", "alone-new"]);
    }

    #[test]
    fn restarts_count_before_the_age_of_the_pod() {
        let pods = [
            pod("young", "n1", "Running", Some(9_999), json!({"created": 9_990})),
            pod("restarted", "n1", "Running", Some(9_999), json!({"restarts": 3})),
        ];
        check(&pods, &[], &["restarted", "young"]);
    }
}
