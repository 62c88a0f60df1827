//! The READY, STATUS and RESTARTS of a pod. Counterpart: `printPod` in `pkg/printers/internalversion`.

use jiff::Timestamp;
use labkit_api::{Object, Time};
use serde_json::Value;

use crate::pod_spec::{list, text};
use crate::table;

/// What kubectl shows of a pod in one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub ready: usize,
    pub total: usize,
    pub status: String,
    pub restarts: String,
}

#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<Time>,
}

impl Restarts {
    fn add(&mut self, container: &Value) {
        self.count += container.get("restartCount").and_then(Value::as_i64).unwrap_or_default();
        let ended = container.get("lastState").and_then(|state| state.get("terminated")?.get("finishedAt"));
        self.last = self.last.max(table::time(ended));
    }
}

pub(crate) fn summarize(object: &Object, now: Timestamp) -> Summary {
    let spec = object.rest.get("spec").unwrap_or(&Value::Null);
    let status = object.rest.get("status").unwrap_or(&Value::Null);
    let phase = text(status, "phase");
    let mut reason = match text(status, "reason") {
        "" => phase.to_owned(),
        reason => reason.to_owned(),
    };
    let is_gated = |condition: &Value| {
        text(condition, "type") == "PodScheduled" && text(condition, "reason") == "SchedulingGated"
    };
    if list(status, "conditions").iter().any(is_gated) {
        reason = "SchedulingGated".to_owned();
    }
    let mut ready = 0;
    let (mut restarts, sidecars) = initialization(spec, status, &mut ready, &mut reason);
    let total = list(spec, "containers").len() + sidecars.total;
    if !sidecars.is_initializing || has_condition(status, "Initialized") {
        restarts = sidecars.restarts;
        running(status, &mut ready, &mut reason, &mut restarts);
    }
    if object.metadata.is_being_deleted() {
        if text(status, "reason") == "NodeLost" {
            reason = "Unknown".to_owned();
        } else if !matches!(phase, "Failed" | "Succeeded") {
            reason = "Terminating".to_owned();
        }
    }
    let restarts = match restarts.last {
        Some(last) if restarts.count != 0 => {
            format!("{} ({} ago)", restarts.count, table::since(Some(last), now))
        }
        _ => restarts.count.to_string(),
    };
    Summary { ready, total, status: reason, restarts }
}

/// Init containers that go on running, and whether the others are still at work.
struct Sidecars {
    total: usize,
    restarts: Restarts,
    is_initializing: bool,
}

fn initialization(
    spec: &Value,
    status: &Value,
    ready: &mut usize,
    reason: &mut String,
) -> (Restarts, Sidecars) {
    let init_containers = list(spec, "initContainers");
    let is_sidecar = |name: &str| {
        init_containers
            .iter()
            .any(|container| text(container, "name") == name && text(container, "restartPolicy") == "Always")
    };
    let total =
        init_containers.iter().filter(|container| text(container, "restartPolicy") == "Always").count();
    let mut all = Restarts::default();
    let mut sidecars = Sidecars { total, restarts: Restarts::default(), is_initializing: false };
    for (index, container) in list(status, "initContainerStatuses").iter().enumerate() {
        all.add(container);
        let is_sidecar = is_sidecar(text(container, "name"));
        if is_sidecar {
            sidecars.restarts.add(container);
        }
        let state = container.get("state").unwrap_or(&Value::Null);
        let (terminated, waiting) = (state.get("terminated"), state.get("waiting"));
        if terminated.is_some_and(|ended| exit_code(ended) == 0) {
            continue;
        }
        if is_sidecar && container.get("started") == Some(&Value::Bool(true)) {
            *ready += usize::from(is_ready(container));
            continue;
        }
        let waiting_for = waiting.map(|waiting| text(waiting, "reason")).unwrap_or_default();
        *reason = match terminated {
            Some(ended) => format!("Init:{}", termination(ended)),
            None if !waiting_for.is_empty() && waiting_for != "PodInitializing" => {
                format!("Init:{waiting_for}")
            }
            None => format!("Init:{index}/{}", init_containers.len()),
        };
        sidecars.is_initializing = true;
        break;
    }
    (all, sidecars)
}

