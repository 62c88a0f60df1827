//! Which NoSchedule taints go with a node's conditions, and with a cordon.
//! Counterpart: `doNoScheduleTaintingPass`.

use k8s_openapi::api::core::v1::{Node, Taint};

use crate::taints::{self, NO_SCHEDULE, NOT_READY, UNREACHABLE, taint};

/// Condition, its value, and the NoSchedule taint that goes with it.
const CONDITION_TAINTS: [(&str, &str, &str); 7] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("", "", UNSCHEDULABLE),
];
/// The taint of a cordoned node, which no condition asks for.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The taints to add, and those to take away.
pub(super) fn taint_changes(node: &Node) -> (Vec<Taint>, Vec<Taint>) {
    let (wanted, present) = (wanted(node), taints::of(node));
    let is_in = |list: &[Taint], taint: &Taint| list.iter().any(|other| taints::same(other, taint));
    let is_ours = |taint: &Taint| {
        taint.effect == NO_SCHEDULE && CONDITION_TAINTS.iter().any(|(_, _, key)| *key == taint.key)
    };
    let add = wanted.iter().filter(|taint| !is_in(present, taint)).cloned().collect();
    let remove = present.iter().filter(|taint| is_ours(taint) && !is_in(&wanted, taint)).cloned().collect();
    (add, remove)
}

fn wanted(node: &Node) -> Vec<Taint> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let holds = |(type_, status, _): &&(&str, &str, &str)| {
        conditions.iter().any(|condition| condition.type_ == *type_ && condition.status == *status)
    };
    let mut taints: Vec<Taint> =
        CONDITION_TAINTS.iter().filter(holds).map(|(_, _, key)| taint(key, NO_SCHEDULE)).collect();
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        taints.push(taint(UNSCHEDULABLE, NO_SCHEDULE));
    }
    taints
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_and_a_cordon_become_no_schedule_taints() {
        let taints = json!([
            {"key": NOT_READY, "effect": "NoSchedule"}, {"key": NOT_READY, "effect": "NoExecute"},
            {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"},
            {"key": "team", "value": "a", "effect": "NoSchedule"},
        ]);
        let node = json!({"spec": {"unschedulable": true, "taints": taints}, "status": {"conditions": [
            {"type": "Ready", "status": "Unknown"}, {"type": "DiskPressure", "status": "True"},
            {"type": "MemoryPressure", "status": "Unknown"},
        ]}});
        let node: Node = serde_json::from_value(node).unwrap();
        let keys =
            |taints: Vec<Taint>| -> Vec<String> { taints.into_iter().map(|taint| taint.key).collect() };
        let (add, remove) = taint_changes(&node);
        assert_eq!(keys(add), [UNREACHABLE, UNSCHEDULABLE]);
        assert_eq!(keys(remove), [NOT_READY], "neither foreign taints nor NoExecute are touched");
    }
}
