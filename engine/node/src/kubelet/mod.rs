//! The kubelet: one process per node. Counterpart: `pkg/kubelet`.
//!
//! - `node`, `node_status`, `lease`: the node's own object, its status, its heartbeat.
//! - `pod_worker`: one task per pod; `plan` decides, `containers` and the machine do, `probe` watches.
//! - `pod_status`, `conditions`, `qos`: what is reported, pure; `status_manager`, `status_patch`: how.
//! - `event_sink`, `backoff`: events without waiting; waits that double.

mod backoff;
mod conditions;
mod containers;
mod event_sink;
mod lease;
mod node;
mod node_status;
mod plan;
mod pod_status;
mod pod_worker;
mod probe;
mod qos;
mod status_manager;
mod status_patch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use labkit_api::ObjectKey;
use labkit_client::{Change, Client, Informer, ListParams};
use labkit_sim::{RecordId, caused_by};
use tokio::sync::mpsc;

use self::event_sink::EventSink;
use self::pod_worker::{Note, PodWorker};
use self::status_manager::StatusManager;
use crate::machine::{ContainerState, Machine, PodId};

/// What the parts of a kubelet share.
#[derive(Debug, Clone)]
pub(crate) struct Kubelet {
    client: Client,
    machine: Machine,
    events: EventSink,
    statuses: StatusManager,
}

impl Kubelet {
    fn now(&self) -> Timestamp {
        self.machine.world().clock().now()
    }

    fn node_name(&self) -> &str {
        &self.machine.config().name
    }
}

/// Runs the kubelet of a machine in the caller's component. Never returns. Its end leaves the containers
/// alone; the next one picks up what runs.
pub fn run_kubelet(client: Client, machine: Machine) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let kubelet = Kubelet {
            events: EventSink::start(&client, &machine.config().name),
            statuses: StatusManager::new(&client),
            client,
            machine,
        };
        labkit_sim::spawn(kubelet.statuses.clone().run());
        labkit_sim::spawn(node::run(kubelet.clone()));
        let runtime = kubelet.machine.subscribe();
        let field_selector = format!("spec.nodeName={}", kubelet.node_name());
        let pods =
            Informer::<Pod>::start(&kubelet.client, ListParams { field_selector, ..ListParams::default() });
        pods.synced().await;
        for (uid, pod) in kubelet.machine.pods() {
            if !pods.store().list().iter().any(|known| known.metadata.uid.as_ref() == Some(&uid)) {
                labkit_sim::spawn(end_orphan(kubelet.machine.clone(), pod));
            }
        }
        let dispatcher = Dispatcher { kubelet, workers: BTreeMap::new() };
        dispatcher.run(pods.subscribe(), runtime).await;
    })
}

/// A pod that runs here but that the API does not know any more.
async fn end_orphan(machine: Machine, pod: PodId) {
    for run in machine.pod(&pod.uid).containers {
        if matches!(run.state, ContainerState::Running { .. }) {
            machine.stop_container(&pod, &run.id, Duration::from_secs(1)).await;
        }
    }
    machine.remove_pod(&pod.uid);
}

/// Gives every pod its worker, and every worker its notes.
struct Dispatcher {
    kubelet: Kubelet,
    workers: BTreeMap<String, mpsc::UnboundedSender<(Note, Option<RecordId>)>>,
}

impl Dispatcher {
    async fn run(
        mut self,
        mut pods: mpsc::UnboundedReceiver<Change<Pod>>,
        mut runtime: mpsc::UnboundedReceiver<crate::machine::RuntimeEvent>,
    ) {
        loop {
            tokio::select! {
                biased;
                Some(change) = pods.recv() => {
                    let cause = change.cause;
                    caused_by(cause, async { self.pod_changed(change) }).await;
                }
                Some(event) = runtime.recv() => {
                    if let Some(worker) = self.workers.get(&event.uid) {
                        let _the_worker_is_done = worker.send((Note::Runtime, event.cause));
                    }
                }
            }
        }
    }

    fn pod_changed(&mut self, change: Change<Pod>) {
        let uid_of = |pod: &Arc<Pod>| pod.metadata.uid.clone().unwrap_or_default();
        let (old, new) = (change.old.as_ref().map(uid_of), change.new.as_ref().map(uid_of));
        if let Some(old) = old.filter(|old| Some(old) != new.as_ref())
            && let Some(worker) = self.workers.remove(&old)
        {
            let _the_worker_is_done = worker.send((Note::Gone, change.cause));
        }
        let (Some(pod), Some(uid)) = (change.new, new) else { return };
        let kubelet = &self.kubelet;
        // The task of a new worker is spawned in the scope of this change, and so knows its cause.
        let worker = self.workers.entry(uid).or_insert_with_key(|uid| {
            let (sender, inbox) = mpsc::unbounded_channel();
            let worker = PodWorker::new(kubelet.clone(), pod.clone(), id_of(&pod, &change.key, uid));
            labkit_sim::spawn(worker.run(inbox));
            sender
        });
        let _the_worker_is_done = worker.send((Note::Pod(pod), change.cause));
    }
}

fn id_of(pod: &Pod, key: &ObjectKey, uid: &str) -> PodId {
    let host_network = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or_default();
    PodId { uid: uid.to_owned(), key: key.clone(), host_network }
}
