//! Pods, nodes and caches for this crate's unit tests.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use crate::cache::{Cache, NodeInfo, PodInfo};

/// The pod default/`name` with that spec.
pub(crate) fn pod(name: &str, spec: Value) -> Pod {
    let pod = json!({"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": spec});
    serde_json::from_value(pod).unwrap()
}

/// A pod of one container that asks for that much.
pub(crate) fn asking(name: &str, cpu: &str, memory: &str) -> Pod {
    pod(
        name,
        json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}),
    )
}

/// A node of 4 CPUs, 8 GiB and 110 pods, changed by the JSON that is laid over it.
pub(crate) fn node(name: &str, over: Value) -> Node {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    });
    labkit_api::patch::merge_patch(&mut node, &over);
    serde_json::from_value(node).unwrap()
}

/// A cache of one node with these pods on it.
pub(crate) fn node_info(node: Node, pods: &[Pod]) -> NodeInfo {
    let name = node.metadata.name.clone().unwrap();
    let mut cache = Cache::default();
    cache.set_node(Arc::new(node));
    for pod in pods {
        cache.add(Arc::new(PodInfo::new(Arc::new(pod.clone()))), &name);
    }
    cache.nodes().next().unwrap().clone()
}
