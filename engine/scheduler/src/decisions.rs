//! What the scheduler decided and why. Kept per pod for whoever asks, and recorded in the trace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_api::ObjectKey;
use labkit_sim::Payload;
use serde::Serialize;
use serde_json::{Value, json};

/// The last decision of each pod. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    last: Arc<Mutex<BTreeMap<ObjectKey, Decision>>>,
}

/// One attempt to find a node for a pod.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// Since the world began.
    pub at: Duration,
    pub pod: ObjectKey,
    /// By name.
    pub nodes: Vec<NodeResult>,
    pub chosen: Option<String>,
    /// Why no node was chosen, as in the event; empty when one was.
    pub message: String,
}

/// What the plugins said of one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeResult {
    pub node: String,
    /// The plugin that ruled the node out, and its reasons.
    pub filtered_by: Option<(String, String)>,
    /// Empty when the node was ruled out, or was the only one left: then nothing is scored.
    pub scores: Vec<PluginScore>,
    /// The sum of the normalized scores times their weights.
    pub total: i64,
}

/// A plugin's score of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginScore {
    pub plugin: String,
    /// As the plugin counts.
    pub raw: i64,
    /// From 0 to 100.
    pub normalized: i64,
    pub weight: i64,
}

impl Decisions {
    pub fn of(&self, pod: &ObjectKey) -> Option<Decision> {
        self.locked().get(pod).cloned()
    }

    /// By namespace and name of the pod.
    pub fn all(&self) -> Vec<(ObjectKey, Decision)> {
        self.locked().iter().map(|(pod, decision)| (pod.clone(), decision.clone())).collect()
    }

    pub(crate) fn keep(&self, decision: Decision) {
        self.locked().insert(decision.pod.clone(), decision);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectKey, Decision>> {
        self.last.lock().expect("no panic happens under this lock")
    }
}

/// The record of a decision in the trace, from the scheduler to itself.
impl Payload for Decision {
    fn kind(&self) -> &str {
        "Schedule"
    }

    fn fields(&self) -> Value {
        let filtered = self.nodes.iter().filter_map(|node| {
            let (plugin, reason) = node.filtered_by.as_ref()?;
            Some((node.node.clone(), json!({"plugin": plugin, "reason": reason})))
        });
        let scored = self.nodes.iter().filter(|node| !node.scores.is_empty());
        let scores =
            scored.map(|node| (node.node.clone(), json!({"plugins": node.scores, "total": node.total})));
        json!({
            "pod": self.pod.to_string(),
            "nodes": self.nodes.iter().map(|node| &node.node).collect::<Vec<_>>(),
            "filtered": filtered.collect::<serde_json::Map<_, _>>(),
            "scores": scores.collect::<serde_json::Map<_, _>>(),
            "chosen": self.chosen,
            "message": self.message,
        })
    }
}
