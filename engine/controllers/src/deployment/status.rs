//! A Deployment's status: counts, Available, and how far the rollout is. Counterpart: `progress.go`.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::replica_sets::{ReplicaSets, available, replicas_of, wanted};
use super::rollout::max_unavailable;
use crate::objects::name;

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const NEW_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// The counts and Available, with the other conditions as they are.
pub(super) fn counted(deployment: &Deployment, sets: &ReplicaSets, now: Timestamp) -> DeploymentStatus {
    let present = deployment.status.clone().unwrap_or_default();
    let count = |sets: &mut dyn Iterator<Item = &ReplicaSet>, field: fn(&ReplicaSet) -> i32| {
        sets.map(field).sum::<i32>()
    };
    let ready =
        |set: &ReplicaSet| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
    let available = count(&mut sets.all(), available);
    let unavailable = count(&mut sets.all(), replicas_of) - available;
    let some = |count: i32| (count > 0).then_some(count);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(count(&mut sets.all(), actual)),
        updated_replicas: some(count(&mut sets.new.iter(), actual)),
        ready_replicas: some(count(&mut sets.all(), ready)),
        available_replicas: some(available),
        unavailable_replicas: some(unavailable),
        collision_count: present.collision_count,
        conditions: present.conditions,
    };
    let minimum = if available >= wanted(deployment) - max_unavailable(deployment) {
        condition(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    } else {
        let message = "Deployment does not have minimum availability.";
        condition(AVAILABLE, "False", "MinimumReplicasUnavailable", message, now)
    };
    set_condition(&mut status, minimum);
    status
}

/// The same with Progressing and ReplicaFailure: for a rollout under way.
pub(super) fn progressed(deployment: &Deployment, sets: &ReplicaSets, now: Timestamp) -> DeploymentStatus {
    let mut status = counted(deployment, sets, now);
    let current = progressing(deployment.status.as_ref()).cloned();
    let done_before = status.replicas == status.updated_replicas
        && current.as_ref().is_some_and(|current| current.reason.as_deref() == Some(NEW_AVAILABLE));
    if deadline(deployment).is_none() {
        remove_condition(&mut status, PROGRESSING);
    } else if !done_before {
        advance(deployment, sets, &mut status, current, now);
    }
    let failure = sets.new.iter().chain(&sets.old).find_map(replica_failure);
    match failure {
        Some(failure) => set_condition(&mut status, failure),
        None => remove_condition(&mut status, REPLICA_FAILURE),
    }
    status
}

fn advance(
    deployment: &Deployment,
    sets: &ReplicaSets,
    status: &mut DeploymentStatus,
    current: Option<DeploymentCondition>,
    now: Timestamp,
) {
    let subject = match &sets.new {
        Some(new) => format!("ReplicaSet \"{}\"", name(new)),
        None => format!("Deployment \"{}\"", name(deployment)),
    };
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        set_condition(status, condition(PROGRESSING, "True", NEW_AVAILABLE, &message, now));
    } else if has_progressed(deployment, status) {
        let message = format!("{subject} is progressing.");
        let mut next = condition(PROGRESSING, "True", "ReplicaSetUpdated", &message, now);
        if let Some(current) = current.filter(|current| current.status == "True") {
            next.last_transition_time = current.last_transition_time;
        }
        // Even the same reason is a new update: the deadline counts from here.
        remove_condition(status, PROGRESSING);
        set_condition(status, next);
    } else if has_timed_out(deployment, status, now) {
        let message = format!("{subject} has timed out progressing.");
        set_condition(status, condition(PROGRESSING, "False", TIMED_OUT, &message, now));
    }
}

/// A condition for a step of the rollout: ReplicaSet made, found, or not to be made.
pub(super) fn progress_condition(
    ok: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> DeploymentCondition {
    condition(PROGRESSING, if ok { "True" } else { "False" }, reason, message, now)
}

/// The change of Progressing when a Deployment is paused or resumed, so that the deadline does not run out
/// meanwhile.
pub(super) fn paused_condition(deployment: &Deployment, now: Timestamp) -> Option<DeploymentCondition> {
    deadline(deployment)?;
    let reason = progressing(deployment.status.as_ref()).and_then(|current| current.reason.as_deref());
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or_default();
    match (reason, paused) {
        (Some(TIMED_OUT), _) | (Some(PAUSED), true) => None,
        (_, true) => Some(condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now)),
        (Some(PAUSED), false) => {
            Some(condition(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed", now))
        }
        (_, false) => None,
    }
}

/// When to look again whether the rollout is stuck, if nothing happens before.
pub(super) fn look_again(
    deployment: &Deployment,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    let current = progressing(deployment.status.as_ref())?;
    if is_complete(deployment, status) || current.reason.as_deref() == Some(TIMED_OUT) {
        return None;
    }
    let due = current.last_update_time.as_ref()?.0 + deadline(deployment)?;
    let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    Some(left + Duration::from_secs(1))
}

pub(super) fn has_progress_condition(deployment: &Deployment) -> bool {
    progressing(deployment.status.as_ref()).is_some()
}

/// `progressDeadlineSeconds`, unless it says "never".
pub(super) fn deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds =
        deployment.spec.as_ref()?.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

/// Whether all wanted pods are of the new template and available, and no others are left.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let all = [status.updated_replicas, status.replicas, status.available_replicas];
    all.iter().all(|count| count.unwrap_or_default() == wanted(deployment))
        && status.observed_generation >= deployment.metadata.generation
}

fn has_progressed(deployment: &Deployment, new: &DeploymentStatus) -> bool {
    let old = deployment.status.clone().unwrap_or_default();
    let of_old_template = |status: &DeploymentStatus| {
        status.replicas.unwrap_or_default() - status.updated_replicas.unwrap_or_default()
    };
    new.updated_replicas > old.updated_replicas
        || of_old_template(new) < of_old_template(&old)
        || new.ready_replicas > old.ready_replicas
        || new.available_replicas > old.available_replicas
}

fn has_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let Some(current) = progressing(Some(status)) else { return false };
    match current.reason.as_deref() {
        Some(NEW_AVAILABLE) => return false,
        Some(TIMED_OUT) => return true,
        _ => {}
    }
    let since = current.last_update_time.as_ref();
    since.zip(deadline(deployment)).is_some_and(|(since, deadline)| since.0 + deadline < now)
}

fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

fn progressing(status: Option<&DeploymentStatus>) -> Option<&DeploymentCondition> {
    status?.conditions.as_ref()?.iter().find(|condition| condition.type_ == PROGRESSING)
}

fn replica_failure(set: &ReplicaSet) -> Option<DeploymentCondition> {
    let conditions = set.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions.iter().find(|condition| condition.type_ == REPLICA_FAILURE)?;
    Some(DeploymentCondition {
        type_: failure.type_.clone(),
        status: failure.status.clone(),
        reason: failure.reason.clone(),
        message: failure.message.clone(),
        last_transition_time: failure.last_transition_time.clone(),
        last_update_time: failure.last_transition_time.clone(),
    })
}

fn condition(type_: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(Time(now)),
        last_update_time: Some(Time(now)),
    }
}

/// Sets a condition, unless it has that status and reason already.
pub(super) fn set_condition(status: &mut DeploymentStatus, mut next: DeploymentCondition) {
    let conditions = status.conditions.get_or_insert_default();
    if let Some(current) = conditions.iter().find(|current| current.type_ == next.type_) {
        if current.status == next.status && current.reason == next.reason {
            return;
        }
        if current.status == next.status {
            next.last_transition_time = current.last_transition_time.clone();
        }
    }
    conditions.retain(|condition| condition.type_ != next.type_);
    conditions.push(next);
}

fn remove_condition(status: &mut DeploymentStatus, type_: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != type_);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::replica_sets::tests::{deployment, sized};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn reason(status: &DeploymentStatus, type_: &str) -> String {
        let mut conditions = status.conditions.iter().flatten();
        conditions
            .find(|condition| condition.type_ == type_)
            .and_then(|found| found.reason.clone())
            .unwrap_or_default()
    }

    fn sets(of: &Deployment, size: i32, available: i32) -> ReplicaSets {
        ReplicaSets { new: Some(sized(of, "web-1", size, available)), old: Vec::new() }
    }

    #[test]
    fn a_rollout_progresses_until_all_are_available() {
        let mut deployment = deployment(2, json!({}));
        let first = progressed(&deployment, &sets(&deployment, 2, 0), at(0));
        assert_eq!(reason(&first, "Progressing"), "ReplicaSetUpdated");
        assert_eq!(reason(&first, "Available"), "MinimumReplicasUnavailable");
        assert_eq!((first.replicas, first.unavailable_replicas), (Some(2), Some(2)));
        deployment.status = Some(first);
        let second = progressed(&deployment, &sets(&deployment, 2, 2), at(5));
        assert_eq!(reason(&second, "Progressing"), "NewReplicaSetAvailable");
        assert_eq!(reason(&second, "Available"), "MinimumReplicasAvailable");
        let progressing = second.conditions.as_ref().unwrap().last().unwrap();
        assert_eq!(progressing.message.as_deref(), Some("ReplicaSet \"web-1\" has successfully progressed."));
        deployment.status = Some(second.clone());
        assert_eq!(look_again(&deployment, &second, at(6)), None);
    }

    #[test]
    fn a_rollout_without_progress_exceeds_its_deadline() {
        let mut deployment = deployment(2, json!({}));
        let stuck = sets(&deployment, 2, 0);
        deployment.status = Some(progressed(&deployment, &stuck, at(0)));
        let status = progressed(&deployment, &stuck, at(600));
        assert_eq!(Some(&status), deployment.status.as_ref());
        assert_eq!(look_again(&deployment, &status, at(590)), Some(Duration::from_secs(11)));
        let late = progressed(&deployment, &stuck, at(601));
        assert_eq!(reason(&late, "Progressing"), "ProgressDeadlineExceeded");
        let progressing = late.conditions.as_ref().unwrap().last().unwrap();
        assert_eq!(progressing.message.as_deref(), Some("ReplicaSet \"web-1\" has timed out progressing."));
        assert_eq!(progressing.status, "False");
    }

    #[test]
    fn pausing_stops_the_deadline() {
        let mut deployment = deployment(2, json!({"spec": {"paused": true}}));
        let paused = paused_condition(&deployment, at(9)).unwrap();
        assert_eq!(paused.reason.as_deref(), Some("DeploymentPaused"));
        set_condition(deployment.status.get_or_insert_default(), paused);
        assert_eq!(paused_condition(&deployment, at(10)), None);
        deployment.spec.as_mut().unwrap().paused = None;
        assert_eq!(
            paused_condition(&deployment, at(11)).unwrap().reason.as_deref(),
            Some("DeploymentResumed")
        );
    }
}
