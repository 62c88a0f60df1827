//! Taints of nodes: what tolerates what, and how the list is changed. Counterparts:
//! `k8s.io/component-helpers/scheduling/corev1`, `controllerutil.SwapNodeControllerTaint`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use labkit_client::Client;
use serde_json::json;

use crate::work::Failed;

pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
pub(crate) const NO_EXECUTE: &str = "NoExecute";
pub(crate) const NO_SCHEDULE: &str = "NoSchedule";

/// How often a write that lost a race is tried again at once.
const CONFLICTS_MAX: usize = 5;

pub(crate) fn taint(key: &str, effect: &str) -> Taint {
    Taint { key: key.to_owned(), effect: effect.to_owned(), ..Default::default() }
}

pub(crate) fn of(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

/// Taints are the same if key and effect are.
pub(crate) fn same(a: &Taint, b: &Taint) -> bool {
    a.key == b.key && a.effect == b.effect
}

pub(crate) fn has(node: &Node, key: &str, effect: &str) -> bool {
    of(node).iter().any(|taint| taint.key == key && taint.effect == effect)
}

pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let unset_or =
        |own: &Option<String>, other: &str| own.as_deref().is_none_or(|own| own.is_empty() || own == other);
    unset_or(&toleration.effect, &taint.effect)
        && unset_or(&toleration.key, &taint.key)
        && match toleration.operator.as_deref() {
            None | Some("" | "Equal") => {
                toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
            }
            Some("Exists") => true,
            Some(_) => false,
        }
}

/// Adds and removes taints of a node. Those that are there, or not there, already cost no request but the
/// first read. Returns whether something changed.
pub(crate) async fn swap(
    client: &Client,
    node: &str,
    add: &[Taint],
    remove: &[Taint],
    now: Timestamp,
) -> Result<bool, Failed> {
    let mut tries = 0;
    loop {
        let fresh = client.api::<Node>().get("", node).await?;
        let Some(taints) = swapped(of(&fresh), add, remove, now) else { return Ok(false) };
        let patch = json!({
            "metadata": {"resourceVersion": fresh.metadata.resource_version},
            "spec": {"taints": taints},
        });
        tries += 1;
        match client.api::<Node>().patch("", node, None, patch).await {
            Ok(_) => return Ok(true),
            Err(error) if error.is_conflict() && tries < CONFLICTS_MAX => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn swapped(present: &[Taint], add: &[Taint], remove: &[Taint], now: Timestamp) -> Option<Vec<Taint>> {
    let mut taints = present.to_vec();
    taints.retain(|taint| !remove.iter().any(|gone| same(gone, taint)));
    for new in add {
        match taints.iter_mut().find(|taint| same(taint, new)) {
            Some(taint) if taint.value == new.value => {}
            Some(taint) => *taint = Taint { time_added: Some(Time(now)), ..new.clone() },
            None => taints.push(Taint { time_added: Some(Time(now)), ..new.clone() }),
        }
    }
    (taints != present).then_some(taints)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(toleration: Value, expected: bool) {
        let toleration: Toleration = serde_json::from_value(toleration).unwrap();
        let taint = Taint { value: Some("blue".into()), ..taint("team", NO_EXECUTE) };
        assert_eq!(tolerates(&toleration, &taint), expected);
    }

    #[test]
    fn a_toleration_matches_by_key_value_and_effect() {
        check(json!({"operator": "Exists"}), true);
        check(json!({"key": "team", "operator": "Exists", "effect": "NoExecute"}), true);
        check(json!({"key": "team", "value": "blue"}), true);
        check(json!({"key": "team", "value": "red"}), false);
        check(json!({"key": "team", "operator": "Exists", "effect": "NoSchedule"}), false);
        check(json!({"key": "other", "operator": "Exists"}), false);
    }

    #[test]
    fn swapping_keeps_foreign_taints_and_says_when() {
        let now: Timestamp = "2026-01-01T00:00:40Z".parse().unwrap();
        let present = [taint("mine", NO_SCHEDULE), taint(NOT_READY, NO_EXECUTE)];
        let unreachable = [taint(UNREACHABLE, NO_EXECUTE)];
        let taints = swapped(&present, &unreachable, &[taint(NOT_READY, NO_EXECUTE)], now).unwrap();
        assert_eq!(taints[0], present[0]);
        assert_eq!(taints[1].time_added, Some(Time(now)));
        assert_eq!(swapped(&taints, &unreachable, &[], now), None);
    }
}
