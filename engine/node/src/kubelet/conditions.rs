//! The conditions of a pod that the kubelet owns. Pure. Counterpart: `pkg/kubelet/status/generate.go`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::pod_status::Facts;

/// The types that the kubelet owns, in upstream's order.
pub(crate) const OWNED: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// A condition before it has its time: type, whether it holds, reason and message.
type Found = (&'static str, bool, Option<(&'static str, String)>);

pub(super) fn conditions(
    facts: &Facts,
    spec: &PodSpec,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
) -> Vec<PodCondition> {
    let found: [Found; 5] = [
        ("PodReadyToStartContainers", facts.view.sandbox.is_some(), None),
        initialized(phase, init),
        ready("Ready", spec, phase, main),
        ready("ContainersReady", spec, phase, main),
        ("PodScheduled", true, None),
    ];
    let foreign =
        facts.pod.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let foreign = foreign.filter(|condition| !OWNED.contains(&condition.type_.as_str())).cloned();
    foreign.chain(found.into_iter().map(|found| timed(facts, found))).collect()
}

fn initialized(phase: &str, init: &[ContainerStatus]) -> Found {
    let incomplete: Vec<&str> =
        init.iter().filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
    let why = match incomplete.as_slice() {
        [] if phase == "Succeeded" => Some(("PodCompleted", String::new())),
        [] => None,
        names => {
            let message = format!("containers with incomplete status: [{}]", names.join(" "));
            Some(("ContainersNotInitialized", message))
        }
    };
    ("Initialized", incomplete.is_empty(), why)
}

fn ready(condition: &'static str, spec: &PodSpec, phase: &str, main: &[ContainerStatus]) -> Found {
    match phase {
        "Succeeded" => return (condition, false, Some(("PodCompleted", String::new()))),
        "Failed" => return (condition, false, Some(("PodFailed", String::new()))),
        _ => {}
    }
    let is_ready = |name: &str| main.iter().any(|status| status.name == name && status.ready);
    let unready: Vec<&str> = spec
        .containers
        .iter()
        .map(|container| container.name.as_str())
        .filter(|name| !is_ready(name))
        .collect();
    let message = || format!("containers with unready status: [{}]", unready.join(" "));
    let why = (!unready.is_empty()).then(|| ("ContainersNotReady", message()));
    (condition, unready.is_empty(), why)
}

/// The transition time moves only when the status changes.
fn timed(facts: &Facts, (type_, holds, why): Found) -> PodCondition {
    let status = status_of(holds);
    let of = |status: Option<&k8s_openapi::api::core::v1::PodStatus>| -> Option<Time> {
        let conditions = status?.conditions.as_ref()?;
        let old = conditions
            .iter()
            .find(|condition| condition.type_ == type_ && condition.status == status_of(holds))?;
        old.last_transition_time.clone()
    };
    let since = of(facts.before).or_else(|| of(facts.pod.status.as_ref()));
    let (reason, message) = why.unzip();
    PodCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        message: message.filter(|message| !message.is_empty()),
        last_transition_time: Some(since.unwrap_or_else(|| whole_seconds(facts.now))),
        last_probe_time: None,
    }
}

fn status_of(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

/// As it comes back from the API, so that what was sent compares equal to what was received.
pub(super) fn whole_seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
