//! What the kubelet reports of a pod: from its spec and what the runtime has. Pure. Counterpart:
//! `generateAPIPodStatus`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState as ApiState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, EphemeralContainer, HostIP, Pod, PodIP, PodSpec, PodStatus,
};

use super::conditions;
use super::plan::{as_container, restarts};
use super::qos::qos_class;
use crate::machine::{ContainerState, ContainerView, PodView};

/// Why a container is not running, and what is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub reason: &'static str,
    pub message: String,
}

/// What probes found of a running container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Health {
    /// Its startup probe, if it has one, has succeeded.
    pub started: bool,
    /// So has its readiness probe.
    pub ready: bool,
}

/// Everything that a status is made of.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub pod: &'a Pod,
    pub view: &'a PodView,
    /// By the container's name.
    pub waiting: &'a BTreeMap<String, Waiting>,
    /// By the container's id.
    pub health: &'a BTreeMap<String, Health>,
    /// Nothing runs any more and nothing ever will.
    pub is_terminal: bool,
    pub host_ip: Ipv4Addr,
    pub start_time: Timestamp,
    pub now: Timestamp,
    /// What was reported before.
    pub before: Option<&'a PodStatus>,
}

/// The status to report.
pub(crate) fn pod_status(facts: &Facts) -> PodStatus {
    let Some(spec) = &facts.pod.spec else { return PodStatus::default() };
    let init: Vec<ContainerStatus> = spec
        .init_containers
        .iter()
        .flatten()
        .map(|container| container_status(facts, spec, container, true))
        .collect();
    let mut main: Vec<ContainerStatus> =
        spec.containers.iter().map(|container| container_status(facts, spec, container, false)).collect();
    let ephemeral: Vec<ContainerStatus> =
        spec.ephemeral_containers.iter().flatten().map(|own| ephemeral_status(facts, spec, own)).collect();
    let phase = phase(spec, &init, &main, facts.is_terminal);
    let conditions = conditions::conditions(facts, spec, phase, &init, &main);
    main.sort_by(|a, b| a.name.cmp(&b.name));
    let pod_ip = facts.view.address.map(|address| address.to_string());
    let pod_ip = pod_ip.or_else(|| facts.before.and_then(|before| before.pod_ip.clone()));
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions),
        host_ip: Some(facts.host_ip.to_string()),
        host_ips: Some(vec![HostIP { ip: facts.host_ip.to_string() }]),
        pod_ips: pod_ip.clone().map(|ip| vec![PodIP { ip }]),
        pod_ip,
        start_time: Some(conditions::whole_seconds(facts.start_time)),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: Some(main),
        ephemeral_container_statuses: (!ephemeral.is_empty()).then_some(ephemeral),
        qos_class: Some(qos_class(facts.pod).to_owned()),
        ..PodStatus::default()
    }
}

/// An ephemeral container is never ready, and never started again.
fn ephemeral_status(facts: &Facts, spec: &PodSpec, own: &EphemeralContainer) -> ContainerStatus {
    let container = as_container(own);
    let once = PodSpec { restart_policy: Some("Never".to_owned()), init_containers: None, ..spec.clone() };
    let status = container_status(facts, &once, &container, false);
    ContainerStatus { ready: false, started: None, ..status }
}

fn container_status(facts: &Facts, spec: &PodSpec, container: &Container, is_init: bool) -> ContainerStatus {
    let mut runs = facts.view.containers.iter().filter(|run| run.name == container.name).rev();
    let (last, previous) = (runs.next(), runs.next());
    let waiting = facts.waiting.get(&container.name);
    let will_restart = |state: ContainerState| match state {
        ContainerState::Exited { code, .. } => !facts.is_terminal && restarts_here(spec, code, is_init),
        _ => true,
    };
    // A container that ended and waits for its next run tells what it waits for; its end is the last state.
    let waits = last
        .is_none_or(|run| will_restart(run.state) && !matches!(run.state, ContainerState::Running { .. }));
    let (state, last_state) = match (last, waiting) {
        (Some(run), Some(waiting)) if waits => (waiting_state(waiting), Some(run).and_then(terminated)),
        (Some(run), _) => (state_of(run, spec), previous.and_then(terminated)),
        (None, _) if facts.is_terminal && !is_init => (never_located(), None),
        (None, Some(waiting)) => (waiting_state(waiting), None),
        (None, None) => (waiting_state(&not_yet(spec)), None),
    };
    let health = last.and_then(|run| facts.health.get(&run.id)).copied();
    let runs_now = state.running.is_some();
    let succeeded = state.terminated.as_ref().is_some_and(|terminated| terminated.exit_code == 0);
    ContainerStatus {
        name: container.name.clone(),
        image: last.map_or_else(|| container.image.clone().unwrap_or_default(), |run| run.image.clone()),
        image_id: last.map(|run| run.image_id.clone()).unwrap_or_default(),
        container_id: last.map(container_id),
        ready: if is_init { succeeded } else { runs_now && health.is_some_and(|health| health.ready) },
        started: Some(runs_now && health.is_some_and(|health| health.started)),
        restart_count: last.map_or(0, |run| run.attempt),
        state: Some(state),
        last_state: Some(last_state.unwrap_or_default()),
        ..ContainerStatus::default()
    }
}

