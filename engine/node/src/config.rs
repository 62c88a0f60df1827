//! How a node is made. Counterpart: the machine itself, and the kubelet's configuration file.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use labkit_api::duration::parse_duration;

/// A node's size, addresses and periods. `Default` is a machine of 4 CPUs and 8 GiB under kubelet 1.32's
/// defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeConfig {
    pub name: String,
    /// Kubernetes' notation: `4`, `500m`.
    pub cpu: String,
    pub memory: String,
    pub ephemeral_storage: String,
    /// The most pods that the kubelet takes.
    pub pods: i64,
    pub internal_ip: Ipv4Addr,
    /// The range of the pods' addresses: `10.244.1.0/24`. The kubelet registers it, for no controller hands
    /// ranges out.
    pub pod_cidr: String,
    /// In addition to those that every kubelet sets.
    pub labels: BTreeMap<String, String>,
    /// Set when the node is registered (`--register-with-taints`).
    pub taints: Vec<Taint>,
    /// How long the pull of an image takes that is not on the node yet.
    pub image_pull: Duration,
    /// How long a pod's sandbox takes, with its network.
    pub sandbox_start: Duration,
    /// How long it takes to create and start one container.
    pub container_start: Duration,
    /// How often the kubelet looks whether the node's status changed: 10 s.
    pub node_status_update_frequency: Duration,
    /// How often it reports a status that did not change: 5 min.
    pub node_status_report_frequency: Duration,
    /// The lease's duration, 40 s; it is renewed after a quarter of it.
    pub node_lease_duration: Duration,
}

impl Default for NodeConfig {
    fn default() -> NodeConfig {
        NodeConfig {
            name: "worker1".to_owned(),
            cpu: "4".to_owned(),
            memory: "8Gi".to_owned(),
            ephemeral_storage: "100Gi".to_owned(),
            pods: 110,
            internal_ip: Ipv4Addr::new(10, 0, 0, 11),
            pod_cidr: "10.244.1.0/24".to_owned(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            image_pull: Duration::from_secs(1),
            sandbox_start: Duration::from_millis(200),
            container_start: Duration::from_millis(100),
            node_status_update_frequency: Duration::from_secs(10),
            node_status_report_frequency: Duration::from_secs(300),
            node_lease_duration: Duration::from_secs(40),
        }
    }
}

impl NodeConfig {
    /// Sets what the kubelet's flags say, by their names without dashes. The error names every wrong one.
    pub fn set_flags(&mut self, flags: &BTreeMap<String, String>) -> Result<(), String> {
        let mut wrong = Vec::new();
        for (name, value) in flags {
            let duration = parse_duration(value);
            let slot = match name.as_str() {
                "node-status-update-frequency" => &mut self.node_status_update_frequency,
                "node-status-report-frequency" => &mut self.node_status_report_frequency,
                "node-lease-duration" => &mut self.node_lease_duration,
                "max-pods" => {
                    match value.parse() {
                        Ok(pods) => self.pods = pods,
                        Err(_) => wrong.push(format!("--{name}={value}: want a number")),
                    }
                    continue;
                }
                _ => {
                    wrong.push(format!("--{name}: unknown flag"));
                    continue;
                }
            };
            match duration {
                Ok(duration) if !duration.is_zero() => *slot = duration,
                _ => wrong.push(format!("--{name}={value}: want a duration such as 10s")),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// The name of the machine in the trace.
    pub(crate) fn machine_component(&self) -> String {
        format!("node/{}", self.name)
    }

    /// The name of its kubelet in the trace.
    pub(crate) fn kubelet_component(&self) -> String {
        format!("kubelet/{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_every_wrong_one_is_named() {
        let flags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut config = NodeConfig::default();
        config.set_flags(&flags(&[("max-pods", "3"), ("node-lease-duration", "20s")])).unwrap();
        assert_eq!((config.pods, config.node_lease_duration), (3, Duration::from_secs(20)));
        let error = config.set_flags(&flags(&[("max-pods", "few"), ("v", "4")])).unwrap_err();
        assert_eq!(error, "--max-pods=few: want a number; --v: unknown flag");
    }
}
