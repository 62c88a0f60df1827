//! node-lifecycle-controller: from silent nodes to Unknown conditions, taints and pods that are not ready.
//! Counterpart: `pkg/controller/nodelifecycle`.
//!
//! - `conditions`: the NoSchedule taints that go with a node's conditions.
//! - `health`: what leases and node statuses say, one look at a time.
//! - `zones`: how fast nodes may be tainted, and when not at all.

mod conditions;
mod health;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, PodCondition, Taint};
use labkit_api::ObjectKey;
use labkit_client::{Change, EventType, Store, WorkQueue, reference};
use tokio::sync::Notify;

use self::health::{Grace, Look, Moment, NodeHealth};
use self::zones::{Disruption, Zones};
use crate::context::Context;
use crate::objects::{key, name, uid};
use crate::pods::{condition, condition_patch, node_name};
use crate::taints::{self, NO_EXECUTE, NOT_READY, UNREACHABLE, taint};
use crate::work::{Failed, each, work};

const UPDATE_WORKERS: usize = 8;
const STATUS_TRIES: usize = 5;

pub(crate) async fn run(context: Context) {
    let context = context.recording_as("node-controller");
    let (nodes, pods) = (context.informers.nodes().clone(), context.informers.pods().clone());
    let leases = context.informers.leases().clone();
    let controller = NodeLifecycle {
        nodes: nodes.store(),
        pods: pods.store(),
        leases: leases.store(),
        state: Mutex::default(),
        taint_wanted: Notify::new(),
        by_condition: WorkQueue::default(),
        placed: WorkQueue::default(),
        context,
    };
    let node_changes =
        each(nodes.subscribe(), |change| controller.by_condition.add(change.key.name, change.cause));
    let pod_changes = each(pods.subscribe(), |change| controller.pod_changed(&change));
    let passes = async {
        nodes.synced().await;
        pods.synced().await;
        leases.synced().await;
        futures::join!(
            controller.monitor(),
            controller.taint_no_execute(),
            work(&controller.by_condition, UPDATE_WORKERS, |node| controller.taint_no_schedule(node)),
            work(&controller.placed, UPDATE_WORKERS, |pod| controller.pod_placed(pod)),
        )
    };
    futures::join!(node_changes, pod_changes, passes);
}

struct NodeLifecycle {
    context: Context,
    nodes: Store<Node>,
    pods: Store<Pod>,
    leases: Store<Lease>,
    state: Mutex<State>,
    taint_wanted: Notify,
    /// Nodes whose NoSchedule taints may not be those of their conditions.
    by_condition: WorkQueue<String>,
    /// Pods that came to a node.
    placed: WorkQueue<ObjectKey>,
}

#[derive(Default)]
struct State {
    /// The nodes that are known, by name, with their uid.
    known: BTreeMap<String, String>,
    health: BTreeMap<String, NodeHealth>,
    /// Nodes whose pods could not all be marked.
    retry: BTreeSet<String>,
    zones: Zones,
}

impl NodeLifecycle {
    fn pod_changed(&self, change: &Change<Pod>) {
        let Some(new) = &change.new else { return };
        let before = change.old.as_deref().map_or("", node_name);
        if !node_name(new).is_empty() && before != node_name(new) {
            self.placed.add(change.key.clone(), change.cause);
        }
    }

    async fn monitor(&self) {
        loop {
            self.look_at_all().await;
            tokio::time::sleep(self.context.config.node_monitor_period).await;
        }
    }

    async fn look_at_all(&self) {
        let nodes = self.nodes.list();
        for node in self.newly_registered(&nodes) {
            self.node_event(
                &node,
                "RegisteredNode",
                format!("Registered Node {} in Controller", name(&*node)),
            );
            let _next_look_tries_again = self.mark_reachable(&node).await;
        }
        let looks = join_all(nodes.iter().map(|node| self.look_at(node))).await;
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (node, ready) in nodes.iter().zip(looks).filter_map(|(node, ready)| Some((node, ready?))) {
            if counts_for_disruption(node) {
                let (up, down) = counts.entry(zones::key(node)).or_default();
                *(if ready { up } else { down }) += 1;
            }
        }
        self.handle_disruption(&nodes, &counts).await;
    }

