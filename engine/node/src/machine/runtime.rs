//! What the kubelet asks of the container runtime. Counterpart: the CRI, `runtime.v1`.
//!
//! Each call takes its time first and then acts at once, so that a kubelet that dies in between leaves no
//! half-made thing behind.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use labkit_api::ObjectKey;
use labkit_sim::{RecordId, caused_by};
use tokio::sync::{mpsc, watch};

use super::network::AddressPool;
use super::payload::RuntimeRequest;
use super::{Machine, State, digest, hex_id, log, process};
use crate::catalogue::HttpService;
use crate::image_name::ImageName;
use crate::metrics_server::MetricsServer;
use crate::program::Program;
use crate::userland::Files;

/// How long the registry takes to say that the image on the node is the newest.
const IMAGE_CHECK: Duration = Duration::from_millis(100);

/// Which pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodId {
    pub uid: String,
    pub key: ObjectKey,
    pub host_network: bool,
}

#[derive(Debug)]
pub(super) struct Pod {
    pub id: PodId,
    pub sandbox: Option<Sandbox>,
    /// Every run of every container, oldest first.
    pub containers: Vec<Container>,
}

#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    pub id: String,
    pub address: Option<Ipv4Addr>,
    pub ready: bool,
}

/// One run of a container.
#[derive(Debug)]
pub(super) struct Container {
    pub id: String,
    pub name: String,
    pub sandbox: String,
    pub image: ImageName,
    pub attempt: i32,
    pub state: ContainerState,
    pub log: log::Log,
    pub ended: watch::Sender<bool>,
    pub signal: watch::Sender<Signal>,
    pub program: Program,
    pub settings: Settings,
    /// While it runs one.
    pub metrics_server: Option<Arc<MetricsServer>>,
    pub console: Console,
    /// Made when somebody looks.
    pub files: OnceLock<Files>,
}

/// What a container's processes find: what its pod's spec says of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub environment: BTreeMap<String, String>,
    pub working_directory: String,
    /// User and group.
    pub ids: (i64, i64),
    pub tty: bool,
    /// The words of a first process that reads its stdin.
    pub listens: Option<Vec<String>>,
    /// Its stdin ends with the first client that leaves.
    pub stdin_once: bool,
    /// The name of its pod's service account.
    pub service_account: String,
}

/// What the first process of a container is attached to.
#[derive(Debug)]
pub(super) struct Console {
    pub stdin: Option<mpsc::Sender<Bytes>>,
    pub heard: Option<mpsc::Receiver<Bytes>>,
    pub interrupts: watch::Sender<()>,
}

