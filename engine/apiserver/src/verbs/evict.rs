//! Eviction: a deletion that says why, and asks the disruption budgets first.
//! Counterpart: `EvictionREST` in `pkg/registry/core/pod/storage`, and `pkg/controller/disruption` for the counting,
//! which is done here, when it is asked for.

use labkit_api::int_or_string::scaled_value;
use labkit_api::selector::LabelSelector;
use labkit_api::{Object, Status, StatusCause, StatusDetails, Time, Verb};
use labkit_client::Response;
use serde_json::{Value, json};

use crate::kinds::{
    Kind, Subresource, deployments, pod_disruption_budgets, pods, replica_sets, replication_controllers,
    stateful_sets,
};
use crate::query::DeleteOptions;
use crate::registry::Registry;
use crate::registry::bind;
use crate::registry::update::UpdateOptions;
use crate::storage::relative_key;
use crate::verbs::Call;
use crate::verbs::create::{body, created};

pub(super) async fn evict(call: Call) -> Result<Response, Status> {
    let eviction = body(&call, Subresource::Eviction)?;
    if eviction.metadata.name != call.info.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    call.guard.access.plugins.restrict_node(&call, Verb::Create, Some(&eviction))?;
    let none = Value::Null;
    let mut options = DeleteOptions::parse(eviction.rest.get("deleteOptions").unwrap_or(&none), &call.query)?;
    options.dry_run |= call.query.dry_run("CreateOptions")?;
    // One at a time, so that each sees what those before it took away.
    let _turn = call.registry.evictions.lock().await;
    ask_budgets(&call).await?;
    let now = Time::new(call.registry.world.clock().now());
    let update = UpdateOptions { subresource: Some(Subresource::Eviction), dry_run: options.dry_run };
    let change = |pod: &Object| {
        let mut pod = pod.clone();
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        });
        bind::set_condition(&mut pod, condition, now);
        Ok(pod)
    };
    let (namespace, name) = (&call.info.namespace, &call.info.name);
    call.registry.update(&pods::KIND, namespace, name, update, change).await?;
    call.registry.delete(&pods::KIND, namespace, name, &options).await?;
    Ok(created(&call))
}

/// Refuses what a budget of the pod does not allow.
async fn ask_budgets(call: &Call) -> Result<(), Status> {
    let (registry, namespace) = (&call.registry, &call.info.namespace);
    let budgets = registry.list_now(&pod_disruption_budgets::KIND, namespace).await?.entries;
    if budgets.is_empty() {
        return Ok(());
    }
    let key = relative_key(&pods::KIND, namespace, &call.info.name);
    let Some(pod) = registry.fresh(&pods::KIND, &key).await?.map(|entry| entry.object()) else {
        return Ok(());
    };
    let phase = pod.str_at(&["status", "phase"]).unwrap_or_default();
    if pod.metadata.is_being_deleted() || matches!(phase, "Succeeded" | "Failed" | "Pending") {
        return Ok(());
    }
    let budgets: Vec<_> = budgets.iter().map(|entry| entry.object()).collect();
    let budget = match budgets.iter().filter(|budget| covers(budget, &pod)).collect::<Vec<_>>().as_slice() {
        [] => return Ok(()),
        [one] => *one,
        _ => {
            let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does \
                           not support.";
            return Err(Status::failure(500, "", message));
        }
    };
    let count = count(registry, budget).await?;
    if count.allows(budget, is_ready(&pod)) { Ok(()) } else { Err(refused(&budget.metadata.name, &count)) }
}

/// Counts the pods of a budget, and those that their controllers want.
pub(crate) async fn count(registry: &Registry, budget: &Object) -> Result<Count, Status> {
    let namespace = &budget.metadata.namespace;
    let all = registry.list_now(&pods::KIND, namespace).await?.entries;
    let all: Vec<_> = all.iter().map(|entry| entry.object()).filter(|other| covers(budget, other)).collect();
    let mut scale = 0;
    let mut counted = Vec::new();
    for other in &all {
        let Some((kind, name)) = scaled_owner(registry, other).await? else { continue };
        if !counted.contains(&(kind.prefix, name.clone())) {
            scale += replicas(registry, kind, namespace, &name).await?;
            counted.push((kind.prefix, name));
        }
    }
    let healthy = all.iter().filter(|other| is_healthy(other)).count() as i64;
    Ok(Count::of(budget, all.len() as i64, scale, healthy))
}

/// How a budget stands.
#[derive(Debug, PartialEq)]
pub(crate) struct Count {
    pub healthy: i64,
    pub desired: i64,
    pub expected: i64,
}

impl Count {
    /// `scale` is how many pods their controllers want.
    fn of(budget: &Object, pods: i64, scale: i64, healthy: i64) -> Count {
        let share = |value: &Value| scaled_value(value, scale, true).unwrap_or_default();
        let (desired, expected) =
            match (budget.at(&["spec", "maxUnavailable"]), budget.at(&["spec", "minAvailable"])) {
                (Some(most), _) => ((scale - share(most)).max(0), scale),
                (None, Some(least)) if least.is_string() => (share(least), scale),
                (None, Some(least)) => (least.as_i64().unwrap_or_default(), pods),
                (None, None) => (0, pods),
            };
        Count { healthy, desired, expected }
    }

