//! What a plugin is. Counterpart: `k8s.io/kube-scheduler/framework`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::cache::{NodeInfo, PodInfo};

/// The highest normalized score.
pub(crate) const MAX_NODE_SCORE: i64 = 100;

/// Why a plugin rules a node out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// Upstream's texts; each is counted over the nodes in the event.
    pub reasons: Vec<String>,
    /// Whether the node would do if other pods went away. Upstream: `Unschedulable` against
    /// `UnschedulableAndUnresolvable`.
    pub resolvable: bool,
}

/// What happened in the cluster that may make an unschedulable pod schedulable.
#[derive(Debug, Clone)]
pub(crate) enum ClusterEvent {
    NodeAdded(Arc<Node>),
    NodeUpdated {
        old: Arc<Node>,
        new: Arc<Node>,
    },
    /// A pod that had a node is gone or has ended.
    AssignedPodDeleted(Arc<Pod>),
    /// The waiting pod itself was changed.
    PodUpdated {
        old: Arc<Pod>,
        new: Arc<Pod>,
    },
}

/// Says whether a node can run a pod.
pub(crate) trait FilterPlugin: Sync {
    fn name(&self) -> &'static str;

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection>;

    /// Whether a pod that this plugin kept from scheduling is worth another try. Upstream: queueing hints.
    /// As given here: when a node passes that was not there or did not pass before.
    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        node_passes_now(self, pod, event)
    }
}

/// Whether the event is about a node that passes the filter and was not there, or did not pass, before.
pub(crate) fn node_passes_now<P: FilterPlugin + ?Sized>(
    plugin: &P,
    pod: &PodInfo,
    event: &ClusterEvent,
) -> bool {
    let passes = |node: &Arc<Node>| plugin.filter(pod, &NodeInfo::empty(node.clone())).is_ok();
    match event {
        ClusterEvent::NodeAdded(node) => passes(node),
        ClusterEvent::NodeUpdated { old, new } => passes(new) && !passes(old),
        ClusterEvent::AssignedPodDeleted(_) | ClusterEvent::PodUpdated { .. } => false,
    }
}

/// Says how good a node is for a pod.
pub(crate) trait ScorePlugin: Sync {
    fn name(&self) -> &'static str;

    fn weight(&self) -> i64;

    /// Whether the plugin has anything to say on this pod. Upstream: PreScore's `Skip`.
    fn applies(&self, _pod: &PodInfo) -> bool {
        true
    }

    /// `nodes` are all nodes of the cluster.
    fn score(&self, pod: &PodInfo, node: &NodeInfo, nodes: &[&NodeInfo]) -> i64;

    /// Brings the scores of all nodes that are left into 0 to 100.
    fn normalize(&self, _scores: &mut [i64]) {}
}

impl Rejection {
    pub fn resolvable(reason: &str) -> Rejection {
        Rejection { reasons: vec![reason.to_owned()], resolvable: true }
    }

    pub fn unresolvable(reason: impl Into<String>) -> Rejection {
        Rejection { reasons: vec![reason.into()], resolvable: false }
    }
}

/// Scales scores so that the best is 100; `reverse` makes the lowest the best. Upstream:
/// `DefaultNormalizeScore`.
pub(crate) fn scale_to_max(scores: &mut [i64], reverse: bool) {
    let max = scores.iter().copied().max().unwrap_or_default();
    for score in scores {
        let scaled = if max == 0 { 0 } else { MAX_NODE_SCORE * *score / max };
        *score = if reverse { MAX_NODE_SCORE - scaled } else { scaled };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mut scores: Vec<i64>, reverse: bool, expected: &[i64]) {
        scale_to_max(&mut scores, reverse);
        assert_eq!(scores, expected);
    }

    #[test]
    fn scores_are_scaled_in_integers() {
        check(vec![1, 2, 3], false, &[33, 66, 100]);
        check(vec![1, 2, 3], true, &[67, 34, 0]);
        check(vec![0, 0], false, &[0, 0]);
        check(vec![0, 0], true, &[100, 100]);
    }
}
