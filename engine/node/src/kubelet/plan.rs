//! What to do next for a pod: from what is wanted and what the runtime has. Pure. Counterpart:
//! `computePodActions`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};

use crate::machine::{ContainerState, ContainerView, PodView};

/// What to do, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// A sandbox is made first; then plan again.
    pub new_sandbox: bool,
    /// Containers to stop, by id, and why; then plan again.
    pub stop: Vec<(String, String)>,
    /// The init container that is next, by its place in the spec.
    pub start_init: Option<usize>,
    /// Containers to start, by their places in the spec.
    pub start: Vec<usize>,
    /// The same of ephemeral containers, which start at any time and once.
    pub start_ephemeral: Vec<usize>,
    /// Nothing will ever run again.
    pub is_finished: bool,
}

/// `unhealthy` are containers, by id, that a probe has given up on, with the reason to stop them.
pub(crate) fn plan(pod: &Pod, view: &PodView, unhealthy: &BTreeMap<String, String>) -> Plan {
    let Some(spec) = &pod.spec else { return Plan::default() };
    if has_failed_to_initialize(spec, view) || has_finished(spec, view) {
        return Plan { is_finished: true, ..Plan::default() };
    }
    let Some(sandbox) = &view.sandbox else { return Plan { new_sandbox: true, ..Plan::default() } };
    let runs = |run: &&ContainerView| matches!(run.state, ContainerState::Running { .. });
    let stop: Vec<_> = view
        .containers
        .iter()
        .filter(runs)
        .filter_map(|run| Some((run.id.clone(), unhealthy.get(&run.id)?.clone())))
        .collect();
    if !stop.is_empty() {
        return Plan { stop, ..Plan::default() };
    }
    let ephemeral = spec.ephemeral_containers.iter().flatten().enumerate();
    let never_ran = |name: &str| last_run(view, name).is_none_or(|run| run.state == ContainerState::Created);
    let start_ephemeral: Vec<usize> =
        ephemeral.filter(|(_, own)| never_ran(&own.name)).map(|(index, _)| index).collect();
    let plan = Plan { start_ephemeral, ..Plan::default() };
    match next_init(spec, view, sandbox) {
        Init::Start(index) => Plan { start_init: Some(index), ..plan },
        Init::Wait => plan,
        Init::Done => {
            let containers = spec.containers.iter().enumerate();
            let start = containers.filter(|(_, container)| wants_start(spec, view, sandbox, container));
            Plan { start: start.map(|(index, _)| index).collect(), ..plan }
        }
    }
}

enum Init {
    Start(usize),
    Wait,
    Done,
}

/// Init containers run one after the other, once per sandbox, before any other container.
fn next_init(spec: &PodSpec, view: &PodView, sandbox: &str) -> Init {
    let here = |container: &Container| last_run(view, &container.name).filter(|run| run.sandbox == sandbox);
    if spec.containers.iter().any(|container| here(container).is_some()) {
        return Init::Done;
    }
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        match here(container).map(|run| run.state) {
            Some(ContainerState::Exited { code: 0, .. }) => {}
            Some(ContainerState::Running { .. }) => return Init::Wait,
            None | Some(ContainerState::Created | ContainerState::Exited { .. }) => {
                return Init::Start(index);
            }
        }
    }
    Init::Done
}

fn wants_start(spec: &PodSpec, view: &PodView, sandbox: &str, container: &Container) -> bool {
    match last_run(view, &container.name) {
        None => true,
        Some(run) => match run.state {
            ContainerState::Created => true,
            ContainerState::Running { .. } => run.sandbox != sandbox,
            ContainerState::Exited { code, .. } => restarts(spec, code),
        },
    }
}

/// Whether a container that ended so is started again.
pub(crate) fn restarts(spec: &PodSpec, code: i32) -> bool {
    match spec.restart_policy.as_deref() {
        Some("Never") => false,
        Some("OnFailure") => code != 0,
        _ => true,
    }
}

fn has_failed_to_initialize(spec: &PodSpec, view: &PodView) -> bool {
    spec.restart_policy.as_deref() == Some("Never")
        && spec.init_containers.iter().flatten().any(|container| {
            let state = last_run(view, &container.name).map(|run| run.state);
            matches!(state, Some(ContainerState::Exited { code, .. }) if code != 0)
        })
}

fn has_finished(spec: &PodSpec, view: &PodView) -> bool {
    spec.containers.iter().all(|container| {
        let state = last_run(view, &container.name).map(|run| run.state);
        matches!(state, Some(ContainerState::Exited { code, .. }) if !restarts(spec, code))
    })
}

/// An ephemeral container as the runtime sees it: a container like any other.
pub(crate) fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let own = ephemeral.clone();
    Container {
        name: own.name,
        image: own.image,
        command: own.command,
        args: own.args,
        env: own.env,
        env_from: own.env_from,
        image_pull_policy: own.image_pull_policy,
        security_context: own.security_context,
        stdin: own.stdin,
        stdin_once: own.stdin_once,
        tty: own.tty,
        working_dir: own.working_dir,
        volume_mounts: own.volume_mounts,
        ..Container::default()
    }
}

