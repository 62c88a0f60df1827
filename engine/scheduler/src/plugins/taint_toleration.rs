//! TaintToleration: NoSchedule and NoExecute taints rule out who does not tolerate them; PreferNoSchedule
//! taints cost points. Counterpart: `plugins/tainttoleration`.

use k8s_openapi::api::core::v1::{Pod, Taint, Toleration};

use crate::cache::{NodeInfo, PodInfo};
use crate::framework::{ClusterEvent, FilterPlugin, Rejection, ScorePlugin, node_passes_now, scale_to_max};

pub(super) struct TaintToleration;

impl FilterPlugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let mut hard =
            node.taints().iter().filter(|taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute");
        let tolerated =
            |taint: &&Taint| pod.tolerations().iter().any(|toleration| tolerates(toleration, taint));
        match hard.find(|taint| !tolerated(taint)) {
            None => Ok(()),
            Some(Taint { key, value, .. }) => {
                let value = value.as_deref().unwrap_or_default();
                Err(Rejection::unresolvable(format!("node(s) had untolerated taint {{{key}: {value}}}")))
            }
        }
    }

    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        let tolerations = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.tolerations.clone());
        match event {
            ClusterEvent::PodUpdated { old, new } => tolerations(old) != tolerations(new),
            _ => node_passes_now(self, pod, event),
        }
    }
}

impl ScorePlugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn weight(&self) -> i64 {
        3
    }

    /// How many PreferNoSchedule taints the pod does not tolerate.
    fn score(&self, pod: &PodInfo, node: &NodeInfo, _nodes: &[&NodeInfo]) -> i64 {
        let soft = node.taints().iter().filter(|taint| taint.effect == "PreferNoSchedule");
        let tolerated =
            |taint: &&Taint| pod.tolerations().iter().any(|toleration| tolerates(toleration, taint));
        soft.filter(|taint| !tolerated(taint)).count() as i64
    }

    fn normalize(&self, scores: &mut [i64]) {
        scale_to_max(scores, true);
    }
}

/// Whether a toleration covers a taint: an empty effect or key covers all of them.
pub(super) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let empty_or = |field: &Option<String>, value: &str| {
        field.as_deref().is_none_or(|field| field.is_empty() || field == value)
    };
    if !empty_or(&toleration.effect, &taint.effect) || !empty_or(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => true,
        "" | "Equal" => {
            toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, node_info, pod};
    use serde_json::{Value, json};
    use std::sync::Arc;

    #[track_caller]
    fn check(tolerations: Value, taint: Value, expected: Result<(), &str>) {
        let info = PodInfo::new(Arc::new(pod("a", json!({"containers": [], "tolerations": tolerations}))));
        let node = node_info(node("n1", json!({"spec": {"taints": [taint]}})), &[]);
        let got = TaintToleration.filter(&info, &node).map_err(|rejection| rejection.reasons.join(", "));
        assert_eq!(got, expected.map_err(str::to_owned));
    }

    #[test]
    fn hard_taints_want_a_toleration() {
        let gpu = || json!({"key": "gpu", "value": "true", "effect": "NoSchedule"});
        let unreachable = || json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"});
        check(json!([]), gpu(), Err("node(s) had untolerated taint {gpu: true}"));
        check(
            json!([]),
            unreachable(),
            Err("node(s) had untolerated taint {node.kubernetes.io/unreachable: }"),
        );
        check(json!([{"key": "gpu", "value": "true"}]), gpu(), Ok(()));
        check(
            json!([{"key": "gpu", "value": "no"}]),
            gpu(),
            Err("node(s) had untolerated taint {gpu: true}"),
        );
        check(json!([{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]), gpu(), Ok(()));
        check(
            json!([{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]),
            gpu(),
            Err("node(s) had untolerated taint {gpu: true}"),
        );
        check(json!([{"operator": "Exists"}]), unreachable(), Ok(()));
        check(json!([]), json!({"key": "old", "effect": "PreferNoSchedule"}), Ok(()));
    }

    #[test]
    fn a_soft_taint_costs_points() {
        let info = PodInfo::new(Arc::new(pod("a", json!({"containers": []}))));
        let soft = json!({"spec": {"taints": [{"key": "old", "effect": "PreferNoSchedule"}]}});
        let nodes = [node_info(node("n1", soft), &[]), node_info(node("n2", json!({})), &[])];
        let mut scores = nodes.iter().map(|node| TaintToleration.score(&info, node, &[])).collect::<Vec<_>>();
        TaintToleration.normalize(&mut scores);
        assert_eq!(scores, [0, 100]);
    }
}
