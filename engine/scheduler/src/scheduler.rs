//! The loop. One task owns cache and queue: it takes in what changed, decides on the next pod, and hands the
//! binding to a task of its own, so that the next decision need not wait for it. Counterpart:
//! `scheduler.go`, `eventhandlers.go`, `schedule_one.go`.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use labkit_api::ObjectKey;
use labkit_client::leader_election::{Elector, LeaderElection};
use labkit_client::{
    Change, Client, Error, EventRecorder, EventType, Informer, Kind, ListParams, Store, reference,
};
use labkit_sim::{RecordId, caused_by, current_component};
use rand::Rng as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::algorithm::{Outcome, decide};
use crate::cache::{Cache, NodeInfo, PodInfo, key_of};
use crate::config::SchedulerConfig;
use crate::decisions::{Decision, Decisions};
use crate::diagnosis;
use crate::framework::ClusterEvent;
use crate::queue::{Queue, QueuedPod};

/// Runs a scheduler in the caller's component. Never returns: when it loses its lease it drops what it knew
/// and stands for election again, as the process does that upstream ends and its node starts anew.
pub fn run(client: Client, config: SchedulerConfig, decisions: Decisions) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let alive = "status.phase!=Succeeded,status.phase!=Failed".to_owned();
        let pods =
            Informer::<Pod>::start(&client, ListParams { field_selector: alive, ..ListParams::default() });
        let nodes = Informer::<Node>::start(&client, ListParams::default());
        pods.synced().await;
        nodes.synced().await;
        let lead = || {
            let scheduler = Scheduler::new(client.clone(), &config, decisions.clone(), pods.store());
            scheduler.run(pods.subscribe(), nodes.subscribe())
        };
        if !config.leader_elect {
            return lead().await;
        }
        let identity = if config.identity.is_empty() { drawn_identity() } else { config.identity.clone() };
        let election = LeaderElection::new("kube-system", "kube-scheduler", &identity);
        let mut elector = Elector::new(&client, &config.scheduler_name, election);
        loop {
            elector.acquire().await;
            tokio::select! {
                biased;
                () = elector.hold() => {}
                () = lead() => {}
            }
        }
    })
}

