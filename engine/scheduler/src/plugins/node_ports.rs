//! NodePorts: a host port is had once per node. Counterpart: `plugins/nodeports`.

use std::sync::Arc;

use crate::cache::{NodeInfo, PodInfo};
use crate::framework::{ClusterEvent, FilterPlugin, Rejection};

pub(super) struct NodePorts;

impl FilterPlugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if node.pods.values().any(|other| conflict(pod, other)) {
            return Err(Rejection::resolvable("node(s) didn't have free ports for the requested pod ports"));
        }
        Ok(())
    }

    fn may_help(&self, pod: &PodInfo, event: &ClusterEvent) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::AssignedPodDeleted(gone) => conflict(pod, &PodInfo::new(Arc::clone(gone))),
            ClusterEvent::NodeUpdated { .. } | ClusterEvent::PodUpdated { .. } => false,
        }
    }
}

fn conflict(pod: &PodInfo, other: &PodInfo) -> bool {
    pod.host_ports.iter().any(|wanted| other.host_ports.iter().any(|taken| wanted.conflicts_with(taken)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, node_info, pod};
    use serde_json::{Value, json};

    #[track_caller]
    fn check(wanted: Value, expected: bool) {
        let with_port =
            |name, port: Value| pod(name, json!({"containers": [{"name": "c", "ports": [port]}]}));
        let taken = with_port("b", json!({"containerPort": 80, "hostPort": 8080, "hostIP": "10.0.0.1"}));
        let node = node_info(node("n1", json!({})), &[taken]);
        let info = PodInfo::new(Arc::new(with_port("a", wanted)));
        assert_eq!(NodePorts.filter(&info, &node).is_ok(), expected);
    }

    #[test]
    fn a_host_port_is_had_once_per_address_and_protocol() {
        check(json!({"containerPort": 80, "hostPort": 8080}), false);
        check(json!({"containerPort": 80, "hostPort": 8080, "hostIP": "10.0.0.1"}), false);
        check(json!({"containerPort": 80, "hostPort": 8080, "hostIP": "10.0.0.2"}), true);
        check(json!({"containerPort": 80, "hostPort": 8080, "protocol": "UDP"}), true);
        check(json!({"containerPort": 8080}), true);
    }
}
