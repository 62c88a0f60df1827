//! The node's object: registered once, its status kept up. Counterpart: `kubelet_node_status.go`.
//!
//! Upstream looks every 10 s whether its status changed. Here something has to give cause: an image was
//! pulled, a heartbeat was late (somebody may have called the node unreachable meanwhile), or 5 minutes
//! have passed. What is then done is upstream's, at the next of its 10 s.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeStatus, ObjectReference};
use labkit_client::{Error, EventType, Kind, PatchKind};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::node_status::{CONDITIONS, Facts, labels, node, status};
use super::{Kubelet, lease, status_patch};

const REGISTER_FIRST: Duration = Duration::from_millis(100);
const REGISTER_MAX: Duration = Duration::from_secs(7);
/// How often a status is tried before the next period is waited for.
const STATUS_TRIES: u32 = 5;

/// Registers the node, then keeps its lease and its status. Never returns.
pub(super) async fn run(kubelet: Kubelet) {
    kubelet.event("Starting", "Starting kubelet.".to_owned());
    for (_, _, _, event) in CONDITIONS.iter().filter(|(type_, ..)| *type_ != "Ready") {
        kubelet.event(event, format!("Node {} status is now: {event}", kubelet.node_name()));
    }
    let mut wait = REGISTER_FIRST;
    let is_new = loop {
        match kubelet.register().await {
            Ok(is_new) => break is_new,
            Err(_) => tokio::time::sleep(wait).await,
        }
        wait = (wait * 2).min(REGISTER_MAX);
    };
    let (late, was_late) = watch::channel(());
    labkit_sim::spawn(lease::keep(kubelet.clone(), late));
    keep_status(kubelet, was_late, is_new).await;
}

async fn keep_status(kubelet: Kubelet, mut was_late: watch::Receiver<()>, is_new: bool) {
    let config = kubelet.machine.config().clone();
    let mut images = kubelet.machine.images_changed();
    let began = Instant::now();
    let mut reported = Instant::now();
    let mut is_due = !is_new;
    loop {
        if is_due {
            let mut tries = 0;
            while tries < STATUS_TRIES && kubelet.report_status().await.is_err() {
                tries += 1;
            }
            if tries < STATUS_TRIES {
                reported = Instant::now();
            }
            is_due = tries == STATUS_TRIES;
        }
        let again = if is_due { Instant::now() } else { reported + config.node_status_report_frequency };
        tokio::select! {
            biased;
            Ok(()) = images.changed() => {}
            Ok(()) = was_late.changed() => {}
            () = tokio::time::sleep_until(again) => {}
        }
        is_due = true;
        tokio::time::sleep_until(next_tick(began, config.node_status_update_frequency)).await;
    }
}

/// The next whole period after now.
fn next_tick(began: Instant, period: Duration) -> Instant {
    let periods = began.elapsed().as_nanos() / period.as_nanos().max(1) + 1;
    began + period * u32::try_from(periods).unwrap_or(u32::MAX)
}

impl Kubelet {
    /// Makes the node's object, or brings the one that is there in line. Returns whether it was made.
    async fn register(&self) -> Result<bool, Error> {
        let boot_id = self.machine.boot_id();
        let own = node(&self.facts(&boot_id, &self.machine.machine_id(), &self.machine.images()));
        let nodes = self.client.api::<Node>();
        match nodes.create(&own).await {
            Err(error) if error.is_already_exists() => {}
            other => return other.map(|_| true),
        }
        let live = nodes.get("", self.node_name()).await?;
        let booted = live.status.and_then(|status| status.node_info).map(|info| info.boot_id);
        if booted.is_some_and(|booted| booted != boot_id) {
            let message = format!("Node {} has been rebooted, boot id: {boot_id}", self.node_name());
            self.warn("Rebooted", message);
        }
        let has = live.metadata.labels.unwrap_or_default();
        let wants = labels(self.machine.config());
        if wants.iter().any(|(name, value)| has.get(name) != Some(value)) {
            nodes.patch("", self.node_name(), None, json!({"metadata": {"labels": wants}})).await?;
        }
        Ok(false)
    }

