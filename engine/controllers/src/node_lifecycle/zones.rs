//! Zones: how much of each is down, and how fast its nodes may be tainted with NoExecute.
//! Counterparts: `handleDisruption`, `RateLimitedTimedQueue`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;

use crate::config::ControllerManagerConfig;

/// How much of a zone is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoneState {
    Normal,
    /// More than the threshold, and at least three nodes.
    PartialDisruption,
    /// Every node.
    FullDisruption,
}

/// What a look at all zones led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disruption {
    Usual,
    /// Every zone is fully down: more likely the control plane is cut off than all nodes are dead, so all
    /// NoExecute taints are taken away.
    Began,
    /// That is over: every node gets a new grace period.
    Ended,
}

#[derive(Debug, Default)]
pub(super) struct Zones(BTreeMap<String, Zone>);

#[derive(Debug)]
struct Zone {
    state: Option<ZoneState>,
    limiter: Limiter,
    waiting: VecDeque<String>,
}

/// A token bucket that holds one token, full at first.
#[derive(Debug)]
struct Limiter {
    per_second: f64,
    next: Duration,
}

impl Limiter {
    fn try_accept(&mut self, now: Duration) -> bool {
        if self.per_second <= 0.0 || now < self.next {
            return false;
        }
        self.next = now + Duration::from_secs_f64(1.0 / self.per_second);
        true
    }

    /// A new rate; a wait that is under way begins anew.
    fn set(&mut self, per_second: f64, now: Duration) {
        if self.per_second == per_second {
            return;
        }
        let waits = now < self.next;
        *self = Limiter { per_second, next: Duration::ZERO };
        if waits {
            self.try_accept(now);
        }
    }
}

