//! NodeUnschedulable: no pod on a cordoned node, unless it tolerates that. Counterpart:
//! `plugins/nodeunschedulable`.

use k8s_openapi::api::core::v1::Taint;

use super::taint_toleration::tolerates;
use crate::cache::{NodeInfo, PodInfo};
use crate::framework::{FilterPlugin, Rejection};

pub(super) struct NodeUnschedulable;

impl FilterPlugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !node.is_unschedulable() {
            return Ok(());
        }
        let cordoned = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        if pod.tolerations().iter().any(|toleration| tolerates(toleration, &cordoned)) {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) were unschedulable"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, node_info, pod};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_cordoned_node_is_skipped_but_for_those_who_tolerate_it() {
        let cordoned = node_info(node("n1", json!({"spec": {"unschedulable": true}})), &[]);
        let info = |spec| PodInfo::new(Arc::new(pod("a", spec)));
        let refused = NodeUnschedulable.filter(&info(json!({"containers": []})), &cordoned).unwrap_err();
        assert_eq!(refused.reasons, ["node(s) were unschedulable"]);
        let daemon = json!({"containers": [], "tolerations": [
            {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}]});
        assert!(NodeUnschedulable.filter(&info(daemon), &cordoned).is_ok());
    }
}
