//! What the kubelet says of its node. Pure. Counterpart: `pkg/kubelet/nodestatus`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec,
    NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use labkit_api::Quantity;

use super::conditions::whole_seconds;
use crate::config::NodeConfig;
use crate::machine::StoredImage;

const KUBELET_VERSION: &str = "v1.32.4";
/// Evicting pods starts when less memory than this is free; pods cannot have it.
const MEMORY_RESERVED: i128 = 100 * 1024 * 1024;
/// Of the disk a tenth is kept back.
const DISK_RESERVED_PERCENT: i128 = 10;
/// The status lists no more images than this.
const IMAGES_MAX: usize = 50;

/// What a status is made of.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub config: &'a NodeConfig,
    pub boot_id: &'a str,
    pub machine_id: &'a str,
    pub images: &'a BTreeMap<String, StoredImage>,
    pub now: Timestamp,
}

/// Type, reason and message of each condition, and the event that tells of it.
pub(super) const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    (
        "MemoryPressure",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
        "NodeHasSufficientMemory",
    ),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"),
    (
        "PIDPressure",
        "KubeletHasSufficientPID",
        "kubelet has sufficient PID available",
        "NodeHasSufficientPID",
    ),
    ("Ready", "KubeletReady", "kubelet is posting ready status", "NodeReady"),
];

/// The node as it is registered.
pub(super) fn node(facts: &Facts) -> Node {
    let config = facts.config;
    let annotation = ("volumes.kubernetes.io/controller-managed-attach-detach".to_owned(), "true".to_owned());
    let metadata = ObjectMeta {
        name: Some(config.name.clone()),
        labels: Some(labels(config)),
        annotations: Some(BTreeMap::from([annotation])),
        ..ObjectMeta::default()
    };
    let spec = NodeSpec {
        pod_cidr: Some(config.pod_cidr.clone()),
        pod_cidrs: Some(vec![config.pod_cidr.clone()]),
        taints: Some(config.taints.clone()).filter(|taints| !taints.is_empty()),
        ..NodeSpec::default()
    };
    Node { metadata, spec: Some(spec), status: Some(status(facts, None)) }
}

/// The labels that every kubelet sets, and the machine's own.
pub(super) fn labels(config: &NodeConfig) -> BTreeMap<String, String> {
    let every = [
        ("beta.kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/hostname", &config.name),
        ("kubernetes.io/os", "linux"),
    ];
    let every = every.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    every.chain(config.labels.clone()).collect()
}

/// The status; transition times are kept from `before` where nothing changed.
pub(super) fn status(facts: &Facts, before: Option<&NodeStatus>) -> NodeStatus {
    let (capacity, allocatable) = resources(facts.config);
    let port = DaemonEndpoint { port: 10250 };
    NodeStatus {
        addresses: Some(vec![
            address("InternalIP", &facts.config.internal_ip.to_string()),
            address("Hostname", &facts.config.name),
        ]),
        capacity: Some(capacity),
        allocatable: Some(allocatable),
        conditions: Some(
            CONDITIONS.iter().map(|condition| self::condition(facts, before, condition)).collect(),
        ),
        daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(port) }),
        images: Some(images(facts.images)),
        node_info: Some(NodeSystemInfo {
            architecture: "amd64".to_owned(),
            boot_id: facts.boot_id.to_owned(),
            container_runtime_version: "containerd://1.7.24".to_owned(),
            kernel_version: "6.8.0-labkit".to_owned(),
            kube_proxy_version: KUBELET_VERSION.to_owned(),
            kubelet_version: KUBELET_VERSION.to_owned(),
            machine_id: facts.machine_id.to_owned(),
            operating_system: "linux".to_owned(),
            os_image: "labkit (simulated)".to_owned(),
            system_uuid: facts.machine_id.to_owned(),
        }),
        ..NodeStatus::default()
    }
}

