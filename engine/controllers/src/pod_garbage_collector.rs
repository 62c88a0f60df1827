//! pod-garbage-collector-controller: pods that nobody else would ever remove: on nodes that no longer
//! exist, finished ones past the threshold, unscheduled ones that are to be deleted.
//! Counterpart: `pkg/controller/podgc`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use labkit_api::ObjectKey;
use labkit_client::{DeleteOptions, Store};
use serde_json::json;
use tokio::time::Instant;

use crate::context::Context;
use crate::objects::{is_being_deleted, key};
use crate::pods::{condition_patch, is_terminated, node_name};
use crate::work::Failed;

const PERIOD: Duration = Duration::from_secs(20);
/// A node must be missing for so long: it may be about to register.
const QUARANTINE: Duration = Duration::from_secs(40);

pub(crate) async fn run(context: Context) {
    let (nodes, pods) = (context.informers.nodes().clone(), context.informers.pods().clone());
    let mut collector =
        Collector { nodes: nodes.store(), pods: pods.store(), missing: BTreeMap::new(), context };
    nodes.synced().await;
    pods.synced().await;
    loop {
        collector.collect().await;
        tokio::time::sleep(PERIOD).await;
    }
}

struct Collector {
    context: Context,
    nodes: Store<Node>,
    pods: Store<Pod>,
    /// Nodes that pods name and that are not there, and since when.
    missing: BTreeMap<String, Instant>,
}

impl Collector {
    async fn collect(&mut self) {
        let pods = self.pods.list();
        for pod in surplus_terminated(&pods, self.context.config.terminated_pod_gc_threshold) {
            let _next_round_tries_again = self.remove(pod, None).await;
        }
        let gone = self.nodes_gone(&pods).await;
        for pod in pods.iter().filter(|pod| gone.contains(node_name(pod))) {
            let _next_round_tries_again = self.remove(pod, Some("PodGC: node no longer exists")).await;
        }
        for pod in pods.iter().filter(|pod| is_being_deleted(&***pod) && node_name(pod).is_empty()) {
            let _next_round_tries_again = self.remove(pod, None).await;
        }
    }

    /// The nodes that were missing for the quarantine, and that the API server does not know either.
    async fn nodes_gone(&mut self, pods: &[Arc<Pod>]) -> BTreeSet<String> {
        let named: BTreeSet<&str> =
            pods.iter().map(|pod| node_name(pod)).filter(|node| !node.is_empty()).collect();
        let is_missing =
            |node: &str| named.contains(node) && self.nodes.get(&ObjectKey::new("", node)).is_none();
        self.missing.retain(|node, _| is_missing(node));
        let newly = named.iter().filter(|node| self.nodes.get(&ObjectKey::new("", node)).is_none());
        for node in newly {
            self.missing.entry((*node).to_owned()).or_insert_with(Instant::now);
        }
        let mut gone = BTreeSet::new();
        for (node, since) in &self.missing {
            if since.elapsed() < QUARANTINE {
                continue;
            }
            let found = self.context.client.api::<Node>().get("", node).await;
            if found.is_err_and(|error| error.is_not_found()) {
                gone.insert(node.clone());
            }
        }
        gone
    }

    /// Marks the pod as failed, if it did not finish before, and deletes it without grace.
    async fn remove(&self, pod: &Pod, disruption: Option<&str>) -> Result<(), Failed> {
        let api = self.context.client.api::<Pod>();
        let key = key(pod);
        if !is_terminated(pod) {
            let mut patch = json!({"status": {"phase": "Failed"}});
            if let Some(message) = disruption {
                let target = PodCondition {
                    type_: "DisruptionTarget".to_owned(),
                    status: "True".to_owned(),
                    reason: Some("DeletionByPodGC".to_owned()),
                    message: Some(message.to_owned()),
                    ..Default::default()
                };
                if let Some(with_condition) = condition_patch(pod, target, self.context.now()) {
                    patch = with_condition;
                    patch["status"]["phase"] = json!("Failed");
                }
            }
            api.patch(&key.namespace, &key.name, Some("status"), patch).await?;
        }
        let options = DeleteOptions { grace_period_seconds: Some(0), ..Default::default() };
        api.delete(&key.namespace, &key.name, &options).await?;
        Ok(())
    }
}

/// The oldest finished pods past the threshold.
fn surplus_terminated(pods: &[Arc<Pod>], threshold: usize) -> Vec<&Arc<Pod>> {
    if threshold == 0 {
        return Vec::new();
    }
    let mut finished: Vec<&Arc<Pod>> = pods.iter().filter(|pod| is_terminated(pod)).collect();
    finished.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
    finished.truncate(finished.len().saturating_sub(threshold));
    finished
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_oldest_finished_pods_past_the_threshold_go() {
        let pod = |name: &str, phase: &str, created: &str| {
            let metadata = json!({"name": name, "creationTimestamp": created});
            Arc::new(
                serde_json::from_value::<Pod>(json!({"metadata": metadata, "status": {"phase": phase}}))
                    .unwrap(),
            )
        };
        let pods = [
            pod("new", "Succeeded", "2026-01-01T00:02:00Z"),
            pod("old", "Failed", "2026-01-01T00:01:00Z"),
            pod("running", "Running", "2026-01-01T00:00:00Z"),
        ];
        let names = |threshold| -> Vec<String> {
            surplus_terminated(&pods, threshold).iter().map(|pod| key(&***pod).name).collect()
        };
        assert_eq!(names(1), ["old"]);
        assert!(names(2).is_empty());
        assert!(names(0).is_empty(), "zero switches it off");
    }
}
