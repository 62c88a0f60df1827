//! Sizes to set when only the number of replicas changed, or while the Deployment is paused. In the middle
//! of an update the change is spread over the ReplicaSets in proportion. Counterpart: `sync.go`'s `scale`.

use std::cmp::Reverse;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::replica_sets::{ReplicaSets, available, desired_annotation, max_annotation, replicas_of, wanted};
use super::rollout::{Resize, is_recreate, max_surge, resize};
use crate::objects::name;

/// Whether a ReplicaSet was sized for another number of replicas than is wanted now.
pub(super) fn is_scaling(deployment: &Deployment, sets: &ReplicaSets) -> bool {
    let active = sets.all().filter(|set| replicas_of(set) > 0);
    active.filter_map(desired_annotation).any(|desired| desired != wanted(deployment))
}

/// The sizes to set.
pub(super) fn step(deployment: &Deployment, sets: &ReplicaSets) -> Vec<Resize> {
    if let Some(only) = active_or_latest(sets) {
        let unchanged = replicas_of(only) == wanted(deployment);
        return if unchanged { Vec::new() } else { vec![resize(only, wanted(deployment))] };
    }
    if sets.new.as_ref().is_some_and(|new| is_saturated(deployment, new)) {
        return sets.old.iter().filter(|set| replicas_of(set) > 0).map(|set| resize(set, 0)).collect();
    }
    if is_recreate(deployment) { Vec::new() } else { proportional(deployment, sets) }
}

fn active_or_latest(sets: &ReplicaSets) -> Option<&ReplicaSet> {
    let mut active = sets.all().filter(|set| replicas_of(set) > 0);
    match (active.next(), active.next()) {
        (None, _) => sets.new.as_ref().or(sets.old.last()),
        (only, None) => only,
        _ => None,
    }
}

fn is_saturated(deployment: &Deployment, new: &ReplicaSet) -> bool {
    let wanted = wanted(deployment);
    replicas_of(new) == wanted && desired_annotation(new) == Some(wanted) && available(new) == wanted
}

fn proportional(deployment: &Deployment, sets: &ReplicaSets) -> Vec<Resize> {
    let mut active: Vec<&ReplicaSet> = sets.all().filter(|set| replicas_of(set) > 0).collect();
    let total: i32 = active.iter().map(|set| replicas_of(set)).sum();
    let allowed = if wanted(deployment) > 0 { wanted(deployment) + max_surge(deployment) } else { 0 };
    let to_add = allowed - total;
    // The largest first, and among equals the newest when growing, the oldest when shrinking.
    let age = |set: &ReplicaSet| (set.metadata.creation_timestamp.clone(), name(set).to_owned());
    if to_add > 0 {
        active.sort_by_cached_key(|set| Reverse((replicas_of(set), age(set))));
    } else {
        active.sort_by_cached_key(|set| (Reverse(replicas_of(set)), age(set)));
    }
    let mut added = 0;
    let mut sizes: Vec<i32> = active
        .iter()
        .map(|set| {
            let share = share(deployment, set, to_add - added);
            added += share;
            replicas_of(set) + share
        })
        .collect();
    if let Some(largest) = sizes.first_mut() {
        *largest = (*largest + to_add - added).max(0);
    }
    active.iter().zip(sizes).map(|(set, size)| resize(set, size)).collect()
}

/// A ReplicaSet's part of the change, of which `left` is not given away yet.
fn share(deployment: &Deployment, set: &ReplicaSet, left: i32) -> i32 {
    if replicas_of(set) == 0 || left == 0 {
        return 0;
    }
    let fraction = fraction(deployment, set);
    if left > 0 { fraction.min(left) } else { fraction.max(left) }
}

fn fraction(deployment: &Deployment, set: &ReplicaSet) -> i32 {
    let size = replicas_of(set);
    if wanted(deployment) == 0 {
        return -size;
    }
    let status_replicas = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or_default();
    let max_before = max_annotation(set).filter(|max| *max != 0).unwrap_or(status_replicas);
    if max_before == 0 {
        return 0;
    }
    let max_now = wanted(deployment) + max_surge(deployment);
    let scaled = f64::from(size) * f64::from(max_now) / f64::from(max_before);
    scaled.round() as i32 - size
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::replica_sets::tests::{deployment, sized};
    use super::*;

    #[track_caller]
    fn check(from: i32, to: i32, new: i32, old: &[i32], expected: &str) {
        let before = deployment(from, json!({}));
        let set = |name: &str, size| sized(&before, name, size, size);
        let old = old.iter().enumerate().map(|(index, size)| set(&format!("old{index}"), *size)).collect();
        let sets = ReplicaSets { new: Some(set("new", new)), old };
        let after = deployment(to, json!({}));
        assert!(is_scaling(&after, &sets) || from == to);
        let mut steps: Vec<String> =
            step(&after, &sets).iter().map(|step| format!("{} {}", step.replica_set, step.size)).collect();
        steps.sort();
        assert_eq!(steps.join(", "), expected);
    }

    #[test]
    fn one_active_replica_set_takes_it_all() {
        check(3, 5, 3, &[], "new 5");
        check(3, 5, 3, &[0], "new 5");
        check(3, 1, 0, &[3], "old0 1");
        check(3, 0, 3, &[], "new 0");
    }

    #[test]
    fn in_the_middle_of_an_update_the_change_is_spread_in_proportion() {
        check(10, 20, 5, &[8], "new 10, old0 15");
        check(10, 5, 5, &[8], "new 3, old0 4");
        check(10, 0, 5, &[8], "new 0, old0 0");
    }
}
