//! Nodes with what is placed on them. A pod is assumed on its node as soon as that is decided, so that the
//! next decision counts it, although its binding is still on its way. Counterpart: `backend/cache`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use labkit_api::ObjectKey;

use crate::requests::{self, CpuMemory, Resources};

/// A pod with what every decision wants to know of it.
#[derive(Debug)]
pub(crate) struct PodInfo {
    pub pod: Arc<Pod>,
    pub key: ObjectKey,
    pub requests: Resources,
    pub requests_for_scores: CpuMemory,
    pub host_ports: BTreeSet<HostPort>,
}

/// A port that a pod takes on its node: address, protocol, number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPort {
    pub ip: String,
    pub protocol: String,
    pub port: i32,
}

/// A node and the pods on it. Without `node` it is only a name that pods were placed on.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeInfo {
    pub node: Option<Arc<Node>>,
    pub name: String,
    pub pods: BTreeMap<ObjectKey, Arc<PodInfo>>,
    pub requested: Resources,
    pub requested_for_scores: CpuMemory,
    pub allocatable: Resources,
    pub allowed_pods: i64,
    /// Sizes in bytes of the images on the node, by each of their names.
    pub images: BTreeMap<String, i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Cache {
    nodes: BTreeMap<String, NodeInfo>,
    /// Where each pod is placed.
    placed: BTreeMap<ObjectKey, String>,
    /// Those of them that only the scheduler believes in so far.
    assumed: BTreeSet<ObjectKey>,
}

impl PodInfo {
    pub fn new(pod: Arc<Pod>) -> PodInfo {
        let key = key_of(&pod);
        let requests = requests::of_pod(&pod);
        let requests_for_scores = requests::of_pod_for_scores(&pod);
        let host_ports = host_ports(&pod);
        PodInfo { pod, key, requests, requests_for_scores, host_ports }
    }

    pub fn tolerations(&self) -> &[Toleration] {
        self.pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default()
    }

    pub fn priority(&self) -> i32 {
        self.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or_default()
    }
}

pub(crate) fn key_of(pod: &Pod) -> ObjectKey {
    let metadata = &pod.metadata;
    ObjectKey::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

fn host_ports(pod: &Pod) -> BTreeSet<HostPort> {
    let Some(spec) = &pod.spec else { return BTreeSet::new() };
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let taken = ports.filter_map(|port| Some((port, port.host_port.filter(|number| *number > 0)?)));
    taken
        .map(|(port, number)| HostPort {
            ip: port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned()),
            protocol: port
                .protocol
                .clone()
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "TCP".to_owned()),
            port: number,
        })
        .collect()
}

impl HostPort {
    /// Whether both cannot be had on one node.
    pub fn conflicts_with(&self, other: &HostPort) -> bool {
        let same_ip = self.ip == other.ip || self.ip == "0.0.0.0" || other.ip == "0.0.0.0";
        same_ip && self.protocol == other.protocol && self.port == other.port
    }
}

impl NodeInfo {
    /// A node with nothing on it.
    pub fn empty(node: Arc<Node>) -> NodeInfo {
        let mut info =
            NodeInfo { name: node.metadata.name.clone().unwrap_or_default(), ..NodeInfo::default() };
        info.set(node);
        info
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.node.as_ref()?.metadata.labels.as_ref()?.get(name).map(String::as_str)
    }

    pub fn taints(&self) -> &[Taint] {
        let spec = self.node.as_ref().and_then(|node| node.spec.as_ref());
        spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
    }

    pub fn is_unschedulable(&self) -> bool {
        let spec = self.node.as_ref().and_then(|node| node.spec.as_ref());
        spec.is_some_and(|spec| spec.unschedulable == Some(true))
    }