    /// Keeps the list of known nodes; says who is new, and which are gone in an event.
    fn newly_registered(&self, nodes: &[Arc<Node>]) -> Vec<Arc<Node>> {
        let mut state = self.state();
        let gone: Vec<(String, String)> = state
            .known
            .iter()
            .filter(|(known, _)| !nodes.iter().any(|node| name(&**node) == **known))
            .map(|(name, uid)| (name.clone(), uid.clone()))
            .collect();
        for (gone, uid) in gone {
            state.known.remove(&gone);
            state.health.remove(&gone);
            state.zones.remove(&gone);
            self.node_event_by_name(
                &gone,
                &uid,
                "RemovingNode",
                format!("Removing Node {gone} from Controller"),
            );
        }
        let mut added = Vec::new();
        for node in nodes {
            if state.known.insert(name(&**node).to_owned(), uid(&**node).to_owned()).is_none() {
                added.push(node.clone());
            }
        }
        added
    }

    /// Returns whether the node is ready; `None` if its state could not be written.
    async fn look_at(&self, node: &Arc<Node>) -> Option<bool> {
        let (node, look) = self.update_health(node).await?;
        let current = look.current?;
        self.taint_for_eviction(&node, &look.observed).await;
        let needs_retry = self.state().retry.contains(name(&*node));
        let turned = current != "True" && look.observed == "True";
        if turned {
            self.node_event(
                &node,
                "NodeNotReady",
                format!("Node {} status is now: NodeNotReady", name(&*node)),
            );
        }
        if turned || needs_retry && look.observed != "True" {
            let pods = self.pods.list().into_iter().filter(|pod| node_name(pod) == name(&*node));
            let marked = join_all(pods.map(|pod| self.mark_not_ready(pod))).await;
            if marked.iter().any(Result::is_err) {
                self.state().retry.insert(name(&*node).to_owned());
                return Some(false);
            }
        }
        self.state().retry.remove(name(&*node));
        Some(current == "True")
    }

    async fn update_health(&self, node: &Arc<Node>) -> Option<(Arc<Node>, Look)> {
        let mut node = node.clone();
        for _ in 0..STATUS_TRIES {
            let look = self.look(&node);
            let Some(conditions) = look.conditions.clone() else {
                self.state().health.insert(name(&*node).to_owned(), look.health.clone());
                return Some((node, look));
            };
            let mut updated = Node::clone(&node);
            updated.status.get_or_insert_default().conditions = Some(conditions);
            let api = self.context.client.api::<Node>();
            if let Ok(written) = api.replace_status(&updated).await {
                self.state().health.insert(name(&*node).to_owned(), look.health.clone());
                return Some((Arc::new(written), look));
            }
            node = api.get("", name(&*node)).await.ok()?.into();
        }
        None
    }

    fn look(&self, node: &Node) -> Look {
        let config = &self.context.config;
        let grace =
            Grace { monitor: config.node_monitor_grace_period, startup: config.node_startup_grace_period };
        let lease = self.leases.get(&ObjectKey::new("kube-node-lease", name(node)));
        let known = self.state().health.get(name(node)).cloned();
        health::look(node, lease.as_deref(), known.as_ref(), self.moment(), grace)
    }

    /// NoExecute follows what the node was at the look before: a change is acted on one period later.
    async fn taint_for_eviction(&self, node: &Node, observed: &str) {
        let (wanted, other) = match observed {
            "True" => return drop(self.mark_reachable(node).await),
            "False" => (NOT_READY, UNREACHABLE),
            _ => (UNREACHABLE, NOT_READY),
        };
        if taints::has(node, other, NO_EXECUTE) {
            let _next_look_tries_again =
                self.swap(name(node), &[taint(wanted, NO_EXECUTE)], &[taint(other, NO_EXECUTE)]).await;
        } else if !taints::has(node, wanted, NO_EXECUTE) {
            self.state().zones.add(zones::key(node), name(node), &self.context.config);
            self.taint_wanted.notify_one();
        }
    }

    async fn mark_reachable(&self, node: &Node) -> Result<(), Failed> {
        self.state().zones.remove(name(node));
        let both = [taint(UNREACHABLE, NO_EXECUTE), taint(NOT_READY, NO_EXECUTE)];
        if both.iter().any(|taint| taints::has(node, &taint.key, NO_EXECUTE)) {
            self.swap(name(node), &[], &both).await?;
        }
        Ok(())
    }