/// `region:zone`, or nothing for nodes without those labels.
pub(super) fn key(node: &Node) -> String {
    let label =
        |name| node.metadata.labels.as_ref().and_then(|labels| labels.get(name)).map_or("", String::as_str);
    let (region, zone) = (label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"));
    if region.is_empty() && zone.is_empty() { String::new() } else { format!("{region}:\0:{zone}") }
}

impl Zones {
    /// Queues a node for a NoExecute taint.
    pub fn add(&mut self, zone: String, node: &str, config: &ControllerManagerConfig) {
        let zone = self.zone(zone, config);
        if !zone.waiting.iter().any(|waiting| waiting == node) {
            zone.waiting.push_back(node.to_owned());
        }
    }

    pub fn remove(&mut self, node: &str) {
        for zone in self.0.values_mut() {
            zone.waiting.retain(|waiting| waiting != node);
        }
    }

    /// The nodes whose turn it is.
    pub fn take(&mut self, now: Duration) -> Vec<String> {
        let mut taken = Vec::new();
        for zone in self.0.values_mut() {
            while !zone.waiting.is_empty() && zone.limiter.try_accept(now) {
                taken.extend(zone.waiting.pop_front());
            }
        }
        taken
    }

    /// When the next node's turn comes, if any waits where the rate is not zero.
    pub fn next_turn(&self) -> Option<Duration> {
        let moving = self.0.values().filter(|zone| !zone.waiting.is_empty() && zone.limiter.per_second > 0.0);
        moving.map(|zone| zone.limiter.next).min()
    }

    /// Judges the zones by (ready, not ready) nodes, and sets their rates.
    pub fn judge(
        &mut self,
        nodes: &BTreeMap<String, (usize, usize)>,
        config: &ControllerManagerConfig,
        now: Duration,
    ) -> Disruption {
        let full = Some(ZoneState::FullDisruption);
        for zone in nodes.keys() {
            self.zone(zone.clone(), config);
        }
        self.0.retain(|zone, _| nodes.contains_key(zone));
        let all_were_down = self.0.values().all(|zone| zone.state == full);
        let states: Vec<ZoneState> = nodes.values().map(|counts| state(*counts, config)).collect();
        let all_are_down = states.iter().all(|state| *state == ZoneState::FullDisruption);
        match (all_were_down, all_are_down) {
            (true, true) => Disruption::Usual,
            (false, true) => {
                for zone in self.0.values_mut() {
                    zone.limiter.set(0.0, now);
                    zone.state = full;
                }
                Disruption::Began
            }
            (before, false) => {
                for ((zone, counts), state) in self.0.values_mut().zip(nodes.values()).zip(states) {
                    if zone.state != Some(state) {
                        zone.limiter.set(rate(state, counts.0 + counts.1, config), now);
                        zone.state = Some(state);
                    }
                }
                if before && !nodes.is_empty() { Disruption::Ended } else { Disruption::Usual }
            }
        }
    }

    fn zone(&mut self, zone: String, config: &ControllerManagerConfig) -> &mut Zone {
        self.0.entry(zone).or_insert_with(|| Zone {
            state: None,
            limiter: Limiter { per_second: config.node_eviction_rate, next: Duration::ZERO },
            waiting: VecDeque::new(),
        })
    }
}

fn state((ready, not_ready): (usize, usize), config: &ControllerManagerConfig) -> ZoneState {
    let share = not_ready as f64 / (ready + not_ready).max(1) as f64;
    if ready == 0 && not_ready > 0 {
        ZoneState::FullDisruption
    } else if not_ready > 2 && share >= config.unhealthy_zone_threshold {
        ZoneState::PartialDisruption
    } else {
        ZoneState::Normal
    }
}

fn rate(state: ZoneState, nodes: usize, config: &ControllerManagerConfig) -> f64 {
    match state {
        ZoneState::Normal | ZoneState::FullDisruption => config.node_eviction_rate,
        ZoneState::PartialDisruption if nodes > config.large_cluster_size_threshold => {
            config.secondary_node_eviction_rate
        }
        ZoneState::PartialDisruption => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(zones: &mut Zones, ready: usize, not_ready: usize) -> Disruption {
        let counts = BTreeMap::from([(String::new(), (ready, not_ready))]);
        zones.judge(&counts, &ControllerManagerConfig::default(), Duration::ZERO)
    }

    #[test]
    fn the_first_node_is_tainted_at_once_and_the_next_ten_seconds_later() {
        let config = ControllerManagerConfig::default();
        let mut zones = Zones::default();
        assert_eq!(judge(&mut zones, 1, 2), Disruption::Usual);
        zones.add(String::new(), "worker1", &config);
        zones.add(String::new(), "worker1", &config);
        zones.add(String::new(), "worker2", &config);
        let at = Duration::from_secs;
        assert_eq!(zones.take(at(45)), ["worker1"]);
        assert!(zones.take(at(54)).is_empty());
        assert_eq!(zones.next_turn(), Some(at(55)));
        assert_eq!(zones.take(at(55)), ["worker2"]);
        assert_eq!(zones.next_turn(), None);
    }

    #[test]
    fn nobody_is_evicted_when_every_node_is_down() {
        let config = ControllerManagerConfig::default();
        let mut zones = Zones::default();
        judge(&mut zones, 3, 0);
        assert_eq!(judge(&mut zones, 0, 3), Disruption::Began);
        assert_eq!(judge(&mut zones, 0, 3), Disruption::Usual);
        zones.add(String::new(), "worker1", &config);
        assert!(zones.take(Duration::from_secs(100)).is_empty());
        assert_eq!(judge(&mut zones, 1, 2), Disruption::Ended);
        assert_eq!(zones.take(Duration::from_secs(100)), ["worker1"]);
    }

    #[test]
    fn a_small_zone_that_is_mostly_down_evicts_nobody() {
        let config = ControllerManagerConfig::default();
        assert_eq!(state((2, 3), &config), ZoneState::PartialDisruption);
        assert_eq!(state((1, 2), &config), ZoneState::Normal, "two are too few to judge by");
        assert_eq!(rate(ZoneState::PartialDisruption, 5, &config), 0.0);
        assert_eq!(rate(ZoneState::PartialDisruption, 51, &config), 0.01);
    }
}
