//! RollingUpdate and Recreate: the sizes to set next. Counterpart: `rolling.go`, `recreate.go`.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use labkit_api::int_or_string::scaled_value;

use super::replica_sets::{ReplicaSets, available, replicas_of, wanted};
use crate::objects::{name, uid};
use crate::owners::controller_of;
use crate::pods::is_terminated;

/// A ReplicaSet, by name, and the size that it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resize {
    pub replica_set: String,
    pub size: i32,
}

pub(super) fn resize(set: &ReplicaSet, size: i32) -> Resize {
    Resize { replica_set: name(set).to_owned(), size }
}

pub(super) fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

/// How many pods there may be above the wanted number.
pub(super) fn max_surge(deployment: &Deployment) -> i32 {
    bounds(deployment).0
}

/// How many may be missing.
pub(super) fn max_unavailable(deployment: &Deployment) -> i32 {
    let wanted = wanted(deployment);
    if wanted == 0 { 0 } else { bounds(deployment).1.min(wanted) }
}

/// maxSurge rounded up, maxUnavailable rounded down; if both are nothing, one may be missing, or the update
/// could not begin.
fn bounds(deployment: &Deployment) -> (i32, i32) {
    if is_recreate(deployment) {
        return (0, 0);
    }
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
    let scaled = |bound: Option<IntOrString>, round_up: bool| {
        let bound = bound.unwrap_or_else(|| IntOrString::String("25%".to_owned()));
        let bound = serde_json::to_value(bound).expect("k8s-openapi's types are JSON");
        let scaled = scaled_value(&bound, i64::from(wanted(deployment)), round_up).unwrap_or_default();
        i32::try_from(scaled).unwrap_or_default()
    };
    match (scaled(rolling.max_surge, true), scaled(rolling.max_unavailable, false)) {
        (0, 0) => (0, 1),
        bounds => bounds,
    }
}

/// How large the new ReplicaSet may be, given what all together have.
pub(super) fn new_size(deployment: &Deployment, new_size: i32, all_sizes: i32) -> i32 {
    if is_recreate(deployment) {
        return wanted(deployment);
    }
    let room = wanted(deployment) + max_surge(deployment) - all_sizes;
    if room <= 0 { new_size } else { new_size + room.min(wanted(deployment) - new_size) }
}

/// The next step of a rolling update: the new ReplicaSet's size if it changes, else those of old ones.
pub(super) fn rolling_step(deployment: &Deployment, sets: &ReplicaSets) -> Vec<Resize> {
    let Some(new) = &sets.new else { return Vec::new() };
    let size = replicas_of(new);
    let all_sizes: i32 = sets.all().map(replicas_of).sum();
    let next = match size.cmp(&wanted(deployment)) {
        std::cmp::Ordering::Equal => size,
        std::cmp::Ordering::Greater => wanted(deployment),
        std::cmp::Ordering::Less => new_size(deployment, size, all_sizes),
    };
    if next != size {
        return vec![resize(new, next)];
    }
    shrink_old(deployment, &sets.old, new, all_sizes)
}

/// Unhealthy old pods go first, since nobody misses them; then as many healthy ones as can be spared.
fn shrink_old(deployment: &Deployment, old: &[ReplicaSet], new: &ReplicaSet, all_sizes: i32) -> Vec<Resize> {
    let min_available = wanted(deployment) - max_unavailable(deployment);
    let new_unavailable = replicas_of(new) - available(new);
    let spare = all_sizes - min_available - new_unavailable;
    let mut sizes: Vec<i32> = old.iter().map(replicas_of).collect();
    if sizes.iter().sum::<i32>() == 0 || spare <= 0 {
        return Vec::new();
    }
    let mut cleaned = 0;
    for (set, size) in old.iter().zip(&mut sizes) {
        let unhealthy = (*size - available(set)).max(0).min(spare - cleaned);
        *size -= unhealthy;
        cleaned += unhealthy;
    }
    let mut healthy_spare = old.iter().map(available).sum::<i32>() + available(new) - min_available;
    for size in &mut sizes {
        let fewer = (*size).min(healthy_spare.max(0));
        *size -= fewer;
        healthy_spare -= fewer;
    }
    let changed = old.iter().zip(sizes).filter(|(set, size)| replicas_of(set) != *size);
    changed.map(|(set, size)| resize(set, size)).collect()
}