/// An init container that succeeded is not started again, whatever the policy says of the others.
fn restarts_here(spec: &PodSpec, code: i32, is_init: bool) -> bool {
    if is_init { code != 0 && restarts(spec, code) } else { restarts(spec, code) }
}

fn not_yet(spec: &PodSpec) -> Waiting {
    let has_init = spec.init_containers.as_ref().is_some_and(|list| !list.is_empty());
    Waiting { reason: if has_init { "PodInitializing" } else { "ContainerCreating" }, message: String::new() }
}

/// What is told of a container that never was when its pod is over.
fn never_located() -> ApiState {
    let terminated = ContainerStateTerminated {
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".to_owned()),
        message: Some("The container could not be located when the pod was terminated".to_owned()),
        ..ContainerStateTerminated::default()
    };
    ApiState { terminated: Some(terminated), ..ApiState::default() }
}

fn waiting_state(waiting: &Waiting) -> ApiState {
    let state = ContainerStateWaiting {
        reason: Some(waiting.reason.to_owned()),
        message: Some(waiting.message.clone()).filter(|message| !message.is_empty()),
    };
    ApiState { waiting: Some(state), ..ApiState::default() }
}

fn state_of(run: &ContainerView, spec: &PodSpec) -> ApiState {
    match run.state {
        ContainerState::Created => waiting_state(&not_yet(spec)),
        ContainerState::Running { started } => {
            let running = ContainerStateRunning { started_at: Some(conditions::whole_seconds(started)) };
            ApiState { running: Some(running), ..ApiState::default() }
        }
        ContainerState::Exited { .. } => terminated(run).unwrap_or_default(),
    }
}

fn terminated(run: &ContainerView) -> Option<ApiState> {
    let ContainerState::Exited { started, finished, code, reason } = run.state else { return None };
    let terminated = ContainerStateTerminated {
        exit_code: code,
        reason: Some(reason.to_owned()),
        started_at: Some(conditions::whole_seconds(started)),
        finished_at: Some(conditions::whole_seconds(finished)),
        container_id: Some(container_id(run)),
        ..ContainerStateTerminated::default()
    };
    Some(ApiState { terminated: Some(terminated), ..ApiState::default() })
}

fn container_id(run: &ContainerView) -> String {
    format!("containerd://{}", run.id)
}

