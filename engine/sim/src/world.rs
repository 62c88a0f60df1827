//! The world: one clock, one seed, one network, one trace, and the components and disks by name.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use futures::future::LocalBoxFuture;
use tokio::runtime::RngSeed;

use crate::clock::{Clock, Pace};
use crate::disk::Disk;
use crate::network::Network;
use crate::seed::Seed;
use crate::tasks::Component;
use crate::trace::Trace;

/// A handle to a world. Clones share it.
#[derive(Debug, Clone)]
pub struct World {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    seed: Seed,
    trace: Trace,
    network: OnceLock<Network>,
    registry: Mutex<Registry>,
    /// How often tasks of components were polled.
    polls: AtomicU64,
}

/// After so many turns in which no task had anything to do, none will without time or the outside.
const QUIET_TURNS: u32 = 3;
/// A world that is busy for so many turns is not waited for: somebody outside keeps it busy.
const SETTLING_TURNS_MAX: u32 = 100_000;

#[derive(Debug, Default)]
struct Registry {
    /// The newest incarnation of each component, and how many there were.
    components: BTreeMap<String, (Component, u32)>,
    disks: BTreeMap<String, Disk>,
    bugs: Vec<String>,
}

#[cfg(not(tokio_unstable))]
compile_error!(
    "labkit seeds Tokio's own lots: build with --cfg tokio_unstable, as .cargo/config.toml says (does RUSTFLAGS hide it?)"
);

/// Makes a current-thread runtime of that pace and a world on it, runs `body` in the scope of a component
/// called `driver`, then ends every component.
pub fn run<F, Fut>(pace: Pace, seed: u64, body: F) -> Fut::Output
where
    F: FnOnce(World) -> Fut,
    Fut: Future,
{
    let mut builder = tokio::runtime::Builder::new_current_thread();
    match pace {
        // No sockets: real input has no place in virtual time, and asking for it costs at every step.
        Pace::Virtual => builder.enable_time().start_paused(true),
        Pace::Wall => builder.enable_all(),
    };
    builder.rng_seed(RngSeed::from_bytes(&seed.to_le_bytes()));
    let runtime = builder.build().expect("the host gives a runtime its file descriptors");
    runtime.block_on(async {
        let world = World::new(pace, seed);
        // One type for all bodies of one output: else the compiler makes Tokio's machinery anew for each.
        let body: LocalBoxFuture<'_, Fut::Output> = Box::pin(body(world.clone()));
        let output = world.component("driver").run(body).await;
        world.end().await;
        output
    })
}

impl World {
    /// A world on the current runtime, which must be a current-thread one, paused for virtual pace.
    pub fn new(pace: Pace, seed: u64) -> World {
        let clock = Clock::start(pace);
        let trace = Trace::new(clock.clone());
        let seed = Seed(seed);
        let network = Network::new(seed.stream("network"), trace.clone());
        let (network, registry) = (OnceLock::from(network), Mutex::default());
        let inner = Inner { clock, seed, trace, network, registry, polls: AtomicU64::new(0) };
        World { inner: Arc::new(inner) }
    }

    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub fn seed(&self) -> Seed {
        self.inner.seed
    }

    pub fn trace(&self) -> &Trace {
        &self.inner.trace
    }

    pub fn network(&self) -> &Network {
        self.inner.network.get().expect("set when the world was made")
    }

    /// A new incarnation of the component of that name. Its random stream depends on the name and on how
    /// often it was started, not on what else happened.
    pub fn component(&self, name: &str) -> Component {
        let mut registry = self.locked();
        let incarnation = registry.components.get(name).map_or(0, |(_, incarnation)| incarnation + 1);
        let rng = self.inner.seed.stream(&format!("component/{name}/{incarnation}"));
        let component = Component::new(name.into(), self.clone(), rng);
        registry.components.insert(name.to_owned(), (component.clone(), incarnation));
        component
    }

    /// The newest incarnation of the component of that name.
    pub fn find(&self, name: &str) -> Option<Component> {
        self.locked().components.get(name).map(|(component, _)| component.clone())
    }

    /// The disk of that name; an empty one when it is asked for the first time.
    pub fn disk(&self, name: &str) -> Disk {
        self.locked().disks.entry(name.to_owned()).or_default().clone()
    }

    /// Waits until all that can run has run. No time passes meanwhile where it does not pass by itself.
    pub async fn settle(&self) {
        let observer = self.component("observer");
        let world = self.clone();
        let settled = observer.spawn(async move {
            let (mut quiet, mut turns) = (0, 0);
            while quiet < QUIET_TURNS && turns < SETTLING_TURNS_MAX {
                let before = world.inner.polls.load(Ordering::Relaxed);
                tokio::task::yield_now().await;
                // Its own turn counts, too.
                let alone = world.inner.polls.load(Ordering::Relaxed) == before + 1;
                (quiet, turns) = (if alone { quiet + 1 } else { 0 }, turns + 1);
            }
        });
        settled.await.expect("it only waits");
    }

    pub(crate) fn count_poll(&self) {
        self.inner.polls.fetch_add(1, Ordering::Relaxed);
    }

    /// Panics of components so far, as `component: message`. Any is a bug of the engine.
    pub fn bugs(&self) -> Vec<String> {
        self.locked().bugs.clone()
    }

    pub(crate) fn report_bug(&self, component: &str, panic: &(dyn Any + Send)) {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message =
            message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned());
        self.locked().bugs.push(format!("{component}: {message}"));
    }

    /// Thaws the clock and kills every component, so that nothing of the world runs on.
    pub async fn end(&self) {
        self.clock().thaw().await;
        let components: Vec<Component> = self.locked().components.values().map(|(c, _)| c.clone()).collect();
        for component in components {
            component.kill().await;
        }
        // Handles to components keep the world alive in a cycle; forgetting them frees it.
        self.locked().components.clear();
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.inner.registry.lock().expect("no panic happens under this lock")
    }
}