/// Recreate's first step: all old ReplicaSets to nothing.
pub(super) fn recreate_down(sets: &ReplicaSets) -> Vec<Resize> {
    sets.old.iter().filter(|set| replicas_of(set) > 0).map(|set| resize(set, 0)).collect()
}

/// Whether a pod of an older template is still there, even on its way out: then Recreate waits.
pub(super) fn old_pods_running(sets: &ReplicaSets, pods: &[Arc<Pod>]) -> bool {
    if sets.old.iter().any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0)) {
        return true;
    }
    pods.iter().filter(|pod| !is_terminated(pod)).any(|pod| {
        let owner = controller_of(&pod.metadata).map(|owner| &*owner.uid);
        sets.old.iter().any(|set| owner == Some(uid(set)))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::replica_sets::tests::{deployment, sized};
    use super::*;

    fn strategy(surge: Value, unavailable: Value) -> Value {
        json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}})
    }

    #[track_caller]
    fn check_bounds(replicas: i32, surge: Value, unavailable: Value, expected: (i32, i32)) {
        let deployment = deployment(replicas, strategy(surge, unavailable));
        assert_eq!((max_surge(&deployment), max_unavailable(&deployment)), expected);
    }

    #[test]
    fn surge_is_rounded_up_and_unavailable_down() {
        check_bounds(3, json!("25%"), json!("25%"), (1, 0));
        check_bounds(10, json!("25%"), json!("25%"), (3, 2));
        check_bounds(10, json!(2), json!(1), (2, 1));
        check_bounds(4, json!(0), json!("10%"), (0, 1));
        check_bounds(2, json!(0), json!(5), (0, 2));
        check_bounds(0, json!("25%"), json!("25%"), (0, 0));
    }

    /// (size, available) of new and old ReplicaSets, and the sizes to set as `new 2, old0 1`.
    #[track_caller]
    fn check_step(replicas: i32, new: (i32, i32), old: &[(i32, i32)], expected: &str) {
        let deployment = deployment(replicas, json!({}));
        let set = |name: &str, (size, available)| sized(&deployment, name, size, available);
        let old = old.iter().enumerate().map(|(index, sizes)| set(&format!("old{index}"), *sizes)).collect();
        let steps = rolling_step(&deployment, &ReplicaSets { new: Some(set("new", new)), old });
        let steps: Vec<String> =
            steps.iter().map(|step| format!("{} {}", step.replica_set, step.size)).collect();
        assert_eq!(steps.join(", "), expected);
    }

    #[test]
    fn a_rolling_update_goes_up_by_the_surge_and_down_by_what_is_available() {
        check_step(4, (0, 0), &[(4, 4)], "new 1");
        check_step(4, (1, 0), &[(4, 4)], "old0 3");
        check_step(4, (1, 0), &[(3, 3)], "new 2");
        check_step(4, (2, 0), &[(3, 3)], "");
        check_step(4, (2, 1), &[(3, 3)], "old0 2");
        check_step(4, (4, 4), &[(1, 1)], "old0 0");
        check_step(4, (4, 4), &[(0, 0)], "");
        check_step(4, (6, 4), &[], "new 4");
    }

    #[test]
    fn unhealthy_old_pods_go_first() {
        check_step(4, (1, 0), &[(2, 0), (2, 2)], "old0 1");
        check_step(10, (3, 3), &[(5, 5), (5, 3)], "old0 2, old1 3");
    }

    #[test]
    fn recreate_waits_for_the_last_old_pod() {
        let deployment =
            deployment(2, json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}));
        let mut sets = ReplicaSets { new: None, old: vec![sized(&deployment, "old", 2, 2)] };
        assert_eq!(recreate_down(&sets), [resize(&sets.old[0], 0)]);
        assert!(old_pods_running(&sets, &[]));
        sets.old[0] = sized(&deployment, "old", 0, 0);
        let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "old", "uid": "old", "controller": true}]);
        let pod =
            json!({"metadata": {"ownerReferences": owner, "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        let terminating: Pod = serde_json::from_value(pod).unwrap();
        assert!(old_pods_running(&sets, &[Arc::new(terminating)]));
        assert!(!old_pods_running(&sets, &[]));
        assert_eq!(new_size(&deployment, 0, 0), 2);
    }
}
