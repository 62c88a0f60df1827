//! NodeResourcesBalancedAllocation: points for nodes whose CPU and memory would be used to the same
//! fraction. Counterpart: `plugins/noderesources/balanced_allocation.go`.

use crate::cache::{NodeInfo, PodInfo};
use crate::framework::{MAX_NODE_SCORE, ScorePlugin};

pub(super) struct NodeResourcesBalancedAllocation;

impl ScorePlugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _nodes: &[&NodeInfo]) -> i64 {
        let (taken, wanted) = (node.requested.cpu_memory(), pod.requests.cpu_memory());
        let cpu = fraction(taken.milli_cpu + wanted.milli_cpu, node.allocatable.milli_cpu);
        let memory = fraction(taken.memory + wanted.memory, node.allocatable.memory);
        // Upstream computes in float64: so do we, step by step, for the same last digit.
        let deviation = match (cpu, memory) {
            (Some(cpu), Some(memory)) => ((cpu - memory) / 2.0).abs(),
            _ => 0.0,
        };
        ((1.0 - deviation) * MAX_NODE_SCORE as f64) as i64
    }
}

fn fraction(requested: i64, allocatable: i64) -> Option<f64> {
    (allocatable != 0).then(|| (requested as f64 / allocatable as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asking, node, node_info};
    use serde_json::json;
    use std::sync::Arc;

    #[track_caller]
    fn check(there: (&str, &str), wanted: (&str, &str), expected: i64) {
        let node = node_info(node("n1", json!({})), &[asking("there", there.0, there.1)]);
        let info = PodInfo::new(Arc::new(asking("a", wanted.0, wanted.1)));
        assert_eq!(NodeResourcesBalancedAllocation.score(&info, &node, &[]), expected);
    }

    #[test]
    fn the_worked_example_scores_96() {
        check(("1", "2Gi"), ("500m", "512Mi"), 96);
    }

    #[test]
    fn an_even_use_scores_best() {
        check(("1", "2Gi"), ("1", "2Gi"), 100);
        check(("0", "0"), ("4", "0"), 50);
    }
}