fn running(status: &Value, ready: &mut usize, reason: &mut String, restarts: &mut Restarts) {
    let mut has_running = false;
    for container in list(status, "containerStatuses").iter().rev() {
        restarts.add(container);
        let state = container.get("state").unwrap_or(&Value::Null);
        let waiting_for = state.get("waiting").map(|waiting| text(waiting, "reason")).unwrap_or_default();
        if !waiting_for.is_empty() {
            *reason = waiting_for.to_owned();
        } else if let Some(ended) = state.get("terminated") {
            *reason = termination(ended);
        } else if is_ready(container) && state.get("running").is_some() {
            has_running = true;
            *ready += 1;
        }
    }
    if reason == "Completed" && has_running {
        *reason = if has_condition(status, "Ready") { "Running" } else { "NotReady" }.to_owned();
    }
}

/// `Error`, `Signal:9`, `ExitCode:3`.
fn termination(ended: &Value) -> String {
    let signal = ended.get("signal").and_then(Value::as_i64).unwrap_or_default();
    match text(ended, "reason") {
        "" if signal != 0 => format!("Signal:{signal}"),
        "" => format!("ExitCode:{}", exit_code(ended)),
        reason => reason.to_owned(),
    }
}

fn exit_code(ended: &Value) -> i64 {
    ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default()
}

fn is_ready(container: &Value) -> bool {
    container.get("ready") == Some(&Value::Bool(true))
}

fn has_condition(status: &Value, kind: &str) -> bool {
    list(status, "conditions")
        .iter()
        .any(|condition| text(condition, "type") == kind && text(condition, "status") == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(pod: Value, ready: &str, status: &str, restarts: &str) {
        let summary = summarize(&Object::from_value(pod).unwrap(), "2026-01-01T00:01:00Z".parse().unwrap());
        assert_eq!(
            (
                format!("{}/{}", summary.ready, summary.total).as_str(),
                summary.status.as_str(),
                summary.restarts.as_str()
            ),
            (ready, status, restarts)
        );
    }

    fn pod(containers: usize, status: Value) -> Value {
        let containers: Vec<Value> =
            (0..containers).map(|index| json!({"name": format!("c{index}")})).collect();
        json!({"metadata": {"name": "p"}, "spec": {"containers": containers}, "status": status})
    }

    #[test]
    fn phases_and_reasons_are_summed_up_as_kubectl_shows_them() {
        check(pod(1, json!({"phase": "Pending"})), "0/1", "Pending", "0");
        check(pod(1, json!({"phase": "Failed", "reason": "Evicted"})), "0/1", "Evicted", "0");
        let running = json!({"name": "c0", "ready": true, "state": {"running": {}}, "restartCount": 0});
        check(pod(1, json!({"phase": "Running", "containerStatuses": [running]})), "1/1", "Running", "0");
        let crashed = json!({"name": "c0", "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:00:48Z"}}});
        check(
            pod(2, json!({"phase": "Running", "containerStatuses": [crashed, running]})),
            "1/2",
            "CrashLoopBackOff",
            "3 (12s ago)",
        );
        let ended = json!({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        check(pod(1, json!({"phase": "Succeeded", "containerStatuses": [ended]})), "0/1", "Completed", "0");
    }

    #[test]
    fn a_deleted_pod_is_terminating_until_it_ends() {
        let mut deleted = pod(1, json!({"phase": "Running"}));
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        check(deleted.clone(), "0/1", "Terminating", "0");
        deleted["status"]["phase"] = json!("Succeeded");
        check(deleted, "0/1", "Succeeded", "0");
    }

    #[test]
    fn init_containers_are_counted_while_they_run() {
        let mut pod = pod(
            1,
            json!({"phase": "Pending", "initContainerStatuses": [
            {"name": "i0", "state": {"terminated": {"exitCode": 0}}}, {"name": "i1", "state": {"running": {}}}]}),
        );
        pod["spec"]["initContainers"] = json!([{"name": "i0"}, {"name": "i1"}]);
        check(pod.clone(), "0/1", "Init:1/2", "0");
        pod["status"]["initContainerStatuses"][1]["state"] =
            json!({"waiting": {"reason": "CrashLoopBackOff"}});
        check(pod.clone(), "0/1", "Init:CrashLoopBackOff", "0");
        pod["status"]["initContainerStatuses"][1]["state"] = json!({"terminated": {"exitCode": 2}});
        check(pod, "0/1", "Init:ExitCode:2", "0");
    }
}
