//! A machine: its containers, images and addresses. Counterpart: containerd under the CRI, the CNI plugin,
//! and the hardware.
//!
//! - `runtime`: what the kubelet asks: sandboxes, images, containers; the CRI's verbs.
//! - `process`: a container's process, as a task of the component `node/<name>`.
//! - `log`: what a container printed. `network`: pod addresses, and who answers on them.
//! - `session`: commands in containers, and who is attached to them. `ports`: connections to a pod's ports.
//! - `payload`: what the trace says of it.

mod log;
mod network;
mod payload;
mod ports;
mod process;
mod runtime;
mod session;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use labkit_api::ObjectKey;
use labkit_sim::{Component, RecordId, World};
use rand::Rng as _;
use tokio::sync::{mpsc, watch};

use crate::catalogue::Catalogue;
use crate::config::NodeConfig;
use crate::metrics_server::Outside;
pub use log::{LogError, LogOptions};
pub(crate) use network::Connection;
pub(crate) use runtime::{ContainerState, ContainerView, PodId, PodView, Settings, StoredImage};
pub use session::{SessionError, SessionOptions};

/// A handle to a machine. Clones share it. It outlives the kubelet.
#[derive(Debug, Clone)]
pub struct Machine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    config: NodeConfig,
    catalogue: Catalogue,
    state: Mutex<State>,
    images_changed: watch::Sender<()>,
    outside: OnceLock<Arc<dyn Outside>>,
}

#[derive(Debug)]
struct State {
    /// The scope of everything that runs on the machine.
    component: Component,
    boot_id: String,
    addresses: network::AddressPool,
    images: BTreeMap<String, StoredImage>,
    pods: BTreeMap<String, runtime::Pod>,
    /// What the kubelet last reported of each pod, by uid: its answers on logs refer to it.
    reported: BTreeMap<String, (ObjectKey, PodStatus)>,
    listeners: Vec<mpsc::UnboundedSender<RuntimeEvent>>,
    booted: Timestamp,
    /// Nanoseconds of CPU that containers used since then which do not run any more.
    consumed: i128,
}

/// Something happened to a container of that pod.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeEvent {
    pub uid: String,
    pub cause: Option<RecordId>,
}

impl Machine {
    /// A machine that is switched on, with nothing on it.
    pub fn new(world: &World, config: NodeConfig, catalogue: Catalogue) -> Machine {
        let component = world.component(&config.machine_component());
        let state = State {
            boot_id: uuid(&component),
            component,
            addresses: network::AddressPool::new(&config.pod_cidr),
            images: BTreeMap::new(),
            pods: BTreeMap::new(),
            reported: BTreeMap::new(),
            listeners: Vec::new(),
            booted: world.clock().now(),
            consumed: 0,
        };
        let images_changed = watch::Sender::new(());
        let inner = Inner {
            world: world.clone(),
            config,
            catalogue,
            state: Mutex::new(state),
            images_changed,
            outside: OnceLock::new(),
        };
        Machine { inner: Arc::new(inner) }
    }

    /// Says what programs in its containers reach beyond the machine; the first to say so counts.
    pub fn set_outside(&self, outside: Arc<dyn Outside>) {
        let _it_is_connected_once = self.inner.outside.set(outside);
    }

    pub fn config(&self) -> &NodeConfig {
        &self.inner.config
    }

    pub(crate) fn world(&self) -> &World {
        &self.inner.world
    }

    /// Cuts the power: every process of the machine ends at once. Its kubelet is the caller's to end first.
    pub async fn power_off(&self) {
        let component = self.locked().component.clone();
        component.kill().await;
        let now = self.inner.world.clock().now();
        let mut state = self.locked();
        state.listeners.clear();
        state.reported.clear();
        let State { pods, addresses, .. } = &mut *state;
        for pod in pods.values_mut() {
            pod.lose_power(now, addresses);
        }
    }

    /// Switches the machine on again. Images are still there; of the containers only their remains.
    pub fn power_on(&self) {
        let component = self.inner.world.component(&self.inner.config.machine_component());
        let mut state = self.locked();
        state.boot_id = uuid(&component);
        (state.booted, state.consumed) = (self.inner.world.clock().now(), 0);
        state.component = component;
    }

    /// Names this boot of the machine.
    pub(crate) fn boot_id(&self) -> String {
        self.locked().boot_id.clone()
    }

    /// Names the machine itself, over all its boots.
    pub(crate) fn machine_id(&self) -> String {
        digest(&self.inner.config.name)[..32].to_owned()
    }

    /// What happens to containers from now on.
    pub(crate) fn subscribe(&self) -> mpsc::UnboundedReceiver<RuntimeEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.locked().listeners.push(sender);
        receiver
    }

    /// Changes with each image that is pulled.
    pub(crate) fn images_changed(&self) -> watch::Receiver<()> {
        self.inner.images_changed.subscribe()
    }

    /// Keeps what the kubelet reports of a pod, for its answers on logs.
    pub(crate) fn report(&self, uid: &str, key: &ObjectKey, status: &PodStatus) {
        self.locked().reported.insert(uid.to_owned(), (key.clone(), status.clone()));
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().expect("no panic happens under this lock")
    }
}

impl State {
    fn tell(&mut self, uid: &str, cause: Option<RecordId>) {
        let event = RuntimeEvent { uid: uid.to_owned(), cause };
        self.listeners.retain(|listener| listener.send(event.clone()).is_ok());
    }
}

/// 64 hexadecimal digits from the machine's own random stream: how containerd names things.
fn hex_id(component: &Component) -> String {
    component.random(|rng| (0..4).map(|_| format!("{:016x}", rng.r#gen::<u64>())).collect())
}

fn uuid(component: &Component) -> String {
    let id = hex_id(component);
    format!("{}-{}-4{}-a{}-{}", &id[..8], &id[8..12], &id[13..16], &id[17..20], &id[20..32])
}

/// 64 hexadecimal digits that stand for a content: the same for the same text.
fn digest(text: &str) -> String {
    let part = |salt: u8| format!("{:016x}", labkit_sim::seed::fnv1a(format!("{salt}{text}").as_bytes()));
    (0..4).map(part).collect()
}
