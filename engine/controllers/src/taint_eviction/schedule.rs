//! Which pods are to be deleted when, because of NoExecute taints. Counterparts: `processPodOnNode`,
//! `TimedWorkerQueue`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Taint, Toleration};
use labkit_api::ObjectKey;
use labkit_sim::RecordId;
use tokio::time::Instant;

use crate::taints::tolerates;

/// How long a pod may stay on a node with these taints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    Forever,
    For(Duration),
    NotAtAll,
}

pub(super) fn stay(taints: &[Taint], tolerations: &[Toleration]) -> Stay {
    let tolerating = |taint: &Taint| tolerations.iter().find(|toleration| tolerates(toleration, taint));
    let Some(used) = taints.iter().map(tolerating).collect::<Option<Vec<_>>>() else { return Stay::NotAtAll };
    let seconds = used.iter().filter_map(|toleration| toleration.toleration_seconds).min();
    match seconds {
        None => Stay::Forever,
        Some(seconds) => Stay::For(Duration::from_secs(u64::try_from(seconds).unwrap_or_default())),
    }
}

/// Deletions to come, by pod.
#[derive(Debug, Default)]
pub(super) struct Schedule(BTreeMap<ObjectKey, Eviction>);

#[derive(Debug)]
struct Eviction {
    since: Instant,
    at: Instant,
    cause: Option<RecordId>,
    /// It is being deleted; the entry stays so that this is done once.
    fired: bool,
}

impl Schedule {
    /// Judges a pod anew. Returns whether a deletion that was to come is called off.
    pub fn judge(&mut self, pod: &ObjectKey, stay: Stay, now: Instant, cause: Option<RecordId>) -> bool {
        let delay = match stay {
            Stay::Forever => return self.cancel(pod),
            Stay::NotAtAll => Duration::ZERO,
            Stay::For(delay) => delay,
        };
        let mut called_off = false;
        let mut since = now;
        if stay == Stay::NotAtAll {
            called_off = self.cancel(pod);
        } else if let Some(scheduled) = self.0.get(pod).filter(|scheduled| !scheduled.fired) {
            // What is scheduled counts from when it was first, and no new taint puts it off.
            since = scheduled.since;
            if since + delay < now + delay {
                return false;
            }
            called_off = self.cancel(pod);
        }
        let eviction = Eviction { since, at: now + delay, cause, fired: false };
        self.0.entry(pod.clone()).or_insert(eviction);
        called_off
    }

    /// Forgets a pod. Returns whether its deletion was still to come.
    pub fn cancel(&mut self, pod: &ObjectKey) -> bool {
        self.0.remove(pod).is_some_and(|scheduled| !scheduled.fired)
    }

    /// The pods that are due, each once.
    pub fn take(&mut self, now: Instant) -> Vec<(ObjectKey, Option<RecordId>)> {
        let mut due: Vec<(Instant, ObjectKey, Option<RecordId>)> = Vec::new();
        for (pod, scheduled) in
            self.0.iter_mut().filter(|(_, scheduled)| !scheduled.fired && scheduled.at <= now)
        {
            scheduled.fired = true;
            due.push((scheduled.at, pod.clone(), scheduled.cause));
        }
        due.sort_by_key(|(at, _, _)| *at);
        due.into_iter().map(|(_, pod, cause)| (pod, cause)).collect()
    }

    pub fn next(&self) -> Option<Instant> {
        self.0.values().filter(|scheduled| !scheduled.fired).map(|scheduled| scheduled.at).min()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::taints::{NO_EXECUTE, NOT_READY, UNREACHABLE, taint};

    #[track_caller]
    fn check(taints: &[&str], tolerations: Value, expected: Stay) {
        let taints: Vec<Taint> = taints.iter().map(|key| taint(key, NO_EXECUTE)).collect();
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
        assert_eq!(stay(&taints, &tolerations), expected);
    }

    #[test]
    fn the_shortest_toleration_decides() {
        let default = |seconds: i64| {
            json!([
                {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds},
                {"key": NOT_READY, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            ])
        };
        check(&[UNREACHABLE], default(300), Stay::For(Duration::from_secs(300)));
        check(&[UNREACHABLE, NOT_READY], default(20), Stay::For(Duration::from_secs(20)));
        check(&[UNREACHABLE], default(0), Stay::For(Duration::ZERO));
        check(&[UNREACHABLE, "team"], default(300), Stay::NotAtAll);
        check(&[UNREACHABLE], json!([{"operator": "Exists"}]), Stay::Forever);
        check(&[UNREACHABLE], json!([]), Stay::NotAtAll);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_fires_once_and_is_not_put_off() {
        let pod = ObjectKey::new("default", "web");
        let five_minutes = Stay::For(Duration::from_secs(300));
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        assert!(!schedule.judge(&pod, five_minutes, start, Some(7)));
        assert!(!schedule.judge(&pod, five_minutes, at(10), Some(8)));
        assert_eq!(schedule.next(), Some(at(300)));
        assert!(schedule.take(at(299)).is_empty());
        assert_eq!(schedule.take(at(300)), [(pod.clone(), Some(7))]);
        assert!(!schedule.judge(&pod, Stay::NotAtAll, at(301), None), "it is on its way already");
        assert!(schedule.next().is_some() || schedule.take(at(400)).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_called_off_when_the_taint_goes() {
        let pod = ObjectKey::new("default", "web");
        let mut schedule = Schedule::default();
        schedule.judge(&pod, Stay::For(Duration::from_secs(300)), Instant::now(), None);
        assert!(schedule.judge(&pod, Stay::Forever, Instant::now(), None));
        assert_eq!(schedule.next(), None);
        assert!(!schedule.cancel(&pod));
    }
}
