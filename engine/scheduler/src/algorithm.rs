//! One decision, as a pure function: filter, score, normalize, weigh, choose. Counterpart:
//! `schedule_one.go`.

use std::collections::BTreeSet;

use crate::cache::{NodeInfo, PodInfo};
use crate::decisions::{NodeResult, PluginScore};
use crate::framework::Rejection;
use crate::plugins::{FILTERS, SCORES};

/// What came of looking for a node.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// By the name of the node.
    pub nodes: Vec<NodeResult>,
    pub chosen: Option<String>,
    pub rejections: Vec<Rejection>,
    pub rejected_by: BTreeSet<&'static str>,
}

/// Finds the best node. `pick` draws one of so many that share the highest score.
pub(crate) fn decide(pod: &PodInfo, nodes: &[&NodeInfo], pick: impl FnOnce(usize) -> usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut feasible = Vec::new();
    for node in nodes {
        let mut result =
            NodeResult { node: node.name.clone(), filtered_by: None, scores: Vec::new(), total: 0 };
        match filter(pod, node) {
            None => feasible.push((outcome.nodes.len(), *node)),
            Some((plugin, rejection)) => {
                result.filtered_by = Some((plugin.to_owned(), rejection.reasons.join(", ")));
                outcome.rejected_by.insert(plugin);
                outcome.rejections.push(rejection);
            }
        }
        outcome.nodes.push(result);
    }
    if feasible.len() > 1 {
        score(pod, &feasible, nodes, &mut outcome.nodes);
    }
    let best = feasible.iter().map(|(index, _)| outcome.nodes[*index].total).max();
    let tied: Vec<_> =
        feasible.iter().filter(|(index, _)| Some(outcome.nodes[*index].total) == best).collect();
    outcome.chosen = match tied.as_slice() {
        [] => None,
        [(_, only)] => Some(only.name.clone()),
        several => Some(several[pick(several.len())].1.name.clone()),
    };
    outcome
}

fn filter(pod: &PodInfo, node: &NodeInfo) -> Option<(&'static str, Rejection)> {
    FILTERS
        .iter()
        .find_map(|plugin| plugin.filter(pod, node).err().map(|rejection| (plugin.name(), rejection)))
}

fn score(pod: &PodInfo, feasible: &[(usize, &NodeInfo)], nodes: &[&NodeInfo], results: &mut [NodeResult]) {
    for plugin in SCORES.iter().filter(|plugin| plugin.applies(pod)) {
        let raw: Vec<i64> = feasible.iter().map(|(_, node)| plugin.score(pod, node, nodes)).collect();
        let mut normalized = raw.clone();
        plugin.normalize(&mut normalized);
        for ((index, _), (raw, normalized)) in feasible.iter().zip(raw.into_iter().zip(normalized)) {
            let score =
                PluginScore { plugin: plugin.name().to_owned(), raw, normalized, weight: plugin.weight() };
            results[*index].total += score.normalized * score.weight;
            results[*index].scores.push(score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asking, node, node_info, pod};
    use serde_json::json;
    use std::sync::Arc;

    fn info(pod: k8s_openapi::api::core::v1::Pod) -> PodInfo {
        PodInfo::new(Arc::new(pod))
    }

    #[test]
    fn the_emptier_node_wins_and_every_score_is_told() {
        let nodes = [
            node_info(node("n1", json!({})), &[asking("b", "1", "2Gi")]),
            node_info(node("n2", json!({})), &[]),
        ];
        let nodes: Vec<&NodeInfo> = nodes.iter().collect();
        let outcome = decide(&info(asking("a", "500m", "512Mi")), &nodes, |_| unreachable!("no tie"));
        assert_eq!(outcome.chosen.as_deref(), Some("n2"));
        let told: Vec<_> =
            outcome.nodes[0].scores.iter().map(|s| (s.plugin.as_str(), s.normalized, s.weight)).collect();
        let expected = [
            ("TaintToleration", 100, 3),
            ("NodeResourcesFit", 65, 1),
            ("NodeResourcesBalancedAllocation", 96, 1),
            ("ImageLocality", 0, 1),
        ];
        assert_eq!(told, expected);
        assert_eq!(outcome.nodes[0].total, 461);
    }

    #[test]
    fn a_tie_is_broken_by_the_draw() {
        let nodes: Vec<NodeInfo> =
            ["n1", "n2", "n3"].iter().map(|name| node_info(node(name, json!({})), &[])).collect();
        let nodes: Vec<&NodeInfo> = nodes.iter().collect();
        let outcome = decide(&info(pod("a", json!({"containers": []}))), &nodes, |tied| tied - 1);
        assert_eq!(outcome.chosen.as_deref(), Some("n3"));
    }

    #[test]
    fn the_first_filter_that_refuses_names_the_reason() {
        let cordoned =
            json!({"spec": {"unschedulable": true, "taints": [{"key": "k", "effect": "NoSchedule"}]}});
        let nodes = [node_info(node("n1", cordoned), &[])];
        let outcome = decide(&info(asking("a", "9", "1Gi")), &nodes.iter().collect::<Vec<_>>(), |_| 0);
        assert_eq!(outcome.chosen, None);
        let expected = ("NodeUnschedulable".to_owned(), "node(s) were unschedulable".to_owned());
        assert_eq!(outcome.nodes[0].filtered_by, Some(expected));
    }
}
