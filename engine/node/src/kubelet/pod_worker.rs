//! One pod on the node, from its arrival to its end. Counterpart: `pod_workers.go`, `SyncPod`.
//!
//! The worker is level-based: each time something happens it looks at the pod and at the runtime, reports,
//! does what is to do, and says when to look again. Work in progress is dropped when the pod is to go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use labkit_client::EventType;
use labkit_sim::{RecordId, caused_by, current_cause};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Kubelet;
use super::backoff::Backoff;
use super::event_sink::ContainerRef;
use super::plan::plan;
use super::pod_status::{Facts, Health, Waiting, pod_status};
use super::probe::{Probed, Verdict};
use crate::machine::{ContainerState, PodId, PodView};

/// After a new reason to wait the status is reported so much later: upstream learns of it when it next
/// relists the runtime's containers.
pub(super) const RELIST: Duration = Duration::from_secs(1);
const GRACE_DEFAULT: i64 = 30;

/// Something that a worker is told.
#[derive(Debug)]
pub(crate) enum Note {
    /// The API has this of the pod now.
    Pod(Arc<Pod>),
    /// The API has it no more.
    Gone,
    /// Something happened to its containers.
    Runtime,
}

/// A container's id, and what its probes have come to.
type Judged = (String, Verdict);

pub(crate) type Inbox = mpsc::UnboundedReceiver<(Note, Option<RecordId>)>;

/// A pod's worker. It forgets everything when the kubelet ends.
pub(crate) struct PodWorker {
    pub(super) kubelet: Kubelet,
    pub(super) pod: Arc<Pod>,
    pub(super) id: PodId,
    is_gone: bool,
    start_time: Timestamp,
    reported: Option<PodStatus>,
    pub(super) waiting: BTreeMap<String, Waiting>,
    /// Back-offs of containers, by name, and of images.
    pub(super) restarts: BTreeMap<String, Backoff>,
    pub(super) pulls: BTreeMap<String, (Backoff, String)>,
    health: BTreeMap<String, Health>,
    unhealthy: BTreeMap<String, String>,
    probing: BTreeMap<String, JoinHandle<()>>,
    verdicts: (mpsc::UnboundedSender<Judged>, mpsc::UnboundedReceiver<Judged>),
}

impl PodWorker {
    pub fn new(kubelet: Kubelet, pod: Arc<Pod>, id: PodId) -> PodWorker {
        let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
        PodWorker {
            start_time: started.map_or_else(|| kubelet.now(), |time| time.0),
            kubelet,
            pod,
            id,
            is_gone: false,
            reported: None,
            waiting: BTreeMap::new(),
            restarts: BTreeMap::new(),
            pulls: BTreeMap::new(),
            health: BTreeMap::new(),
            unhealthy: BTreeMap::new(),
            probing: BTreeMap::new(),
            verdicts: mpsc::unbounded_channel(),
        }
    }

    pub async fn run(mut self, mut inbox: Inbox) {
        let mut pending = Vec::new();
        let mut wake = Some(Instant::now());
        loop {
            let mut is_due = false;
            let mut cause = None;
            while !is_due {
                if pending.is_empty() {
                    is_due = self.wait(&mut inbox, &mut pending, wake).await;
                }
                while let Ok(note) = inbox.try_recv() {
                    pending.push(note);
                }
                for (note, because) in pending.drain(..) {
                    is_due |= self.take(note, because);
                    cause = because.or(cause);
                }
            }
            while let Ok((container, verdict)) = self.verdicts.1.try_recv() {
                self.judge(container, verdict);
            }
            if self.is_to_go() {
                return caused_by(cause, self.terminate(inbox)).await;
            }
            wake = caused_by(cause, async {
                tokio::select! {
                    biased;
                    () = hear_of_end(&mut inbox, &mut pending) => None,
                    wake = self.sync() => wake,
                }
            })
            .await;
        }
    }

    /// Waits for a note, a verdict or the moment to look again. Returns whether it is time to look.
    async fn wait(
        &mut self,
        inbox: &mut Inbox,
        pending: &mut Vec<(Note, Option<RecordId>)>,
        wake: Option<Instant>,
    ) -> bool {
        tokio::select! {
            biased;
            Some(note) = inbox.recv() => {
                pending.push(note);
                false
            }
            Some((container, verdict)) = self.verdicts.1.recv() => {
                self.judge(container, verdict);
                true
            }
            () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => true,
        }
    }