fn address(type_: &str, address: &str) -> NodeAddress {
    NodeAddress { type_: type_.to_owned(), address: address.to_owned() }
}

fn condition(
    facts: &Facts,
    before: Option<&NodeStatus>,
    (type_, reason, message, _): &(&str, &str, &str, &str),
) -> NodeCondition {
    let status = if *type_ == "Ready" { "True" } else { "False" };
    let old = before.and_then(|before| before.conditions.as_ref()).into_iter().flatten();
    let old = old.into_iter().find(|old| old.type_ == *type_ && old.status == status);
    let now = whole_seconds(facts.now);
    NodeCondition {
        type_: (*type_).to_owned(),
        status: status.to_owned(),
        reason: Some((*reason).to_owned()),
        message: Some((*message).to_owned()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: old.and_then(|old| old.last_transition_time.clone()).or(Some(now)),
    }
}

fn images(images: &BTreeMap<String, StoredImage>) -> Vec<ContainerImage> {
    let mut sorted: Vec<&StoredImage> = images.values().collect();
    sorted.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.name.cmp(&b.name)));
    let listed = sorted.into_iter().take(IMAGES_MAX).map(|image| ContainerImage {
        names: Some(vec![image.name.to_string()]),
        size_bytes: Some(i64::try_from(image.size_bytes).unwrap_or(i64::MAX)),
    });
    listed.collect()
}

type List = BTreeMap<String, ApiQuantity>;

/// What the machine has, and what of it pods may have.
fn resources(config: &NodeConfig) -> (List, List) {
    let parsed = |text: &str| Quantity::parse(text).unwrap_or_default();
    let (memory, disk) = (parsed(&config.memory).value(), parsed(&config.ephemeral_storage).value());
    // In the form that the API server keeps, or each report would say that it has changed.
    let kibibytes = |bytes: i128| parsed(&format!("{}Ki", bytes.max(0) / 1024)).to_string();
    let list = |memory: String, disk: String| -> List {
        let pods = config.pods.to_string();
        let amounts = [
            ("cpu", parsed(&config.cpu).to_string()),
            ("ephemeral-storage", disk),
            ("hugepages-1Gi", "0".to_owned()),
            ("hugepages-2Mi", "0".to_owned()),
            ("memory", memory),
            ("pods", pods),
        ];
        amounts.into_iter().map(|(name, amount)| (name.to_owned(), ApiQuantity(amount))).collect()
    };
    let capacity = list(kibibytes(memory), kibibytes(disk));
    let disk_left = disk * (100 - DISK_RESERVED_PERCENT) / 100;
    (capacity, list(kibibytes(memory - MEMORY_RESERVED), disk_left.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_may_have_the_machine_but_for_what_is_kept_back() {
        let (capacity, allocatable) = resources(&NodeConfig::default());
        let of = |list: &List, name: &str| list[name].0.clone();
        assert_eq!(of(&capacity, "memory"), "8Gi");
        assert_eq!(of(&allocatable, "memory"), "8092Mi");
        assert_eq!((of(&allocatable, "cpu"), of(&allocatable, "pods")), ("4".to_owned(), "110".to_owned()));
        assert_eq!(of(&allocatable, "ephemeral-storage"), "96636764160");
    }

    #[test]
    fn a_heartbeat_keeps_the_time_of_the_last_transition() {
        let (config, images) = (NodeConfig::default(), BTreeMap::new());
        let at = |second| Facts {
            config: &config,
            boot_id: "b",
            machine_id: "m",
            images: &images,
            now: Timestamp::from_second(second).unwrap(),
        };
        let first = status(&at(10), None);
        let second = status(&at(20), Some(&first));
        let ready =
            second.conditions.unwrap().into_iter().find(|condition| condition.type_ == "Ready").unwrap();
        assert_eq!(ready.last_heartbeat_time.unwrap().0.as_second(), 20);
        assert_eq!(ready.last_transition_time.unwrap().0.as_second(), 10);
    }
}
