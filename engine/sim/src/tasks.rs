//! Components and their tasks. A component is what a fault can kill or pause: a process. Whatever it spawns
//! inherits its scope (its name, its random stream, its cause in the trace), as a process's threads do.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};

use crate::seed::Rng;
use crate::trace::RecordId;
use crate::world::World;

/// What a component is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentState {
    Running,
    /// Stopped as by SIGSTOP: its tasks are not polled; messages to it wait.
    Paused,
    /// Gone; its links refuse.
    Killed,
}

/// One incarnation of a component. Clones share it.
#[derive(Debug, Clone)]
pub struct Component {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    world: World,
    rng: Mutex<Rng>,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug)]
struct State {
    now: ComponentState,
    next_task: u64,
    tasks: BTreeMap<u64, Option<AbortHandle>>,
    /// Tasks that were polled while paused and want to be woken on resume.
    held: Vec<Waker>,
}

#[derive(Clone)]
struct TaskContext {
    component: Component,
    cause: Arc<AtomicU64>,
}

tokio::task_local! {
    static CONTEXT: TaskContext;
}

/// Spawns a task in the current component's scope; a kill of the component drops it. Panics outside a scope.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    current_component().expect("sim::spawn is called within a component's scope").spawn(future)
}

/// The component in whose scope the caller runs.
pub fn current_component() -> Option<Component> {
    CONTEXT.try_with(|context| context.component.clone()).ok()
}

/// The record that led to what the current task is doing.
pub fn current_cause() -> Option<RecordId> {
    CONTEXT.try_with(|context| context.cause.load(Ordering::Relaxed)).ok().filter(|id| *id != 0)
}

/// Runs `future` with `cause` as the cause of every record made in it. `None` leaves the current cause.
pub async fn caused_by<F: Future>(cause: Option<RecordId>, future: F) -> F::Output {
    let Some(cause) = cause else { return future.await };
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(move |context| match CONTEXT.try_with(|task| task.cause.clone()) {
        Err(_) => future.as_mut().poll(context),
        Ok(slot) => {
            let before = slot.swap(cause, Ordering::Relaxed);
            let polled = future.as_mut().poll(context);
            slot.store(before, Ordering::Relaxed);
            polled
        }
    })
    .await
}

impl Component {
    pub(crate) fn new(name: Arc<str>, world: World, rng: Rng) -> Component {
        let state =
            State { now: ComponentState::Running, next_task: 0, tasks: BTreeMap::new(), held: Vec::new() };
        let inner =
            Inner { name, world, rng: Mutex::new(rng), state: Mutex::new(state), ended: Notify::new() };
        Component { inner: Arc::new(inner) }
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub fn world(&self) -> &World {
        &self.inner.world
    }

    pub fn state(&self) -> ComponentState {
        self.locked().now
    }

    /// Draws from the component's own random stream.
    pub fn random<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.inner.rng.lock().expect("a draw does not panic"))
    }

    /// Spawns a task of this component. In a killed component the task is dropped unpolled.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let id = {
            let mut state = self.locked();
            state.next_task += 1;
            let id = state.next_task;
            state.tasks.insert(id, None);
            id
        };
        // One type of task for all futures of one output: else the compiler makes Tokio's machinery anew for each.
        let future: BoxFuture<'static, F::Output> = Box::pin(future);
        let task = self.scoped(future, Some(id));
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns: the scope is put on here")]
        let handle = tokio::spawn(task);
        let mut state = self.locked();
        if state.now == ComponentState::Killed {
            handle.abort();
        } else if let Some(slot) = state.tasks.get_mut(&id) {
            *slot = Some(handle.abort_handle());
        }
        drop(state);
        handle
    }

    /// Runs a future in this component's scope, on the caller's task.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        self.scoped(Box::pin(future), None).await
    }

    /// Ends every task of the component, as SIGKILL would, and waits until the last is dropped.
    /// Must not be called by one of the component's own tasks.
    pub async fn kill(&self) {
        let tasks: Vec<AbortHandle> = {
            let mut state = self.locked();
            state.now = ComponentState::Killed;
            for waker in state.held.drain(..) {
                waker.wake();
            }
            state.tasks.values().flatten().cloned().collect()
        };
        for task in tasks {
            task.abort();
        }
        loop {
            let ended = self.inner.ended.notified();
            if self.locked().tasks.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Stops polling the component's tasks until [`Component::resume`]; its timers go on running out.
    pub fn pause(&self) {
        let mut state = self.locked();
        if state.now == ComponentState::Running {
            state.now = ComponentState::Paused;
        }
    }

    pub fn resume(&self) {
        let mut state = self.locked();
        if state.now == ComponentState::Paused {
            state.now = ComponentState::Running;
            for waker in state.held.drain(..) {
                waker.wake();
            }
        }
    }

    fn scoped<F>(&self, future: F, task: Option<u64>) -> Scoped<F> {
        let context = TaskContext {
            component: self.clone(),
            cause: Arc::new(AtomicU64::new(current_cause().unwrap_or_default())),
        };
        Scoped { context, task, future: Some(future) }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().expect("no panic happens under this lock")
    }
}

/// A future with its component's scope around each poll.
struct Scoped<F> {
    context: TaskContext,
    task: Option<u64>,
    future: Option<F>,
}

impl<F: Future + Unpin> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        {
            let mut state = this.context.component.locked();
            if state.now == ComponentState::Paused && this.task.is_some() {
                state.held.push(context.waker().clone());
                return Poll::Pending;
            }
        }
        this.context.component.world().count_poll();
        let task = this.context.clone();
        let future = this.future.as_mut().expect("a finished task is not polled");
        let polled =
            CONTEXT.sync_scope(task, || catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(context))));
        match polled {
            Ok(polled) => polled,
            Err(panic) => {
                let component = &this.context.component;
                component.world().report_bug(component.name(), &*panic);
                resume_unwind(panic)
            }
        }
    }
}

