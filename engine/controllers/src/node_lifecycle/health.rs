//! What a node's heartbeats say of it. Counterpart: `tryUpdateNodeHealth`.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

/// What is remembered of a node from one look to the next.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NodeHealth {
    /// The Ready condition as it was last seen.
    ready: Option<NodeCondition>,
    /// The newest renewal of the node's lease.
    renewed: Option<MicroTime>,
    /// When the last sign of life was noticed, on the world's clock: dates may be moved.
    probed: Duration,
}

impl NodeHealth {
    /// Takes the node's word for it: a new grace period begins.
    pub fn spoke(&mut self, at: Duration) {
        self.probed = at;
    }
}

/// The moment of a look, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub elapsed: Duration,
    pub date: Timestamp,
}

/// How long a node may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grace {
    pub monitor: Duration,
    pub startup: Duration,
}

/// One look at a node.
#[derive(Debug, PartialEq)]
pub(super) struct Look {
    pub health: NodeHealth,
    /// Ready before this look: `True`, `False` or `Unknown`.
    pub observed: String,
    /// Ready after it; `None` if the node has no such condition.
    pub current: Option<String>,
    /// The node's conditions, if they are to be written.
    pub conditions: Option<Vec<NodeCondition>>,
}

pub(super) fn ready(node: &Node) -> Option<&NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

pub(super) fn is_ready(node: &Node) -> bool {
    ready(node).is_some_and(|ready| ready.status == "True")
}

pub(super) fn look(
    node: &Node,
    lease: Option<&Lease>,
    known: Option<&NodeHealth>,
    at: Moment,
    grace: Grace,
) -> Look {
    let ready = ready(node);
    let grace = if ready.is_some() { grace.monitor } else { grace.startup };
    let mut health = probe(node, ready, known, at);
    let renewed = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.clone());
    if renewed.is_some() && renewed > health.renewed {
        health.renewed = renewed;
        health.probed = at.elapsed;
    }
    let observed = ready.map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone());
    let mut look =
        Look { observed, current: ready.map(|ready| ready.status.clone()), conditions: None, health };
    // Looks on a real clock drift by their own length, so that the one that falls on the end of the grace
    // period comes after it.
    if at.elapsed >= look.health.probed + grace && ready.is_none_or(|ready| ready.status != "Unknown") {
        let conditions = unknown(node, at.date);
        look.health.ready = conditions.iter().find(|condition| condition.type_ == "Ready").cloned();
        look.current = Some("Unknown".to_owned());
        look.conditions = Some(conditions);
    }
    look
}

/// A new heartbeat in the status is a sign of life; what is not new leaves the last one standing.
fn probe(node: &Node, ready: Option<&NodeCondition>, known: Option<&NodeHealth>, at: Moment) -> NodeHealth {
    let fresh = |probed| NodeHealth { ready: ready.cloned(), renewed: None, probed };
    let Some(known) = known else {
        let silent_since = match (ready, &node.metadata.creation_timestamp) {
            (None, Some(created)) => {
                Duration::try_from(at.date.duration_since(created.0)).unwrap_or_default()
            }
            _ => Duration::ZERO,
        };
        return fresh(at.elapsed.saturating_sub(silent_since));
    };
    let heartbeat =
        |condition: Option<&NodeCondition>| condition.map(|ready| ready.last_heartbeat_time.clone());
    if heartbeat(known.ready.as_ref()) == heartbeat(ready) {
        return NodeHealth { ready: ready.cloned(), ..known.clone() };
    }
    NodeHealth { renewed: known.renewed.clone(), ..fresh(at.elapsed) }
}

fn unknown(node: &Node, now: Timestamp) -> Vec<NodeCondition> {
    let mut conditions =
        node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    for type_ in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        match conditions.iter_mut().find(|condition| condition.type_ == type_) {
            None => conditions.push(NodeCondition {
                type_: type_.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(Time(now)),
            }),
            Some(condition) if condition.status != "Unknown" => {
                condition.status = "Unknown".to_owned();
                condition.reason = Some("NodeStatusUnknown".to_owned());
                condition.message = Some("Kubelet stopped posting node status.".to_owned());
                condition.last_transition_time = Some(Time(now));
            }
            Some(_) => {}
        }
    }
    conditions
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GRACE: Grace = Grace { monitor: Duration::from_secs(40), startup: Duration::from_secs(60) };

    fn at(second: u64) -> Moment {
        let epoch: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let elapsed = Duration::from_secs(second);
        Moment { elapsed, date: epoch + elapsed }
    }

    fn node(conditions: Value) -> Node {
        let value = json!({
            "metadata": {"name": "worker1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"conditions": conditions},
        });
        serde_json::from_value(value).unwrap()
    }

    fn ready_node(heartbeat: &str) -> Node {
        node(json!([{"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}]))
    }

    fn lease(renewed: &str) -> Lease {
        serde_json::from_value(json!({"metadata": {"name": "worker1"}, "spec": {"renewTime": renewed}}))
            .unwrap()
    }

    #[test]
    fn a_silent_node_becomes_unknown_after_the_grace_period() {
        let node = ready_node("2026-01-01T00:00:00Z");
        let first = look(&node, None, None, at(5), GRACE);
        assert_eq!(first.current.as_deref(), Some("True"));
        let second = look(&node, None, Some(&first.health), at(40), GRACE);
        assert_eq!(second.conditions, None);
        let third = look(&node, None, Some(&second.health), at(45), GRACE);
        assert_eq!((&*third.observed, third.current.as_deref()), ("True", Some("Unknown")));
        let conditions = third.conditions.unwrap();
        assert_eq!(conditions.len(), 4);
        assert_eq!(conditions[0].message.as_deref(), Some("Kubelet stopped posting node status."));
        assert_eq!(conditions[1].message.as_deref(), Some("Kubelet never posted node status."));
    }

    #[test]
    fn a_lease_renewal_or_a_new_status_is_a_sign_of_life() {
        let first = look(&ready_node("2026-01-01T00:00:00Z"), None, None, at(0), GRACE);
        let renewed = lease("2026-01-01T00:00:30.000000Z");
        let second =
            look(&ready_node("2026-01-01T00:00:00Z"), Some(&renewed), Some(&first.health), at(30), GRACE);
        let third =
            look(&ready_node("2026-01-01T00:00:00Z"), Some(&renewed), Some(&second.health), at(69), GRACE);
        assert_eq!(third.conditions, None);
        let fourth =
            look(&ready_node("2026-01-01T00:01:10Z"), Some(&renewed), Some(&third.health), at(75), GRACE);
        let fifth =
            look(&ready_node("2026-01-01T00:01:10Z"), Some(&renewed), Some(&fourth.health), at(110), GRACE);
        assert_eq!(fifth.conditions, None);
    }

    #[test]
    fn a_node_that_never_spoke_has_the_startup_grace_period_since_it_was_made() {
        let silent = node(json!([]));
        let first = look(&silent, None, None, at(20), GRACE);
        assert_eq!(first.conditions, None);
        let second = look(&silent, None, Some(&first.health), at(65), GRACE);
        assert_eq!(second.conditions.unwrap()[0].reason.as_deref(), Some("NodeStatusNeverUpdated"));
    }
}
