//! How the controller manager is run: kube-controller-manager 1.32's defaults and its flags' names.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use labkit_api::duration::parse_duration;

use crate::list::controller_names;

/// Settings of the process and of its controllers.
#[derive(Debug, Clone, PartialEq)]
pub struct ControllerManagerConfig {
    /// Who it is in leader election: `master_<uuid>`.
    pub identity: String,
    pub leader_elect: bool,
    pub leader_elect_lease_duration: Duration,
    pub leader_elect_renew_deadline: Duration,
    pub leader_elect_retry_period: Duration,
    /// `*` is all, `-name` all but that one, `name` just that one.
    pub controllers: Vec<String>,
    /// Whether each controller acts as a service account of its own.
    pub use_service_account_credentials: bool,
    /// Whether anybody asks what ClusterRoles say. Where nobody does, none is aggregated: the rules are not looked at,
    /// and a cluster without RBAC is spared the watch.
    pub has_rbac: bool,
    pub concurrent_deployment_syncs: usize,
    pub concurrent_replicaset_syncs: usize,
    pub concurrent_namespace_syncs: usize,
    pub concurrent_gc_syncs: usize,
    pub concurrent_service_endpoint_syncs: usize,
    /// How often the health of nodes is looked at.
    pub node_monitor_period: Duration,
    /// How long a node may be silent before it counts as unknown. 50 s since 1.32, 40 s before.
    pub node_monitor_grace_period: Duration,
    /// The same for a node that never said anything.
    pub node_startup_grace_period: Duration,
    /// Nodes per second that are given a NoExecute taint, in a healthy zone.
    pub node_eviction_rate: f64,
    /// The same in a zone of which much is down, if the zone is large; a small one then gets none.
    pub secondary_node_eviction_rate: f64,
    /// From how many nodes on a zone is large.
    pub large_cluster_size_threshold: usize,
    /// From which share of nodes that are not ready (and at least three) on a zone is unhealthy.
    pub unhealthy_zone_threshold: f64,
    /// How many finished pods may stay.
    pub terminated_pod_gc_threshold: usize,
}

impl Default for ControllerManagerConfig {
    fn default() -> ControllerManagerConfig {
        ControllerManagerConfig {
            identity: "master".to_owned(),
            leader_elect: true,
            leader_elect_lease_duration: Duration::from_secs(15),
            leader_elect_renew_deadline: Duration::from_secs(10),
            leader_elect_retry_period: Duration::from_secs(2),
            controllers: vec!["*".to_owned()],
            use_service_account_credentials: false,
            has_rbac: false,
            concurrent_deployment_syncs: 5,
            concurrent_replicaset_syncs: 5,
            concurrent_namespace_syncs: 10,
            concurrent_gc_syncs: 20,
            concurrent_service_endpoint_syncs: 5,
            node_monitor_period: Duration::from_secs(5),
            node_monitor_grace_period: Duration::from_secs(50),
            node_startup_grace_period: Duration::from_secs(60),
            node_eviction_rate: 0.1,
            secondary_node_eviction_rate: 0.01,
            large_cluster_size_threshold: 50,
            unhealthy_zone_threshold: 0.55,
            terminated_pod_gc_threshold: 12_500,
        }
    }
}

impl ControllerManagerConfig {
    /// The defaults, changed by flags: names without dashes in front, values as on a command line.
    pub fn from_flags(flags: &BTreeMap<String, String>) -> Result<ControllerManagerConfig, String> {
        let mut config = ControllerManagerConfig::default();
        for (name, value) in flags {
            config.set(name, value)?;
        }
        Ok(config)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = Flag { name, value };
        match name {
            "leader-elect" => self.leader_elect = text.boolean()?,
            "leader-elect-lease-duration" => self.leader_elect_lease_duration = text.duration()?,
            "leader-elect-renew-deadline" => self.leader_elect_renew_deadline = text.duration()?,
            "leader-elect-retry-period" => self.leader_elect_retry_period = text.duration()?,
            "controllers" => self.controllers = text.controllers()?,
            "use-service-account-credentials" => self.use_service_account_credentials = text.boolean()?,
            "concurrent-deployment-syncs" => self.concurrent_deployment_syncs = text.at_least_one()?,
            "concurrent-replicaset-syncs" => self.concurrent_replicaset_syncs = text.at_least_one()?,
            "concurrent-namespace-syncs" => self.concurrent_namespace_syncs = text.at_least_one()?,
            "concurrent-gc-syncs" => self.concurrent_gc_syncs = text.at_least_one()?,
            "concurrent-service-endpoint-syncs" => {
                self.concurrent_service_endpoint_syncs = text.at_least_one()?
            }
            "node-monitor-period" => self.node_monitor_period = text.period()?,
            "node-monitor-grace-period" => self.node_monitor_grace_period = text.duration()?,
            "node-startup-grace-period" => self.node_startup_grace_period = text.duration()?,
            "node-eviction-rate" => self.node_eviction_rate = text.number()?,
            "secondary-node-eviction-rate" => self.secondary_node_eviction_rate = text.number()?,
            "large-cluster-size-threshold" => self.large_cluster_size_threshold = text.number()?,
            "unhealthy-zone-threshold" => self.unhealthy_zone_threshold = text.number()?,
            "terminated-pod-gc-threshold" => self.terminated_pod_gc_threshold = text.number()?,
            _ => return Err(format!("unknown flag: --{name}")),
        }
        Ok(())
    }