/// Counterpart: `getPhase`.
fn phase(
    spec: &PodSpec,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
    is_terminal: bool,
) -> &'static str {
    let exit_code = |status: &ContainerStatus| {
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        let waiting = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()).filter(|_| waiting);
        ended.or(last).map(|terminated| terminated.exit_code)
    };
    let runs = |status: &&ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some());
    let never = spec.restart_policy.as_deref() == Some("Never");
    let unfinished_init = init.iter().any(|status| !status.ready);
    if never && init.iter().any(|status| exit_code(status).is_some_and(|code| code != 0)) {
        return "Failed";
    }
    let running = main.iter().filter(runs).count();
    let stopped: Vec<i32> = main.iter().filter_map(exit_code).collect();
    let untouched = main.len() - running - stopped.len();
    let all_succeeded = stopped.iter().all(|code| *code == 0);
    if is_terminal {
        return if untouched == 0 && all_succeeded { "Succeeded" } else { "Failed" };
    }
    if untouched > 0 || (unfinished_init && running == 0) {
        return "Pending";
    }
    match spec.restart_policy.as_deref() {
        Some("OnFailure" | "Never") if running == 0 && all_succeeded => "Succeeded",
        Some("Never") if running == 0 => "Failed",
        _ => "Running",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn exited(code: i32) -> ContainerState {
        let reason = if code == 0 { "Completed" } else { "Error" };
        ContainerState::Exited { started: at(1), finished: at(2), code, reason }
    }

    fn run(name: &str, attempt: i32, state: ContainerState) -> ContainerView {
        ContainerView {
            id: format!("{name}{attempt}"),
            name: name.to_owned(),
            sandbox: "s".to_owned(),
            image: "docker.io/library/nginx:latest".to_owned(),
            image_id: "docker.io/library/nginx@sha256:1".to_owned(),
            attempt,
            state,
        }
    }

    fn status(
        policy: &str,
        runs: Vec<ContainerView>,
        waiting: &[(&str, &'static str)],
        is_terminal: bool,
    ) -> Value {
        let spec = json!({"restartPolicy": policy, "initContainers": [{"name": "i", "image": "busybox"}],
            "containers": [{"name": "c", "image": "nginx"}]});
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec})).unwrap();
        let view = PodView { sandbox: Some("s".into()), had_sandbox: true, address: None, containers: runs };
        let waiting = waiting
            .iter()
            .map(|(name, reason)| ((*name).to_owned(), Waiting { reason, message: "m".to_owned() }))
            .collect();
        let health = BTreeMap::from([("c0".to_owned(), Health { started: true, ready: true })]);
        let facts = Facts {
            pod: &pod,
            view: &view,
            waiting: &waiting,
            health: &health,
            is_terminal,
            host_ip: Ipv4Addr::new(10, 0, 0, 11),
            start_time: at(0),
            now: at(3),
            before: None,
        };
        serde_json::to_value(pod_status(&facts)).unwrap()
    }

    #[track_caller]
    fn check(policy: &str, runs: &[(&str, ContainerState)], is_terminal: bool, phase: &str, unmet: &[&str]) {
        let runs = runs.iter().map(|(name, state)| run(name, 0, *state)).collect();
        let status = status(policy, runs, &[], is_terminal);
        assert_eq!(status["phase"], phase);
        let conditions = status["conditions"].as_array().unwrap();
        let got: Vec<&str> = conditions
            .iter()
            .filter(|condition| condition["status"] != "True")
            .map(|condition| condition["type"].as_str().unwrap())
            .collect();
        assert_eq!(got, unmet);
    }

    const RUNNING: ContainerState = ContainerState::Running { started: Timestamp::UNIX_EPOCH };

    #[test]
    fn the_phase_follows_the_containers() {
        let unready = ["Ready", "ContainersReady"];
        check("Always", &[], false, "Pending", &["Initialized", "Ready", "ContainersReady"]);
        check("Always", &[("i", RUNNING)], false, "Pending", &["Initialized", "Ready", "ContainersReady"]);
        check("Always", &[("i", exited(0))], false, "Pending", &unready);
        check("Always", &[("i", exited(0)), ("c", RUNNING)], false, "Running", &[]);
        check("Always", &[("i", exited(0)), ("c", exited(0))], false, "Running", &unready);
        check("OnFailure", &[("i", exited(0)), ("c", exited(1))], false, "Running", &unready);
        check("OnFailure", &[("i", exited(0)), ("c", exited(0))], false, "Succeeded", &unready);
        check("Never", &[("i", exited(0)), ("c", exited(1))], false, "Failed", &unready);
        check("Never", &[("i", exited(1))], false, "Failed", &["Initialized", "Ready", "ContainersReady"]);
        check("Always", &[("i", exited(0)), ("c", exited(0))], true, "Succeeded", &unready);
        check("Always", &[("i", exited(0)), ("c", exited(137))], true, "Failed", &unready);
    }

    #[test]
    fn a_container_in_back_off_shows_its_end_as_the_last_state() {
        let runs = vec![run("i", 0, exited(0)), run("c", 2, exited(1)), run("c", 3, exited(7))];
        let status = status("Always", runs, &[("c", "CrashLoopBackOff")], false);
        let own = &status["containerStatuses"][0];
        assert_eq!(own["state"]["waiting"]["reason"], "CrashLoopBackOff");
        assert_eq!(own["lastState"]["terminated"]["exitCode"], 7);
        assert_eq!((&own["restartCount"], &status["phase"]), (&json!(3), &json!("Running")));
    }

    #[test]
    fn the_last_state_of_a_running_container_is_the_run_before() {
        let runs = vec![run("i", 0, exited(0)), run("c", 0, exited(7)), run("c", 1, RUNNING)];
        let status = status("Always", runs, &[], false);
        let own = &status["containerStatuses"][0];
        assert_eq!(own["lastState"]["terminated"]["exitCode"], 7);
        assert_eq!(own["state"]["running"]["startedAt"], "1970-01-01T00:00:00Z");
        assert_eq!(own["containerID"], "containerd://c1");
    }
}
