//! NodeResourcesFit: what the pod requests must be left on the node; more room gives more points
//! (LeastAllocated, CPU and memory weighing the same). Counterpart: `plugins/noderesources/fit.go` and
//! `least_allocated.go`.

use std::sync::Arc;

use crate::cache::{NodeInfo, PodInfo};
use crate::framework::{ClusterEvent, FilterPlugin, MAX_NODE_SCORE, Rejection, ScorePlugin};
use crate::requests::Resources;

pub(super) struct NodeResourcesFit;

impl FilterPlugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let mut reasons = Vec::new();
        if node.pods.len() as i64 + 1 > node.allowed_pods {
            reasons.push("Too many pods".to_owned());
        }
        let missing = missing(&pod.requests, &node.requested, &node.allocatable);
        reasons.extend(missing.into_iter().map(|resource| format!("Insufficient {resource}")));
        // Upstream calls it resolvable up to 1.33 even where the empty node would be too small.
        if reasons.is_empty() { Ok(()) } else { Err(Rejection { reasons, resolvable: true }) }
    }

    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        let alone = |node: &Arc<_>| self.filter(pod, &NodeInfo::empty(Arc::clone(node))).is_ok();
        match event {
            ClusterEvent::NodeAdded(node) => alone(node),
            ClusterEvent::NodeUpdated { old, new } => alone(new) && has_grown(old, new, &pod.requests),
            ClusterEvent::AssignedPodDeleted(_) => true,
            ClusterEvent::PodUpdated { old, new } => {
                crate::requests::of_pod(old) != crate::requests::of_pod(new)
            }
        }
    }
}

/// The resources of which the pod asks for more than is left.
fn missing(wanted: &Resources, requested: &Resources, allocatable: &Resources) -> Vec<String> {
    if wanted.is_nothing() {
        return Vec::new();
    }
    let short =
        |wanted: i64, requested: i64, allocatable: i64| wanted > 0 && wanted > allocatable - requested;
    let mut missing = Vec::new();
    if short(wanted.milli_cpu, requested.milli_cpu, allocatable.milli_cpu) {
        missing.push("cpu".to_owned());
    }
    if short(wanted.memory, requested.memory, allocatable.memory) {
        missing.push("memory".to_owned());
    }
    if short(wanted.ephemeral_storage, requested.ephemeral_storage, allocatable.ephemeral_storage) {
        missing.push("ephemeral-storage".to_owned());
    }
    let of = |resources: &Resources, name: &str| resources.scalar.get(name).copied().unwrap_or_default();
    for (name, amount) in &wanted.scalar {
        if short(*amount, of(requested, name), of(allocatable, name)) {
            missing.push(name.clone());
        }
    }
    missing
}

/// Whether the node offers more than before of anything that is wanted, or takes more pods.
fn has_grown(
    old: &Arc<k8s_openapi::api::core::v1::Node>,
    new: &Arc<k8s_openapi::api::core::v1::Node>,
    wanted: &Resources,
) -> bool {
    let (old, new) = (NodeInfo::empty(old.clone()), NodeInfo::empty(new.clone()));
    if new.allowed_pods > old.allowed_pods {
        return true;
    }
    let (a, b) = (&old.allocatable, &new.allocatable);
    (wanted.milli_cpu > 0 && b.milli_cpu > a.milli_cpu)
        || (wanted.memory > 0 && b.memory > a.memory)
        || (wanted.ephemeral_storage > 0 && b.ephemeral_storage > a.ephemeral_storage)
        || wanted.scalar.keys().any(|name| b.scalar.get(name) > a.scalar.get(name))
}

impl ScorePlugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _nodes: &[&NodeInfo]) -> i64 {
        let (taken, wanted) = (node.requested_for_scores, pod.requests_for_scores);
        let of_each = [
            (node.allocatable.milli_cpu, taken.milli_cpu + wanted.milli_cpu),
            (node.allocatable.memory, taken.memory + wanted.memory),
        ];
        let offered: Vec<_> = of_each.into_iter().filter(|(capacity, _)| *capacity > 0).collect();
        if offered.is_empty() {
            return 0;
        }
        offered.iter().map(|(capacity, requested)| least_requested(*capacity, *requested)).sum::<i64>()
            / offered.len() as i64
    }
}

fn least_requested(capacity: i64, requested: i64) -> i64 {
    if requested > capacity { 0 } else { (capacity - requested) * MAX_NODE_SCORE / capacity }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asking, node, node_info, pod};
    use serde_json::json;

    #[test]
    fn the_worked_example_scores_65() {
        let node = node_info(node("n1", json!({})), &[asking("there", "1", "2Gi")]);
        let info = PodInfo::new(Arc::new(asking("a", "500m", "512Mi")));
        assert_eq!(NodeResourcesFit.score(&info, &node, &[]), 65);
    }

    #[test]
    fn each_resource_that_is_short_is_a_reason() {
        let node = node_info(
            node("n1", json!({"status": {"allocatable": {"pods": "1"}}})),
            &[asking("b", "3", "1Gi")],
        );
        let spec = json!({"containers": [{"name": "c", "resources": {"requests": {
            "cpu": "1500m", "memory": "8Gi", "nvidia.com/gpu": "1"}}}]});
        let refused = NodeResourcesFit.filter(&PodInfo::new(Arc::new(pod("a", spec))), &node).unwrap_err();
        let expected =
            ["Too many pods", "Insufficient cpu", "Insufficient memory", "Insufficient nvidia.com/gpu"];
        assert_eq!(refused.reasons, expected);
    }

    #[test]
    fn a_pod_without_requests_fits_a_full_node() {
        let full = node_info(node("n1", json!({})), &[asking("b", "4", "8Gi")]);
        let info = PodInfo::new(Arc::new(pod("a", json!({"containers": [{"name": "c"}]}))));
        assert!(NodeResourcesFit.filter(&info, &full).is_ok());
        assert_eq!(NodeResourcesFit.score(&info, &full, &[]), 0);
    }
}