/// A host name and something unique, as upstream.
fn drawn_identity() -> String {
    let unique: u128 = current_component().map_or(0, |own| own.random(|rng| rng.r#gen()));
    format!("master_{unique:032x}")
}

struct Scheduler {
    client: Client,
    name: String,
    recorder: EventRecorder,
    decisions: Decisions,
    /// What the API server says, for a second look before a pod goes back to the queue.
    pods: Store<Pod>,
    cache: Cache,
    queue: Queue,
    failed: mpsc::UnboundedSender<(QueuedPod, Error)>,
    failures: mpsc::UnboundedReceiver<(QueuedPod, Error)>,
}

/// Why a pod has no node.
struct Failure {
    /// The condition's: `Unschedulable` or `SchedulerError`.
    reason: &'static str,
    message: String,
    rejected_by: BTreeSet<&'static str>,
}

impl Scheduler {
    fn new(client: Client, config: &SchedulerConfig, decisions: Decisions, pods: Store<Pod>) -> Scheduler {
        let (failed, failures) = mpsc::unbounded_channel();
        Scheduler {
            recorder: EventRecorder::new(&client, &config.scheduler_name, None),
            client,
            name: config.scheduler_name.clone(),
            decisions,
            pods,
            cache: Cache::default(),
            queue: Queue::default(),
            failed,
            failures,
        }
    }

    async fn run(
        mut self,
        mut pods: mpsc::UnboundedReceiver<Change<Pod>>,
        mut nodes: mpsc::UnboundedReceiver<Change<Node>>,
    ) {
        loop {
            let deadline = self.queue.deadline();
            let has_active = self.queue.has_active();
            tokio::select! {
                biased;
                Some(change) = nodes.recv() => self.node_changed(change),
                Some(change) = pods.recv() => self.pod_changed(change),
                Some((queued, error)) = self.failures.recv() => self.binding_failed(queued, &error).await,
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.queue.flush(Instant::now());
                }
                () = std::future::ready(()), if has_active => self.schedule_one().await,
            }
        }
    }

    fn node_changed(&mut self, change: Change<Node>) {
        let event = match (change.old, change.new) {
            (None, Some(new)) => {
                self.cache.set_node(new.clone());
                ClusterEvent::NodeAdded(new)
            }
            (Some(old), Some(new)) => {
                self.cache.set_node(new.clone());
                if !matters(&old, &new) {
                    return;
                }
                ClusterEvent::NodeUpdated { old, new }
            }
            (_, None) => return self.cache.remove_node(&change.key.name),
        };
        self.queue.happened(&event, change.cause, Instant::now());
    }

    fn pod_changed(&mut self, change: Change<Pod>) {
        let now = Instant::now();
        let Some(new) = change.new.filter(|pod| !has_ended(pod)) else {
            self.queue.remove(&change.key);
            self.cache.remove(&change.key);
            if let Some(old) = change.old.filter(|pod| node_of(pod).is_some()) {
                self.queue.happened(&ClusterEvent::AssignedPodDeleted(old), change.cause, now);
            }
            return;
        };
        if let Some(node) = node_of(&new) {
            self.queue.remove(&change.key);
            let node = node.to_owned();
            self.cache.add(Arc::new(PodInfo::new(new)), &node);
        } else if self.is_mine(&new) && !self.cache.is_assumed(&change.key) {
            self.queue.put(Arc::new(PodInfo::new(new)), change.cause, now);
        }
    }

    fn is_mine(&self, pod: &Pod) -> bool {
        let wanted = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref());
        wanted.filter(|name| !name.is_empty()).unwrap_or("default-scheduler") == self.name
    }

    async fn schedule_one(&mut self) {
        let Some(queued) = self.queue.pop() else { return };
        let cause = queued.cause;
        caused_by(cause, self.schedule(queued)).await;
    }

    async fn schedule(&mut self, queued: QueuedPod) {
        if queued.info.pod.metadata.deletion_timestamp.is_some() {
            let message = format!("skip schedule deleting pod: {}", queued.info.key);
            return self.tell(&queued.info.pod, "FailedScheduling", message, None);
        }
        let nodes: Vec<&NodeInfo> = self.cache.nodes().collect();
        let pick =
            |tied: usize| current_component().map_or(0, |own| own.random(|rng| rng.gen_range(0..tied)));
        let outcome = decide(&queued.info, &nodes, pick);
        let failure = why_not(&queued.info, &outcome);
        let record = self.record(&queued, &outcome, failure.as_ref());
        match (outcome.chosen, failure) {
            (Some(node), _) => {
                self.cache.assume(queued.info.clone(), &node);
                caused_by(Some(record), async { self.spawn_binding(queued, node) }).await;
            }
            (None, Some(failure)) => caused_by(Some(record), async { self.fail(queued, failure) }).await,
            (None, None) => unreachable!("without a node there is a reason"),
        }
    }

    fn record(&self, queued: &QueuedPod, outcome: &Outcome, failure: Option<&Failure>) -> RecordId {
        let world = self.client.world();
        let decision = Decision {
            at: world.clock().elapsed(),
            pod: queued.info.key.clone(),
            nodes: outcome.nodes.clone(),
            chosen: outcome.chosen.clone(),
            message: failure.map(|failure| failure.message.clone()).unwrap_or_default(),
        };
        self.decisions.keep(decision.clone());
        world.trace().record(self.client.from(), self.client.from(), decision)
    }

    fn spawn_binding(&self, queued: QueuedPod, node: String) {
        let (client, recorder, failed) = (self.client.clone(), self.recorder.clone(), self.failed.clone());
        labkit_sim::spawn(async move {
            let key = &queued.info.key;
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding",
                "metadata": {"namespace": key.namespace, "name": key.name, "uid": queued.info.pod.metadata.uid},
                "target": {"kind": "Node", "name": node},
            });
            let bound = client
                .create_subresource(&Pod::resource(), &key.namespace, &key.name, "binding", binding)
                .await;
            match bound {
                Ok(_) => {
                    let message = format!("Successfully assigned {key} to {node}");
                    recorder
                        .event(&reference(&*queued.info.pod), EventType::Normal, "Scheduled", &message)
                        .await;
                }
                Err(error) => {
                    let _the_scheduler_may_be_gone = failed.send((queued, error));
                }
            }
        });
    }

    async fn binding_failed(&mut self, queued: QueuedPod, error: &Error) {
        self.cache.forget(&queued.info.key);
        let message = format!("running Bind plugin \"DefaultBinder\": {error}");
        self.fail(queued, Failure { reason: "SchedulerError", message, rejected_by: BTreeSet::new() });
    }

    /// Puts the pod back, if it still is a pod without a node, and tells why.
    fn fail(&mut self, queued: QueuedPod, failure: Failure) {
        let Some(current) = self.pods.get(&queued.info.key) else { return };
        let same = current.metadata.uid == queued.info.pod.metadata.uid;
        let condition =
            same.then(|| condition(&current, &failure, self.client.world().clock().now())).flatten();
        self.tell(&queued.info.pod, "FailedScheduling", failure.message.clone(), condition);
        if same && node_of(&current).is_none() {
            let mut queued = queued;
            queued.info = Arc::new(PodInfo::new(current));
            self.queue.put_back(queued, failure.rejected_by, Instant::now());
        }
    }

    /// Writes a warning about a pod and, if given, its condition.
    fn tell(&self, pod: &Arc<Pod>, reason: &'static str, message: String, condition: Option<PodCondition>) {
        let (client, recorder, pod) = (self.client.clone(), self.recorder.clone(), pod.clone());
        labkit_sim::spawn(async move {
            recorder.event(&reference(&*pod), EventType::Warning, reason, &message).await;
            let Some(condition) = condition else { return };
            let ObjectKey { namespace, name } = key_of(&pod);
            let patch = json!({"status": {"conditions": [condition]}});
            let _best_effort = client.api::<Pod>().patch(&namespace, &name, Some("status"), patch).await;
        });
    }
}