    /// How many pods may go.
    pub fn allowed(&self) -> i64 {
        if self.expected > 0 { (self.healthy - self.desired).max(0) } else { 0 }
    }

    fn allows(&self, budget: &Object, is_ready: bool) -> bool {
        if !is_ready {
            let always = budget.str_at(&["spec", "unhealthyPodEvictionPolicy"]) == Some("AlwaysAllow");
            if always || (self.healthy >= self.desired && self.desired > 0) {
                return true;
            }
        }
        self.allowed() > 0
    }
}

fn refused(budget: &str, count: &Count) -> Status {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut status = Status::failure(429, "TooManyRequests", message);
    let Count { healthy, desired, .. } = count;
    let cause = StatusCause {
        reason: "DisruptionBudget".to_owned(),
        message: format!(
            "The disruption budget {budget} needs {desired} healthy pods and has {healthy} currently"
        ),
        field: String::new(),
    };
    status.details = Some(StatusDetails { causes: vec![cause], ..StatusDetails::default() });
    status
}

fn covers(budget: &Object, pod: &Object) -> bool {
    let selector = budget.at(&["spec", "selector"]).map(LabelSelector::from_value);
    matches!(selector, Some(Ok(selector)) if selector.matches(&pod.metadata.labels))
}

fn is_ready(pod: &Object) -> bool {
    let conditions = pod.at(&["status", "conditions"]).and_then(Value::as_array);
    conditions.into_iter().flatten().any(|found| found["type"] == "Ready" && found["status"] == "True")
}

fn is_healthy(pod: &Object) -> bool {
    !pod.metadata.is_being_deleted() && is_ready(pod)
}

/// The workload that says how many of such pods there are to be.
async fn scaled_owner(registry: &Registry, pod: &Object) -> Result<Option<(&'static Kind, String)>, Status> {
    let Some(owner) = pod.metadata.controller() else { return Ok(None) };
    let kind = match owner.kind.as_str() {
        "ReplicaSet" => &replica_sets::KIND,
        "ReplicationController" => &replication_controllers::KIND,
        "StatefulSet" => &stateful_sets::KIND,
        _ => return Ok(None),
    };
    if owner.kind == "ReplicaSet" {
        let key = relative_key(kind, &pod.metadata.namespace, &owner.name);
        let set = registry.fresh(kind, &key).await?.map(|entry| entry.object());
        let above = set.as_ref().and_then(|set| set.metadata.controller());
        if let Some(deployment) = above.filter(|above| above.kind == "Deployment") {
            return Ok(Some((&deployments::KIND, deployment.name.clone())));
        }
    }
    Ok(Some((kind, owner.name.clone())))
}

async fn replicas(
    registry: &Registry,
    kind: &'static Kind,
    namespace: &str,
    name: &str,
) -> Result<i64, Status> {
    let key = relative_key(kind, namespace, name);
    let found = registry.fresh(kind, &key).await?;
    Ok(found.and_then(|entry| entry.object().i64_at(&["spec", "replicas"])).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: Value, pods: i64, scale: i64, healthy: i64, expected: (i64, bool)) {
        let budget = Object::from_value(json!({"spec": spec})).unwrap();
        let count = Count::of(&budget, pods, scale, healthy);
        assert_eq!((count.desired, count.allows(&budget, true)), expected, "{count:?}");
    }

    #[test]
    fn budgets_count_as_upstreams_controller_does() {
        check(json!({"minAvailable": 1}), 2, 2, 2, (1, true));
        check(json!({"minAvailable": 2}), 2, 2, 2, (2, false));
        check(json!({"minAvailable": "50%"}), 3, 3, 3, (2, true));
        check(json!({"minAvailable": "100%"}), 3, 3, 3, (3, false));
        check(json!({"maxUnavailable": 1}), 3, 3, 3, (2, true));
        check(json!({"maxUnavailable": 1}), 3, 3, 2, (2, false));
        check(json!({"maxUnavailable": "0%"}), 3, 3, 3, (3, false));
        check(json!({"minAvailable": 0}), 0, 0, 0, (0, false));
    }

    #[test]
    fn a_pod_that_is_not_ready_may_go_where_the_others_suffice() {
        let budget = |policy: &str| {
            let spec = json!({"minAvailable": 2, "unhealthyPodEvictionPolicy": policy});
            Object::from_value(json!({"spec": spec})).unwrap()
        };
        let count = |healthy| Count::of(&budget("IfHealthyBudget"), 3, 3, healthy);
        assert!(count(2).allows(&budget("IfHealthyBudget"), false));
        assert!(!count(1).allows(&budget("IfHealthyBudget"), false));
        assert!(count(1).allows(&budget("AlwaysAllow"), false));
    }
}
