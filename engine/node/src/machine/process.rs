//! A container's process: a task of the machine that takes its program's steps until they are over or it is
//! told to stop.

use std::sync::Arc;

use labkit_api::UserInfo;
use labkit_sim::RecordId;
use tokio::sync::watch;

use super::Machine;
use super::log::date;
use super::payload::ContainerDied;
use super::runtime::{ContainerState, Signal};
use crate::catalogue::OnSigterm;
use crate::metrics_server::MetricsServer;
use crate::program::{Program, Step};
use crate::userland;

/// SIGKILL: 128 + 9.
pub(super) const KILLED: i32 = 137;

/// Runs a container to its end. Spawned in the machine's component.
pub(super) async fn run(
    machine: Machine,
    uid: String,
    id: String,
    program: Program,
    signals: watch::Receiver<Signal>,
) {
    let listening = machine.listening(&uid, &id);
    let metrics_server = machine.metrics_server(&uid, &id, &program);
    // The first process of a container does not notice a signal that it does not handle.
    let on_sigterm = if listening.is_some() { OnSigterm::Ignores } else { program.on_sigterm };
    let work = async {
        match listening {
            Some((words, at, io)) => userland::run(&words, at, io).await.unwrap_or(127),
            None if let Some(metrics_server) = &metrics_server => match metrics_server.run().await {},
            None => take_steps(&machine, &uid, &id, &program).await,
        }
    };
    let code = tokio::select! {
        biased;
        code = stopped(on_sigterm, signals) => code,
        code = work => code,
    };
    machine.ended(&uid, &id, code);
}

async fn stopped(on_sigterm: OnSigterm, mut signals: watch::Receiver<Signal>) -> i32 {
    let ends_it = |signal: &Signal| match signal {
        Signal::None => false,
        Signal::Terminate => on_sigterm == OnSigterm::Exits,
        Signal::Kill => true,
    };
    match signals.wait_for(ends_it).await.map(|signal| *signal) {
        Ok(Signal::Terminate) => 0,
        Ok(_) => KILLED,
        Err(_) => std::future::pending().await,
    }
}

async fn take_steps(machine: &Machine, uid: &str, id: &str, program: &Program) -> i32 {
    let mut next = 0;
    while let Some(step) = program.steps.get(next) {
        next += 1;
        match step {
            Step::Print(line) => machine.print(uid, id, line),
            Step::Sleep(duration) => tokio::time::sleep(*duration).await,
            Step::SleepForever => std::future::pending().await,
            Step::Exit(code) => return *code,
            Step::GoTo(step) => next = *step,
        }
    }
    program.code
}

impl Machine {
    fn print(&self, uid: &str, id: &str, line: &str) {
        let now = self.world().clock().now();
        let line = line.replace("$(date)", &date(now));
        if let Some(container) = self.locked().container(uid, id) {
            container.log.push(now, line);
        }
    }

    /// The metrics server that a container is to run, which from now on answers on its port.
    fn metrics_server(&self, uid: &str, id: &str, program: &Program) -> Option<Arc<MetricsServer>> {
        let options = program.metrics_server.clone()?;
        let outside = self.inner.outside.get()?.clone();
        let mut state = self.locked();
        let (namespace, from) =
            (state.pods.get(uid)?.id.key.namespace.clone(), state.component.name().to_owned());
        let container = state.container(uid, id)?;
        let account = &container.settings.service_account;
        let groups = format!("system:serviceaccounts:{namespace}");
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let user = UserInfo::new(&user, &["system:serviceaccounts", &groups]);
        let client = outside.client(&from, user)?.with_user_agent("metrics-server");
        let made = Arc::new(MetricsServer::new(self.world(), client, outside, options));
        container.metrics_server = Some(made.clone());
        Some(made)
    }

    /// Says that a container's process ended, in the trace and to the kubelet.
    fn ended(&self, uid: &str, id: &str, code: i32) {
        let now = self.world().clock().now();
        let mut state = self.locked();
        let Some(pod) = state.pods.get_mut(uid) else { return };
        let key = pod.id.key.to_string();
        let Some(container) = pod.containers.iter_mut().find(|container| container.id == id) else { return };
        let used = container.end(code, now);
        let died = ContainerDied { pod: key, container: container.name.clone(), exit_code: code };
        state.consumed += used;
        let cause = Some(self.record_died(!state.listeners.is_empty(), died));
        state.tell(uid, cause);
    }

    /// The kubelet notices it; without one the machine keeps it to itself.
    fn record_died(&self, heard: bool, died: ContainerDied) -> RecordId {
        let (machine, kubelet) = (self.config().machine_component(), self.config().kubelet_component());
        self.world().trace().record(&machine, if heard { &kubelet } else { &machine }, died)
    }
}

impl super::State {
    pub(super) fn container(&mut self, uid: &str, id: &str) -> Option<&mut super::runtime::Container> {
        self.pods.get_mut(uid)?.containers.iter_mut().find(|container| container.id == id)
    }
}

impl super::runtime::Container {
    /// Notes the end of the process. Returns the nanoseconds of CPU that it used.
    pub(super) fn end(&mut self, code: i32, now: jiff::Timestamp) -> i128 {
        let mut used = 0;
        if let ContainerState::Running { started } = self.state {
            let reason = if code == 0 { "Completed" } else { "Error" };
            self.state = ContainerState::Exited { started, finished: now, code, reason };
            used = self.program.uses.usage(started, now).cpu_nanoseconds;
        }
        self.metrics_server = None;
        self.log.end(now);
        self.ended.send_replace(true);
        used
    }
}