    /// Writes the status, with a fresh heartbeat.
    async fn report_status(&self) -> Result<(), Error> {
        let nodes = Node::resource();
        let client = self.client.with_timeout(self.machine.config().node_status_update_frequency);
        let live = client.get(&nodes, "", self.node_name()).await?;
        let before = live.rest.get("status").cloned().unwrap_or_else(|| json!({}));
        let known: NodeStatus = serde_json::from_value(before.clone()).unwrap_or_default();
        let (boot_id, machine_id) = (self.machine.boot_id(), self.machine.machine_id());
        let own = status(&self.facts(&boot_id, &machine_id, &self.machine.images()), Some(&known));
        let Some(change) = status_patch::patch(&before, &over(&before, &own)) else { return Ok(()) };
        let patch = json!({"status": change});
        client.patch(&nodes, "", self.node_name(), Some("status"), PatchKind::Strategic, patch).await?;
        let was_ready =
            known.conditions.iter().flatten().any(|old| old.type_ == "Ready" && old.status == "True");
        if !was_ready {
            self.event("NodeReady", format!("Node {} status is now: NodeReady", self.node_name()));
        }
        Ok(())
    }

    fn facts<'a>(
        &'a self,
        boot_id: &'a str,
        machine_id: &'a str,
        images: &'a std::collections::BTreeMap<String, crate::machine::StoredImage>,
    ) -> Facts<'a> {
        Facts { config: self.machine.config(), boot_id, machine_id, images, now: self.now() }
    }

    fn event(&self, reason: &'static str, message: String) {
        self.events.event(self.node_reference(), EventType::Normal, reason, message);
    }

    fn warn(&self, reason: &'static str, message: String) {
        self.events.event(self.node_reference(), EventType::Warning, reason, message);
    }

    /// The kubelet gives the node's name as its uid: it speaks before it knows the object.
    fn node_reference(&self) -> ObjectReference {
        ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(self.node_name().to_owned()),
            uid: Some(self.node_name().to_owned()),
            ..ObjectReference::default()
        }
    }
}

/// The live status with our fields over it. Resources and conditions that others added stay.
fn over(live: &Value, own: &NodeStatus) -> Value {
    let mut merged = live.clone();
    let Value::Object(own) = serde_json::to_value(own).expect("k8s-openapi's types are JSON") else {
        return merged;
    };
    for (field, value) in own {
        match (field.as_str(), value) {
            ("capacity" | "allocatable", Value::Object(amounts)) => {
                for (name, amount) in amounts {
                    merged[&field][&name] = amount;
                }
            }
            ("conditions", Value::Array(own)) => {
                let is_own = |other: &Value| own.iter().any(|condition| condition["type"] == other["type"]);
                let others = live["conditions"].as_array().cloned().unwrap_or_default();
                let others = others.into_iter().filter(|other| !is_own(other));
                merged[&field] = others.chain(own.iter().cloned()).collect();
            }
            (_, value) => merged[&field] = value,
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_added_to_the_status_stays() {
        let live = json!({
            "capacity": {"cpu": "1", "example.com/fpga": "2"},
            "conditions": [{"type": "NetworkUnavailable", "status": "False"}, {"type": "Ready", "status": "Unknown"}],
        });
        let own: NodeStatus = serde_json::from_value(json!({
            "capacity": {"cpu": "4"}, "conditions": [{"type": "Ready", "status": "True"}],
        }))
        .unwrap();
        let expected = json!({
            "capacity": {"cpu": "4", "example.com/fpga": "2"},
            "conditions": [{"type": "NetworkUnavailable", "status": "False"}, {"type": "Ready", "status": "True"}],
        });
        assert_eq!(over(&live, &own), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_reported_at_the_next_whole_period() {
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(12_300)).await;
        assert_eq!(next_tick(began, Duration::from_secs(10)), began + Duration::from_secs(20));
    }
}