impl<F> Drop for Scoped<F> {
    fn drop(&mut self) {
        // What the future owns may ask for its scope while it is dropped.
        let future = self.future.take();
        CONTEXT.sync_scope(self.context.clone(), || drop(future));
        if let Some(task) = self.task {
            let component = &self.context.component;
            let mut state = component.locked();
            state.tasks.remove(&task);
            if state.tasks.is_empty() {
                component.inner.ended.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Pace, run};

    fn ticker(component: &Component) -> Arc<AtomicU64> {
        let ticks = Arc::new(AtomicU64::new(0));
        let counter = ticks.clone();
        component.spawn(async move {
            // A child's child is still the component's.
            spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        ticks
    }

    #[test]
    fn a_kill_ends_what_the_component_spawned() {
        run(Pace::Virtual, 1, |world| async move {
            let component = world.component("kubelet/worker1");
            let ticks = ticker(&component);
            tokio::time::sleep(Duration::from_millis(3500)).await;
            component.kill().await;
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(ticks.load(Ordering::Relaxed), 3);
            assert_eq!(component.state(), ComponentState::Killed);
        });
    }

    #[test]
    fn a_paused_component_does_nothing_until_it_is_resumed() {
        run(Pace::Virtual, 1, |world| async move {
            let component = world.component("etcd1");
            let ticks = ticker(&component);
            tokio::time::sleep(Duration::from_millis(2500)).await;
            component.pause();
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(ticks.load(Ordering::Relaxed), 2);
            component.resume();
            tokio::time::sleep(Duration::from_millis(1500)).await;
            assert_eq!(ticks.load(Ordering::Relaxed), 4, "the timer that ran out meanwhile, and one more");
        });
    }

    #[test]
    fn a_panic_is_reported_as_an_engine_bug() {
        run(Pace::Virtual, 1, |world| async move {
            let joined = world.component("scheduler").spawn(async { panic!("no node left") }).await;
            assert!(joined.unwrap_err().is_panic());
            assert_eq!(world.bugs(), ["scheduler: no node left"]);
        });
    }

    #[test]
    fn the_cause_travels_with_the_task_and_its_children() {
        run(Pace::Virtual, 1, |world| async move {
            let cause = caused_by(Some(7), async { spawn(async { current_cause() }).await }).await;
            assert_eq!(cause.unwrap(), Some(7));
            assert_eq!(current_cause(), None);
            drop(world);
        });
    }
}