    fn set(&mut self, node: Arc<Node>) {
        let status = node.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.clone()).unwrap_or_default();
        self.allocatable = Resources::of(&allocatable);
        let pods = allocatable.get("pods").and_then(|pods| labkit_api::Quantity::parse(&pods.0).ok());
        self.allowed_pods = pods.map_or(0, |pods| i64::try_from(pods.value()).unwrap_or(i64::MAX));
        let images = status.and_then(|status| status.images.as_deref()).unwrap_or_default();
        let sizes = images.iter().flat_map(|image| {
            let size = image.size_bytes.unwrap_or_default();
            image.names.iter().flatten().map(move |name| (name.clone(), size))
        });
        self.images = sizes.collect();
        self.node = Some(node);
    }

    fn put(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.requested_for_scores.milli_cpu += pod.requests_for_scores.milli_cpu;
        self.requested_for_scores.memory += pod.requests_for_scores.memory;
        self.pods.insert(pod.key.clone(), pod);
    }

    fn take(&mut self, key: &ObjectKey) {
        let Some(pod) = self.pods.remove(key) else { return };
        self.requested.subtract(&pod.requests);
        self.requested_for_scores.milli_cpu -= pod.requests_for_scores.milli_cpu;
        self.requested_for_scores.memory -= pod.requests_for_scores.memory;
    }
}

impl Cache {
    /// The nodes that exist, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.values().filter(|info| info.node.is_some())
    }

    pub fn set_node(&mut self, node: Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        self.entry(&name).set(node);
    }

    pub fn remove_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.get_mut(name) {
            info.node = None;
            if info.pods.is_empty() {
                self.nodes.remove(name);
            }
        }
    }

    /// Counts a pod that the API server says is on `node`; replaces what was assumed of it.
    pub fn add(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.remove(&pod.key);
        self.placed.insert(pod.key.clone(), node.to_owned());
        self.entry(node).put(pod);
    }

    /// Counts a pod on the node that was just chosen.
    pub fn assume(&mut self, pod: Arc<PodInfo>, node: &str) {
        let key = pod.key.clone();
        self.add(pod, node);
        self.assumed.insert(key);
    }

    /// Takes back what was assumed, because the binding failed.
    pub fn forget(&mut self, key: &ObjectKey) {
        if self.assumed.contains(key) {
            self.remove(key);
        }
    }

    pub fn is_assumed(&self, key: &ObjectKey) -> bool {
        self.assumed.contains(key)
    }

    pub fn remove(&mut self, key: &ObjectKey) {
        self.assumed.remove(key);
        let Some(name) = self.placed.remove(key) else { return };
        if let Some(info) = self.nodes.get_mut(&name) {
            info.take(key);
            if info.node.is_none() && info.pods.is_empty() {
                self.nodes.remove(&name);
            }
        }
    }

    fn entry(&mut self, name: &str) -> &mut NodeInfo {
        self.nodes
            .entry(name.to_owned())
            .or_insert_with(|| NodeInfo { name: name.to_owned(), ..NodeInfo::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asking, node};
    use serde_json::json;

    fn info(name: &str) -> Arc<PodInfo> {
        Arc::new(PodInfo::new(Arc::new(asking(name, "1", "1Gi"))))
    }

    fn requested(cache: &Cache) -> i64 {
        cache.nodes().map(|node| node.requested.milli_cpu).sum()
    }

    #[test]
    fn an_assumed_pod_counts_until_it_is_forgotten_or_confirmed() {
        let mut cache = Cache::default();
        cache.set_node(Arc::new(node("n1", json!({}))));
        cache.assume(info("a"), "n1");
        assert_eq!(requested(&cache), 1000);
        cache.forget(&info("a").key);
        assert_eq!(requested(&cache), 0);
        cache.assume(info("a"), "n1");
        cache.add(info("a"), "n1");
        cache.forget(&info("a").key);
        assert_eq!(requested(&cache), 1000, "what the API server confirmed is not forgotten");
        cache.remove(&info("a").key);
        assert_eq!(requested(&cache), 0);
    }

    #[test]
    fn pods_may_come_before_their_node_and_outlive_it() {
        let mut cache = Cache::default();
        cache.add(info("a"), "n1");
        assert_eq!(cache.nodes().count(), 0);
        cache.set_node(Arc::new(node("n1", json!({}))));
        assert_eq!(requested(&cache), 1000);
        cache.remove_node("n1");
        assert_eq!(cache.nodes().count(), 0);
        cache.set_node(Arc::new(node("n1", json!({}))));
        assert_eq!(requested(&cache), 1000);
    }
}