impl Console {
    fn new(listens: bool) -> Console {
        let (stdin, heard) = listens.then(|| mpsc::channel(64)).unzip();
        Console { stdin, heard, interrupts: watch::Sender::new(()) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signal {
    None,
    Terminate,
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerState {
    Created,
    Running { started: Timestamp },
    Exited { started: Timestamp, finished: Timestamp, code: i32, reason: &'static str },
}

/// What the runtime tells of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodView {
    /// The newest sandbox's id, if it is ready.
    pub sandbox: Option<String>,
    /// Whether there ever was a sandbox.
    pub had_sandbox: bool,
    pub address: Option<Ipv4Addr>,
    /// Every run of every container, oldest first.
    pub containers: Vec<ContainerView>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerView {
    pub id: String,
    pub name: String,
    pub sandbox: String,
    pub image: String,
    pub image_id: String,
    /// How often the container was restarted before.
    pub attempt: i32,
    pub state: ContainerState,
}

/// An image on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredImage {
    pub name: ImageName,
    pub size_bytes: u64,
}

impl Machine {
    pub(crate) fn pod(&self, uid: &str) -> PodView {
        self.locked().pods.get(uid).map(Pod::view).unwrap_or_default()
    }

    /// Every pod that the runtime knows, by uid.
    pub(crate) fn pods(&self) -> BTreeMap<String, PodId> {
        self.locked().pods.iter().map(|(uid, pod)| (uid.clone(), pod.id.clone())).collect()
    }

    /// The images on the machine, by name.
    pub(crate) fn images(&self) -> BTreeMap<String, StoredImage> {
        self.locked().images.clone()
    }

    pub(crate) fn image(&self, name: &ImageName) -> crate::Image {
        self.inner.catalogue.find(name).into_owned()
    }

    /// Makes the pod's sandbox and gives it an address.
    pub(crate) async fn run_pod_sandbox(&self, pod: &PodId) {
        let record = self.record("RunPodSandbox", &pod.key.to_string(), "", "");
        tokio::time::sleep(self.inner.config.sandbox_start).await;
        let mut state = self.locked();
        let State { pods, addresses, component, .. } = &mut *state;
        let known = pods.entry(pod.uid.clone()).or_insert_with(|| Pod::new(pod));
        known.give_back(addresses);
        let address = if pod.host_network { Some(self.inner.config.internal_ip) } else { addresses.take() };
        known.sandbox = Some(Sandbox { id: hex_id(component), address, ready: true });
        state.tell(&pod.uid, Some(record));
    }

    /// Pulls an image. Returns its size, or containerd's message.
    pub(crate) async fn pull_image(&self, name: &ImageName) -> Result<u64, String> {
        self.record("PullImage", "", "", &name.to_string());
        let image = self.image(name);
        if let Some(failure) = image.pull.fails {
            tokio::time::sleep(IMAGE_CHECK).await;
            return Err(failure.message(name));
        }
        let is_there = self.locked().images.contains_key(&name.to_string());
        let takes = image.pull.takes.map_or(self.inner.config.image_pull, |takes| takes.0);
        tokio::time::sleep(if is_there { IMAGE_CHECK.min(takes) } else { takes }).await;
        let stored = StoredImage { name: name.clone(), size_bytes: image.size_bytes };
        self.locked().images.insert(name.to_string(), stored);
        self.inner.images_changed.send_replace(());
        Ok(image.size_bytes)
    }

    /// Makes a container; it does not run yet. Returns its id.
    pub(crate) async fn create_container(
        &self,
        pod: &PodId,
        name: &str,
        image: &ImageName,
        (program, settings): (Program, Settings),
    ) -> Option<String> {
        self.record("CreateContainer", &pod.key.to_string(), name, &image.to_string());
        tokio::time::sleep(self.inner.config.container_start / 2).await;
        let mut state = self.locked();
        let State { pods, component, .. } = &mut *state;
        let known = pods.get_mut(&pod.uid)?;
        let sandbox = known.sandbox.as_ref().filter(|sandbox| sandbox.ready)?.id.clone();
        let attempt = known.runs(name).last().map_or(0, |last| last.attempt + 1);
        let id = hex_id(component);
        known.forget_old_runs(name);
        known.containers.push(Container {
            id: id.clone(),
            name: name.to_owned(),
            sandbox,
            image: image.clone(),
            attempt,
            state: ContainerState::Created,
            log: log::Log::default(),
            ended: watch::Sender::new(false),
            signal: watch::Sender::new(Signal::None),
            program,
            console: Console::new(settings.listens.is_some()),
            settings,
            metrics_server: None,
            files: OnceLock::new(),
        });
        Some(id)
    }

    /// Runs a container that was made.
    pub(crate) async fn start_container(&self, pod: &PodId, id: &str) {
        let name = self.container_name(pod, id).unwrap_or_default();
        let record = self.record("StartContainer", &pod.key.to_string(), &name, "");
        tokio::time::sleep(self.inner.config.container_start / 2).await;
        caused_by(Some(record), async { self.spawn_process(pod, id, record) }).await;
    }

    fn spawn_process(&self, pod: &PodId, id: &str, record: RecordId) {
        let now = self.world().clock().now();
        let mut state = self.locked();
        let component = state.component.clone();
        let Some(known) = state.pods.get_mut(&pod.uid) else { return };
        let Some(container) = known.containers.iter_mut().find(|container| container.id == id) else {
            return;
        };
        container.state = ContainerState::Running { started: now };
        let (program, signals) = (container.program.clone(), container.signal.subscribe());
        state.tell(&pod.uid, Some(record));
        drop(state);
        component.spawn(process::run(self.clone(), pod.uid.clone(), id.to_owned(), program, signals));
    }

    /// Asks a container to end, and kills it when it still runs after `grace`.
    pub(crate) async fn stop_container(&self, pod: &PodId, id: &str, grace: Duration) {
        let Some((signal, mut ended)) = self.handles(pod, id) else { return };
        let name = self.container_name(pod, id).unwrap_or_default();
        self.record("StopContainer", &pod.key.to_string(), &name, "");
        raise(&signal, Signal::Terminate);
        if tokio::time::timeout(grace, ended.wait_for(|ended| *ended)).await.is_ok() {
            return;
        }
        raise(&signal, Signal::Kill);
        let _the_sender_is_gone_with_the_pod = ended.wait_for(|ended| *ended).await;
    }

    /// Ends the sandbox: whatever still runs in it is killed, its address is free again. What was printed
    /// stays until [`Machine::remove_pod`].
    pub(crate) fn stop_pod_sandbox(&self, uid: &str) {
        let mut state = self.locked();
        let State { pods, addresses, .. } = &mut *state;
        let Some(pod) = pods.get_mut(uid) else { return };
        let was_ready = pod.sandbox.as_ref().is_some_and(|sandbox| sandbox.ready);
        pod.give_back(addresses);
        if let Some(sandbox) = &mut pod.sandbox {
            sandbox.ready = false;
        }
        for container in &pod.containers {
            raise(&container.signal, Signal::Kill);
        }
        let key = pod.id.key.to_string();
        drop(state);
        if was_ready {
            self.record("StopPodSandbox", &key, "", "");
        }
    }

    /// Forgets the pod with its logs.
    pub(crate) fn remove_pod(&self, uid: &str) {
        self.stop_pod_sandbox(uid);
        let Some(pod) = self.locked().pods.remove(uid) else { return };
        self.locked().reported.remove(uid);
        if pod.sandbox.is_some() {
            self.record("RemovePodSandbox", &pod.id.key.to_string(), "", "");
        }
    }

    fn handles(&self, pod: &PodId, id: &str) -> Option<(watch::Sender<Signal>, watch::Receiver<bool>)> {
        let state = self.locked();
        let container = state.pods.get(&pod.uid)?.containers.iter().find(|container| container.id == id)?;
        let runs = matches!(container.state, ContainerState::Running { .. });
        runs.then(|| (container.signal.clone(), container.ended.subscribe()))
    }

    fn container_name(&self, pod: &PodId, id: &str) -> Option<String> {
        let state = self.locked();
        let container = state.pods.get(&pod.uid)?.containers.iter().find(|container| container.id == id)?;
        Some(container.name.clone())
    }

    pub(super) fn record(&self, verb: &'static str, pod: &str, container: &str, image: &str) -> RecordId {
        let request = RuntimeRequest {
            verb,
            pod: pod.to_owned(),
            container: container.to_owned(),
            image: image.to_owned(),
        };
        let config = &self.inner.config;
        self.world().trace().record(&config.kubelet_component(), &config.machine_component(), request)
    }
}

/// Signals only grow: who was killed is not asked any more.
pub(super) fn raise(sender: &watch::Sender<Signal>, signal: Signal) {
    sender.send_if_modified(|current| {
        let rises = signal > *current;
        *current = signal.max(*current);
        rises
    });
}

impl Pod {
    fn new(id: &PodId) -> Pod {
        Pod { id: id.clone(), sandbox: None, containers: Vec::new() }
    }

    fn runs(&self, name: &str) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(move |container| container.name == name)
    }

    /// Keeps one old run of a container, for its log and its last state.
    fn forget_old_runs(&mut self, name: &str) {
        let old = self.runs(name).count().saturating_sub(1);
        let mut dropped = 0;
        self.containers.retain(|container| {
            let drop = container.name == name && dropped < old;
            dropped += usize::from(drop);
            !drop
        });
    }

    /// The pod's own address; a pod on the host's network has none of its own.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.sandbox.as_ref().filter(|sandbox| sandbox.ready)?.address
    }

    /// The containers that run, and since when.
    pub fn running(&self) -> impl Iterator<Item = (&Container, Timestamp)> {
        self.containers.iter().filter_map(|container| match container.state {
            ContainerState::Running { started } => Some((container, started)),
            _ => None,
        })
    }

    fn give_back(&self, addresses: &mut AddressPool) {
        if let Some(address) = self.address().filter(|_| !self.id.host_network) {
            addresses.give_back(address);
        }
    }

    /// What containerd finds after a boot: sandboxes that are gone, containers that ended nobody knows how.
    pub fn lose_power(&mut self, now: Timestamp, addresses: &mut AddressPool) {
        self.give_back(addresses);
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.ready = false;
        }
        for container in &mut self.containers {
            if let ContainerState::Running { started } = container.state {
                container.state =
                    ContainerState::Exited { started, finished: now, code: 255, reason: "Unknown" };
            }
            container.metrics_server = None;
            container.log.end(now);
            container.ended.send_replace(true);
        }
    }

    fn view(&self) -> PodView {
        PodView {
            sandbox: self.sandbox.as_ref().filter(|sandbox| sandbox.ready).map(|sandbox| sandbox.id.clone()),
            had_sandbox: self.sandbox.is_some(),
            address: self.sandbox.as_ref().and_then(|sandbox| sandbox.address),
            containers: self.containers.iter().map(Container::view).collect(),
        }
    }
}

impl Container {
    pub fn has_run(&self) -> bool {
        self.state != ContainerState::Created
    }

    /// The services that answer at `now`.
    pub fn services_open(&self, started: Timestamp, now: Timestamp) -> impl Iterator<Item = &HttpService> {
        let age = Duration::try_from(now.duration_since(started)).unwrap_or_default();
        self.program.serves.iter().filter(move |service| service.opens_after.0 <= age)
    }

    fn view(&self) -> ContainerView {
        ContainerView {
            id: self.id.clone(),
            name: self.name.clone(),
            sandbox: self.sandbox.clone(),
            image: self.image.to_string(),
            image_id: format!("{}@sha256:{}", self.image.repository, digest(&self.image.to_string())),
            attempt: self.attempt,
            state: self.state,
        }
    }
}