    /// Whether the controller of that name runs. Counterpart: `IsControllerEnabled`.
    pub fn is_enabled(&self, controller: &str) -> bool {
        let named = self.controllers.iter().find_map(|entry| match entry.strip_prefix('-') {
            Some(off) => (off == controller).then_some(false),
            None => (entry == controller).then_some(true),
        });
        named.unwrap_or_else(|| self.controllers.iter().any(|entry| entry == "*"))
    }
}

struct Flag<'a> {
    name: &'a str,
    value: &'a str,
}

impl Flag<'_> {
    fn invalid(&self, why: &str) -> String {
        format!("invalid argument {:?} for \"--{}\" flag: {why}", self.value, self.name)
    }

    fn duration(&self) -> Result<Duration, String> {
        parse_duration(self.value).map_err(|why| self.invalid(&why))
    }

    fn period(&self) -> Result<Duration, String> {
        let period = self.duration()?;
        if period.is_zero() { Err(self.invalid("must be greater than zero")) } else { Ok(period) }
    }

    fn boolean(&self) -> Result<bool, String> {
        match self.value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.invalid("must be true or false")),
        }
    }

    fn number<N: FromStr>(&self) -> Result<N, String> {
        self.value.parse().map_err(|_| self.invalid("not a number of the right kind"))
    }

    fn at_least_one(&self) -> Result<usize, String> {
        match self.number()? {
            0 => Err(self.invalid("must be greater than zero")),
            count => Ok(count),
        }
    }

    fn controllers(&self) -> Result<Vec<String>, String> {
        let entries: Vec<String> = self.value.split(',').map(|entry| entry.trim().to_owned()).collect();
        let known = |entry: &str| entry == "*" || controller_names().contains(&entry.trim_start_matches('-'));
        match entries.iter().find(|entry| !known(entry)) {
            Some(unknown) => Err(format!(
                "{unknown:?} is not in the list of known controllers: {}",
                controller_names().join(", ")
            )),
            None => Ok(entries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(name: &str, value: &str) -> Result<ControllerManagerConfig, String> {
        ControllerManagerConfig::from_flags(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn flags_have_upstream_names_and_notations() {
        let config = flags("node-monitor-grace-period", "40s").unwrap();
        assert_eq!(config.node_monitor_grace_period, Duration::from_secs(40));
        assert_eq!(flags("node-eviction-rate", "0.5").unwrap().node_eviction_rate, 0.5);
        assert!(!flags("leader-elect", "false").unwrap().leader_elect);
    }

    #[track_caller]
    fn check_error(name: &str, value: &str, expected: &str) {
        assert_eq!(flags(name, value).unwrap_err(), expected);
    }

    #[test]
    fn a_wrong_flag_says_what_is_wrong() {
        check_error(
            "node-monitor-period",
            "5",
            "invalid argument \"5\" for \"--node-monitor-period\" flag: time: missing unit in duration \"5\"",
        );
        check_error(
            "node-monitor-period",
            "0s",
            "invalid argument \"0s\" for \"--node-monitor-period\" flag: must be greater than zero",
        );
        check_error("node-montor-period", "5s", "unknown flag: --node-montor-period");
        let error = flags("controllers", "*,-deploymnt").unwrap_err();
        assert!(
            error.starts_with(
                "\"-deploymnt\" is not in the list of known controllers: deployment-controller,"
            ),
            "{error}"
        );
    }

    #[test]
    fn controllers_are_switched_by_name() {
        let config = flags("controllers", "*,-deployment-controller").unwrap();
        assert!(!config.is_enabled("deployment-controller"));
        assert!(config.is_enabled("replicaset-controller"));
        let only = flags("controllers", "namespace-controller").unwrap();
        assert!(only.is_enabled("namespace-controller"));
        assert!(!only.is_enabled("deployment-controller"));
    }
}