/// The newest run of a container.
pub(crate) fn last_run<'a>(view: &'a PodView, name: &str) -> Option<&'a ContainerView> {
    view.containers.iter().rev().find(|run| run.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    const RUNNING: ContainerState = ContainerState::Running { started: Timestamp::UNIX_EPOCH };

    fn exited(code: i32) -> ContainerState {
        let at = Timestamp::UNIX_EPOCH;
        ContainerState::Exited { started: at, finished: at, code, reason: "Error" }
    }

    fn view(runs: &[(&str, ContainerState)]) -> PodView {
        let containers = runs.iter().map(|(name, state)| ContainerView {
            id: format!("id-{name}"),
            name: (*name).to_owned(),
            sandbox: "s".to_owned(),
            image: String::new(),
            image_id: String::new(),
            attempt: 0,
            state: *state,
        });
        PodView {
            sandbox: Some("s".to_owned()),
            had_sandbox: true,
            address: None,
            containers: containers.collect(),
        }
    }

    fn pod(policy: &str) -> Pod {
        let spec = json!({
            "restartPolicy": policy,
            "initContainers": [{"name": "i1"}, {"name": "i2"}],
            "containers": [{"name": "a"}, {"name": "b"}],
        });
        serde_json::from_value::<Pod>(json!({"spec": spec})).unwrap()
    }

    #[track_caller]
    fn check(policy: &str, runs: &[(&str, ContainerState)], expected: Value) {
        let plan = plan(&pod(policy), &view(runs), &BTreeMap::new());
        let got = json!({"init": plan.start_init, "start": plan.start, "finished": plan.is_finished});
        assert_eq!(got, expected);
    }

    #[test]
    fn init_containers_run_in_order_before_the_rest() {
        let init = |index: Option<usize>| json!({"init": index, "start": [], "finished": false});
        check("Always", &[], init(Some(0)));
        check("Always", &[("i1", RUNNING)], init(None));
        check("Always", &[("i1", exited(0))], init(Some(1)));
        check("Always", &[("i1", exited(1))], init(Some(0)));
        check(
            "Always",
            &[("i1", exited(0)), ("i2", exited(0))],
            json!({"init": null, "start": [0, 1], "finished": false}),
        );
        check("Never", &[("i1", exited(1))], json!({"init": null, "start": [], "finished": true}));
    }

    #[test]
    fn the_restart_policy_says_who_starts_again() {
        let ready = [("i1", exited(0)), ("i2", exited(0))];
        let with = |a, b| [ready.as_slice(), &[("a", a), ("b", b)]].concat();
        let start =
            |list: &[usize], finished: bool| json!({"init": null, "start": list, "finished": finished});
        check("Always", &with(exited(0), RUNNING), start(&[0], false));
        check("OnFailure", &with(exited(0), exited(1)), start(&[1], false));
        check("OnFailure", &with(exited(0), exited(0)), start(&[], true));
        check("Never", &with(exited(0), exited(1)), start(&[], true));
        check("Never", &with(exited(0), RUNNING), start(&[], false));
    }

    #[test]
    fn an_ephemeral_container_starts_at_any_time_and_once() {
        let mut pod = pod("Always");
        let debugger = json!([{"name": "debugger", "image": "busybox"}]);
        pod.spec.as_mut().unwrap().ephemeral_containers = serde_json::from_value(debugger).unwrap();
        let start =
            |runs: &[(&str, ContainerState)]| plan(&pod, &view(runs), &BTreeMap::new()).start_ephemeral;
        assert_eq!(start(&[("i1", RUNNING)]), [0]);
        assert_eq!(start(&[("i1", RUNNING), ("debugger", RUNNING)]), [0; 0]);
        assert_eq!(start(&[("i1", RUNNING), ("debugger", exited(1))]), [0; 0]);
    }

    #[test]
    fn a_lost_sandbox_is_made_anew_and_an_unhealthy_container_is_stopped() {
        let mut lost = view(&[("i1", exited(0)), ("i2", exited(0)), ("a", exited(255)), ("b", exited(255))]);
        lost.sandbox = None;
        assert!(plan(&pod("Always"), &lost, &BTreeMap::new()).new_sandbox);
        lost.sandbox = Some("s2".to_owned());
        assert_eq!(plan(&pod("Always"), &lost, &BTreeMap::new()).start_init, Some(0), "once per sandbox");
        let unhealthy = BTreeMap::from([("id-a".to_owned(), "why".to_owned())]);
        let runs = view(&[("i1", exited(0)), ("i2", exited(0)), ("a", RUNNING), ("b", RUNNING)]);
        assert_eq!(plan(&pod("Always"), &runs, &unhealthy).stop, [("id-a".to_owned(), "why".to_owned())]);
    }
}
