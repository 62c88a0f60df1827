//! What several controllers ask of pods. Counterpart: `k8s.io/kubernetes/pkg/api/v1/pod`.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use crate::objects::{is_being_deleted, uid};

/// The node that the pod is bound to; empty before that.
pub(crate) fn node_name(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether the pod ran to its end, well or badly.
pub(crate) fn is_terminated(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod counts for its owner: neither finished nor on its way out.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_terminated(pod) && !is_being_deleted(pod)
}

pub(crate) fn condition<'a>(pod: &'a Pod, condition_type: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == condition_type)
}

/// The Ready condition, if it is true.
pub(crate) fn ready(pod: &Pod) -> Option<&PodCondition> {
    condition(pod, "Ready").filter(|ready| ready.status == "True")
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    ready(pod).is_some()
}

/// Whether the pod has been ready for so long.
pub(crate) fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    let Some(ready) = ready(pod) else { return false };
    let Ok(seconds @ 1..) = u64::try_from(min_ready_seconds) else { return true };
    ready.last_transition_time.as_ref().is_some_and(|since| since.0 + Duration::from_secs(seconds) <= now)
}

/// A strategic patch of the status that sets one condition, and nothing if it is already so.
pub(crate) fn condition_patch(pod: &Pod, mut wanted: PodCondition, now: Timestamp) -> Option<Value> {
    let present = condition(pod, &wanted.type_);
    let same_status = present.filter(|present| present.status == wanted.status);
    wanted.last_transition_time =
        same_status.map_or(Some(Time(now)), |present| present.last_transition_time.clone());
    let same = same_status
        .is_some_and(|present| present.reason == wanted.reason && present.message == wanted.message);
    (!same).then(|| json!({"metadata": {"uid": uid(pod)}, "status": {"conditions": [wanted]}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_ready_since(second: i64) -> Pod {
        let time = Time(Timestamp::from_second(second).unwrap());
        serde_json::from_value(json!({"status": {"conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": time}
        ]}}))
        .unwrap()
    }

    #[test]
    fn a_pod_is_available_once_it_was_ready_for_min_ready_seconds() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(is_available(&pod_ready_since(100), 0, at(100)));
        assert!(!is_available(&pod_ready_since(100), 10, at(109)));
        assert!(is_available(&pod_ready_since(100), 10, at(110)));
        assert!(!is_available(&Pod::default(), 0, at(110)));
    }

    #[test]
    fn a_condition_that_is_already_so_is_not_patched() {
        let now = Timestamp::from_second(200).unwrap();
        let ready = |status: &str| PodCondition {
            type_: "Ready".into(),
            status: status.into(),
            ..Default::default()
        };
        assert_eq!(condition_patch(&pod_ready_since(100), ready("True"), now), None);
        let patch = condition_patch(&pod_ready_since(100), ready("False"), now).unwrap();
        assert_eq!(patch["status"]["conditions"][0]["lastTransitionTime"], "1970-01-01T00:03:20Z");
    }
}