    /// Takes in what is told. Returns whether there may be something to do: not when only the status of the
    /// pod changed, for that is our own doing or is put right by the status manager.
    fn take(&mut self, note: Note, cause: Option<RecordId>) -> bool {
        match note {
            Note::Pod(pod) => {
                let differs = is_changed(&self.pod, &pod);
                self.pod = pod;
                self.kubelet.statuses.observe(&self.id.key, &self.pod, cause);
                differs
            }
            Note::Gone => {
                self.is_gone = true;
                true
            }
            Note::Runtime => true,
        }
    }

    fn judge(&mut self, container: String, verdict: Verdict) {
        match verdict {
            Verdict::Started => self.health.entry(container).or_insert(UNPROVEN).started = true,
            Verdict::Ready(ready) => self.health.entry(container).or_insert(UNPROVEN).ready = ready,
            Verdict::Unhealthy(why) => drop(self.unhealthy.insert(container, why)),
        }
    }

    fn is_to_go(&self) -> bool {
        self.is_gone || self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Brings the machine nearer to what is wanted. Returns when to look again.
    async fn sync(&mut self) -> Option<Instant> {
        if self.has_ended_before() {
            return None;
        }
        let machine = self.kubelet.machine.clone();
        self.report(&machine.pod(&self.id.uid), false);
        loop {
            let view = machine.pod(&self.id.uid);
            let plan = plan(&self.pod, &view, &self.unhealthy);
            if plan.is_finished {
                self.finish().await;
                return None;
            }
            if plan.new_sandbox {
                if view.had_sandbox {
                    let message = "Pod sandbox changed, it will be killed and re-created.".to_owned();
                    self.kubelet.events.pod(&self.pod, EventType::Normal, "SandboxChanged", message);
                }
                machine.run_pod_sandbox(&self.id).await;
                continue;
            }
            if !plan.stop.is_empty() {
                self.stop(plan.stop).await;
                continue;
            }
            return self.start_containers(&plan).await;
        }
    }

    /// The API says that it is over, from before this kubelet started.
    fn has_ended_before(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        self.reported.is_none() && matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// Nothing of the pod will run any more: its sandbox goes, its logs stay.
    async fn finish(&mut self) {
        self.stop_probing();
        self.kubelet.machine.stop_pod_sandbox(&self.id.uid);
        self.report(&self.kubelet.machine.pod(&self.id.uid), true);
    }

    async fn stop(&mut self, containers: Vec<(String, String)>) {
        let grace = Duration::from_secs(self.grace_seconds().unsigned_abs());
        for (id, why) in containers {
            self.event_of(&id, EventType::Normal, "Killing", why);
            self.kubelet.machine.stop_container(&self.id, &id, grace).await;
            self.unhealthy.remove(&id);
        }
    }

    fn grace_seconds(&self) -> i64 {
        let spec = self.pod.spec.as_ref();
        let own = spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(GRACE_DEFAULT);
        self.pod.metadata.deletion_grace_period_seconds.unwrap_or(own).max(1)
    }

    /// Reports the pod's status, and has each running container probed.
    pub(super) fn report(&mut self, view: &PodView, is_terminal: bool) {
        self.probe_what_runs(view);
        let facts = Facts {
            pod: &self.pod,
            view,
            waiting: &self.waiting,
            health: &self.health,
            is_terminal,
            host_ip: self.kubelet.machine.config().internal_ip,
            start_time: self.start_time,
            now: self.kubelet.now(),
            before: self.reported.as_ref(),
        };
        let status = pod_status(&facts);
        let (key, uid) = (&self.id.key, &self.id.uid);
        self.kubelet.machine.report(uid, key, &status);
        self.kubelet.statuses.set(key, uid, &status, is_terminal, current_cause());
        self.reported = Some(status);
    }

    fn probe_what_runs(&mut self, view: &PodView) {
        let Some(spec) = &self.pod.spec else { return };
        let running: BTreeMap<&str, Timestamp> = view
            .containers
            .iter()
            .filter_map(|run| match run.state {
                ContainerState::Running { started } => Some((run.id.as_str(), started)),
                _ => None,
            })
            .collect();
        self.probing.retain(|id, task| {
            let runs = running.contains_key(id.as_str());
            if !runs {
                task.abort();
            }
            runs
        });
        self.health.retain(|id, _| running.contains_key(id.as_str()));
        self.unhealthy.retain(|id, _| running.contains_key(id.as_str()));
        for run in view.containers.iter().filter(|run| running.contains_key(run.id.as_str())) {
            let Some(container) = spec.containers.iter().find(|container| container.name == run.name) else {
                continue;
            };
            if self.probing.contains_key(&run.id) || self.health.contains_key(&run.id) {
                continue;
            }
            let (startup, readiness) =
                (container.startup_probe.is_some(), container.readiness_probe.is_some());
            self.health.insert(run.id.clone(), Health { started: !startup, ready: !startup && !readiness });
            if !startup && !readiness && container.liveness_probe.is_none() {
                continue;
            }
            let probed = Probed {
                machine: self.kubelet.machine.clone(),
                events: self.kubelet.events.clone(),
                pod: self.pod.clone(),
                container: container.clone(),
                id: run.id.clone(),
                address: view.address,
                started: running[run.id.as_str()],
                verdicts: self.verdicts.0.clone(),
            };
            self.probing.insert(run.id.clone(), labkit_sim::spawn(probed.run()));
        }
    }

    fn stop_probing(&mut self) {
        for (_, task) in std::mem::take(&mut self.probing) {
            task.abort();
        }
    }

    /// Stops what runs, reports the end, and waits until the API has forgotten the pod.
    async fn terminate(mut self, mut inbox: Inbox) {
        self.stop_probing();
        self.unhealthy.clear();
        let machine = self.kubelet.machine.clone();
        let running: Vec<String> = machine
            .pod(&self.id.uid)
            .containers
            .iter()
            .filter(|run| matches!(run.state, ContainerState::Running { .. }))
            .map(|run| run.id.clone())
            .collect();
        for id in &running {
            let name = self.name_of(id).unwrap_or_default();
            self.event_of(id, EventType::Normal, "Killing", format!("Stopping container {name}"));
        }
        let asked = Instant::now();
        loop {
            let grace = Duration::from_secs(self.grace_seconds().unsigned_abs());
            let left = grace.saturating_sub(asked.elapsed());
            let stops = running.iter().map(|id| machine.stop_container(&self.id, id, left));
            tokio::select! {
                biased;
                _ = join_all(stops) => break,
                // A second delete may shorten the grace period.
                Some((note, cause)) = inbox.recv() => drop(self.take(note, cause)),
            }
        }
        machine.stop_pod_sandbox(&self.id.uid);
        self.waiting.clear();
        if !self.is_gone {
            self.report(&machine.pod(&self.id.uid), true);
            self.kubelet.statuses.observe(&self.id.key, &self.pod, current_cause());
        }
        while !self.is_gone {
            let Some((note, cause)) = inbox.recv().await else { return };
            self.take(note, cause);
        }
        self.kubelet.statuses.forget(&self.id.key, &self.id.uid);
        machine.remove_pod(&self.id.uid);
    }

    fn name_of(&self, id: &str) -> Option<String> {
        let view = self.kubelet.machine.pod(&self.id.uid);
        view.containers.iter().find(|run| run.id == id).map(|run| run.name.clone())
    }

    fn event_of(&self, id: &str, event_type: EventType, reason: &'static str, message: String) {
        let name = self.name_of(id).unwrap_or_default();
        let spec = self.pod.spec.as_ref();
        let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
        let ephemeral = spec.and_then(|spec| spec.ephemeral_containers.as_deref()).unwrap_or_default();
        let list = if init.iter().any(|container| container.name == name) {
            "initContainers"
        } else if ephemeral.iter().any(|container| container.name == name) {
            "ephemeralContainers"
        } else {
            "containers"
        };
        let container = ContainerRef { name: &name, list };
        self.kubelet.events.container(&self.pod, container, event_type, reason, message);
    }
}

const UNPROVEN: Health = Health { started: false, ready: false };

/// Whether anything but the status differs.
fn is_changed(old: &Pod, new: &Pod) -> bool {
    let (a, b) = (&old.metadata, &new.metadata);
    old.spec != new.spec
        || a.labels != b.labels
        || a.annotations != b.annotations
        || a.deletion_timestamp != b.deletion_timestamp
        || a.deletion_grace_period_seconds != b.deletion_grace_period_seconds
}

/// Collects notes until one of them says that the pod is to go.
async fn hear_of_end(inbox: &mut Inbox, pending: &mut Vec<(Note, Option<RecordId>)>) {
    while let Some((note, cause)) = inbox.recv().await {
        let ends = match &note {
            Note::Pod(pod) => pod.metadata.deletion_timestamp.is_some(),
            Note::Gone => true,
            Note::Runtime => false,
        };
        pending.push((note, cause));
        if ends {
            return;
        }
    }
    std::future::pending().await
}
