//! NodeAffinity: nodeSelector and required node affinity rule nodes out; preferred terms give points.
//! Counterpart: `plugins/nodeaffinity` and `component-helpers/scheduling/corev1/nodeaffinity`.

use k8s_openapi::api::core::v1::{self, NodeSelectorRequirement, NodeSelectorTerm, Pod};

use crate::cache::{NodeInfo, PodInfo};
use crate::framework::{FilterPlugin, Rejection, ScorePlugin, scale_to_max};

pub(super) struct NodeAffinity;

const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

impl FilterPlugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let spec = pod.pod.spec.as_ref();
        let mut selected = spec.and_then(|spec| spec.node_selector.as_ref()).into_iter().flatten();
        if !selected.all(|(label, value)| node.label(label) == Some(value)) {
            return Err(Rejection::unresolvable(REASON));
        }
        let required = affinity(&pod.pod)
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
        match required {
            Some(required) if !required.node_selector_terms.iter().any(|term| matches(term, node)) => {
                Err(Rejection::unresolvable(REASON))
            }
            _ => Ok(()),
        }
    }
}

impl ScorePlugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn applies(&self, pod: &PodInfo) -> bool {
        preferred(&pod.pod).next().is_some()
    }

    /// The sum of the weights of the preferred terms that the node matches.
    fn score(&self, pod: &PodInfo, node: &NodeInfo, _nodes: &[&NodeInfo]) -> i64 {
        let matching = preferred(&pod.pod).filter(|term| matches(&term.preference, node));
        matching.map(|term| i64::from(term.weight)).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        scale_to_max(scores, false);
    }
}

fn affinity(pod: &Pod) -> Option<&v1::NodeAffinity> {
    pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()
}

fn preferred(pod: &Pod) -> impl Iterator<Item = &v1::PreferredSchedulingTerm> {
    affinity(pod)
        .and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref())
        .into_iter()
        .flatten()
}

/// Whether all requirements of a term hold. A term without any matches nothing.
fn matches(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let field = |name: &str| (name == "metadata.name").then_some(node.name.as_str());
    expressions.iter().all(|requirement| holds(requirement, node.label(&requirement.key)))
        && fields.iter().all(|requirement| holds(requirement, field(&requirement.key)))
}

fn holds(requirement: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_listed = |actual: &str| values.iter().any(|value| value == actual);
    let compared = |wanted: std::cmp::Ordering| {
        let numbers = actual.and_then(|actual| actual.parse::<i64>().ok()).zip(values.first()?.parse().ok());
        numbers.map(|(actual, bound): (i64, i64)| actual.cmp(&bound) == wanted)
    };
    match requirement.operator.as_str() {
        "In" => actual.is_some_and(is_listed),
        "NotIn" => !actual.is_some_and(is_listed),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compared(std::cmp::Ordering::Greater) == Some(true),
        "Lt" => compared(std::cmp::Ordering::Less) == Some(true),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, node_info, pod};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn ssd_node() -> NodeInfo {
        node_info(node("n1", json!({"metadata": {"labels": {"disk": "ssd", "cores": "8"}}})), &[])
    }

    #[track_caller]
    fn check_required(terms: Value, expected: bool) {
        let required =
            json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        let info = PodInfo::new(Arc::new(pod(
            "a",
            json!({"containers": [], "affinity": {"nodeAffinity": required}}),
        )));
        assert_eq!(NodeAffinity.filter(&info, &ssd_node()).is_ok(), expected);
    }

    fn term(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
    }

    #[test]
    fn required_terms_are_alternatives_of_requirements() {
        check_required(json!([term("disk", "In", &["ssd", "nvme"])]), true);
        check_required(json!([term("disk", "NotIn", &["ssd"])]), false);
        check_required(json!([term("disk", "NotIn", &["ssd"]), term("disk", "Exists", &[])]), true);
        check_required(json!([term("gpu", "DoesNotExist", &[])]), true);
        check_required(json!([term("cores", "Gt", &["4"])]), true);
        check_required(json!([term("cores", "Lt", &["8"])]), false);
        check_required(
            json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]),
            true,
        );
        check_required(json!([{}]), false);
    }

    #[test]
    fn a_node_selector_wants_every_label() {
        let info =
            |selector| PodInfo::new(Arc::new(pod("a", json!({"containers": [], "nodeSelector": selector}))));
        assert!(NodeAffinity.filter(&info(json!({"disk": "ssd"})), &ssd_node()).is_ok());
        let refused =
            NodeAffinity.filter(&info(json!({"disk": "ssd", "gpu": "yes"})), &ssd_node()).unwrap_err();
        assert_eq!(refused.reasons, ["node(s) didn't match Pod's node affinity/selector"]);
    }

    #[test]
    fn preferred_terms_add_their_weights() {
        let preferred = json!([
            {"weight": 30, "preference": term("disk", "In", &["ssd"])},
            {"weight": 7, "preference": term("cores", "Exists", &[])},
            {"weight": 50, "preference": term("gpu", "Exists", &[])}]);
        let affinity =
            json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}});
        let info = PodInfo::new(Arc::new(pod("a", json!({"containers": [], "affinity": affinity}))));
        assert!(NodeAffinity.applies(&info));
        assert_eq!(NodeAffinity.score(&info, &ssd_node(), &[]), 37);
    }
}