    async fn taint_no_execute(&self) {
        loop {
            let now = self.moment().elapsed;
            let (turn, next) = {
                let mut state = self.state();
                (state.zones.take(now), state.zones.next_turn())
            };
            for node in turn {
                let ready = self.nodes.get(&ObjectKey::new("", &node));
                let status = ready.as_deref().and_then(health::ready).map(|ready| ready.status.clone());
                let (wanted, other) = match status.as_deref() {
                    Some("False") => (NOT_READY, UNREACHABLE),
                    Some("Unknown") => (UNREACHABLE, NOT_READY),
                    _ => continue,
                };
                let _next_look_queues_it_again =
                    self.swap(&node, &[taint(wanted, NO_EXECUTE)], &[taint(other, NO_EXECUTE)]).await;
            }
            match next {
                None => self.taint_wanted.notified().await,
                Some(next) => tokio::select! {
                    biased;
                    () = self.taint_wanted.notified() => {}
                    () = tokio::time::sleep(next.saturating_sub(now)) => {}
                },
            }
        }
    }

    async fn taint_no_schedule(&self, node: String) -> Result<(), Failed> {
        let Some(node) = self.nodes.get(&ObjectKey::new("", &node)) else { return Ok(()) };
        let (add, remove) = conditions::taint_changes(&node);
        if add.is_empty() && remove.is_empty() {
            return Ok(());
        }
        match self.swap(name(&*node), &add, &remove).await {
            Err(Failed::Request(error)) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    /// A pod that is placed on a node which is not ready is not ready either.
    async fn pod_placed(&self, pod: ObjectKey) -> Result<(), Failed> {
        let Some(pod) = self.pods.get(&pod) else { return Ok(()) };
        let Some(node) = self.nodes.get(&ObjectKey::new("", node_name(&pod))) else { return Ok(()) };
        if health::is_ready(&node) || health::ready(&node).is_none() {
            return Ok(());
        }
        self.mark_not_ready(pod).await
    }

    async fn mark_not_ready(&self, pod: Arc<Pod>) -> Result<(), Failed> {
        let Some(ready) = condition(&pod, "Ready") else { return Ok(()) };
        let not_ready = PodCondition { status: "False".to_owned(), ..ready.clone() };
        let Some(patch) = condition_patch(&pod, not_ready, self.context.now()) else { return Ok(()) };
        let key = key(&*pod);
        match self.context.client.api::<Pod>().patch(&key.namespace, &key.name, Some("status"), patch).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.context.event(
            reference(&*pod),
            EventType::Warning,
            "NodeNotReady",
            "Node is not ready".to_owned(),
        );
        Ok(())
    }

    async fn handle_disruption(&self, nodes: &[Arc<Node>], counts: &BTreeMap<String, (usize, usize)>) {
        let now = self.moment().elapsed;
        let disruption = self.state().zones.judge(counts, &self.context.config, now);
        match disruption {
            Disruption::Usual => {}
            Disruption::Began => {
                for node in nodes {
                    let fresh = self.nodes.get(&key(&**node)).unwrap_or_else(|| node.clone());
                    let _taints_stay_at_worst = self.mark_reachable(&fresh).await;
                }
            }
            Disruption::Ended => {
                for health in self.state().health.values_mut() {
                    health.spoke(now);
                }
            }
        }
        self.taint_wanted.notify_one();
    }

    async fn swap(&self, node: &str, add: &[Taint], remove: &[Taint]) -> Result<bool, Failed> {
        taints::swap(&self.context.client, node, add, remove, self.context.now()).await
    }

    fn node_event(&self, node: &Node, reason: &'static str, what: String) {
        self.node_event_by_name(name(node), uid(node), reason, what);
    }

    fn node_event_by_name(&self, node: &str, uid: &str, reason: &'static str, what: String) {
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            uid: Some(uid.to_owned()),
            ..Default::default()
        };
        // A status change is told as it is; everything else with the node's name in front.
        let message = if reason == "NodeNotReady" { what } else { format!("Node {node} event: {what}") };
        self.context.event(about, EventType::Normal, reason, message);
    }

    fn moment(&self) -> Moment {
        let clock = self.context.client.world().clock();
        Moment { elapsed: clock.elapsed(), date: clock.now() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic happens under this lock")
    }
}

fn counts_for_disruption(node: &Node) -> bool {
    let excluded = "node.kubernetes.io/exclude-disruption";
    !node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(excluded))
}