fn why_not(pod: &PodInfo, outcome: &Outcome) -> Option<Failure> {
    if outcome.chosen.is_some() {
        return None;
    }
    let policy = pod.pod.spec.as_ref().and_then(|spec| spec.preemption_policy.as_deref());
    let message = match outcome.nodes.is_empty() {
        true => diagnosis::NO_NODES.to_owned(),
        false => diagnosis::message(&outcome.rejections, policy == Some("Never")),
    };
    Some(Failure { reason: "Unschedulable", message, rejected_by: outcome.rejected_by.clone() })
}

/// The condition to write, if the pod does not have it yet.
fn condition(pod: &Pod, failure: &Failure, now: jiff::Timestamp) -> Option<PodCondition> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let old = conditions.iter().find(|condition| condition.type_ == "PodScheduled");
    let mut new = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some(failure.reason.to_owned()),
        message: Some(failure.message.clone()),
        last_transition_time: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now)),
        last_probe_time: None,
    };
    if let Some(old) = old.filter(|old| old.status == new.status) {
        new.last_transition_time = old.last_transition_time.clone();
        if (&old.reason, &old.message) == (&new.reason, &new.message) {
            return None;
        }
    }
    Some(new)
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a node changed in what plugins look at; its heartbeats do not.
fn matters(old: &Node, new: &Node) -> bool {
    let allocatable = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
    old.spec != new.spec || old.metadata.labels != new.metadata.labels || allocatable(old) != allocatable(new)
}
