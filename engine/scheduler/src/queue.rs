//! The pods that wait for a node. Counterpart: `backend/queue`.
//!
//! Active pods are tried in order of priority, then of waiting. A pod for which no node was found is
//! unschedulable until something happens that may help it; it is then active again once its back-off is over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use labkit_api::ObjectKey;
use labkit_sim::RecordId;
use tokio::time::Instant;

use crate::cache::PodInfo;
use crate::framework::ClusterEvent;
use crate::plugins::{self, FILTERS};

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// After so long an unschedulable pod is tried again although nothing seems to have changed.
const UNSCHEDULABLE_MAX: Duration = Duration::from_secs(5 * 60);

/// A pod with its history in the queue.
#[derive(Debug, Clone)]
pub(crate) struct QueuedPod {
    pub info: Arc<PodInfo>,
    /// Why it is in the queue.
    pub cause: Option<RecordId>,
    pub attempts: u32,
    /// The filters that kept it from scheduling last time; none after an error.
    pub rejected_by: BTreeSet<&'static str>,
    since: Instant,
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Active,
    /// Until then.
    BackingOff(Instant),
    /// Until then, if nothing happens before.
    Unschedulable(Instant),
    Gated,
}

type Turn = (Reverse<i32>, Instant, u64, ObjectKey);

#[derive(Debug, Default)]
pub(crate) struct Queue {
    pods: BTreeMap<ObjectKey, (QueuedPod, Place)>,
    active: BTreeSet<Turn>,
    backing_off: BTreeSet<(Instant, ObjectKey)>,
    unschedulable: BTreeSet<(Instant, ObjectKey)>,
    sequence: u64,
}

impl Queue {
    /// Takes in a pod that is new, or that was changed.
    pub fn put(&mut self, info: Arc<PodInfo>, cause: Option<RecordId>, now: Instant) {
        let key = info.key.clone();
        let Some((mut queued, place)) = self.take(&key) else { return self.put_new(info, cause, now) };
        if queued.info.pod.metadata.uid != info.pod.metadata.uid {
            return self.put_new(info, cause, now);
        }
        let event = ClusterEvent::PodUpdated { old: queued.info.pod.clone(), new: info.pod.clone() };
        let gated = plugins::is_gated(&info.pod);
        queued.info = info;
        let place = match place {
            _ if gated => Place::Gated,
            Place::Gated => Place::Active,
            Place::Unschedulable(_) if is_helped(&queued, &event) => {
                queued.cause = cause.or(queued.cause);
                queued.after_backoff(now)
            }
            place => place,
        };
        self.insert(queued, place);
    }

    fn put_new(&mut self, info: Arc<PodInfo>, cause: Option<RecordId>, now: Instant) {
        self.sequence += 1;
        let place = if plugins::is_gated(&info.pod) { Place::Gated } else { Place::Active };
        let sequence = self.sequence;
        let queued =
            QueuedPod { info, cause, attempts: 0, rejected_by: BTreeSet::new(), since: now, sequence };
        self.insert(queued, place);
    }

    pub fn remove(&mut self, key: &ObjectKey) {
        self.take(key);
    }

    pub fn has_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// The next pod to try. It is out of the queue until [`Queue::put_back`].
    pub fn pop(&mut self) -> Option<QueuedPod> {
        let (.., key) = self.active.first()?.clone();
        let (mut queued, _) = self.take(&key)?;
        queued.attempts += 1;
        Some(queued)
    }

    /// Takes back a pod that could not be placed. Without a plugin to blame it was an error: it is tried
    /// again after its back-off.
    pub fn put_back(&mut self, mut queued: QueuedPod, rejected_by: BTreeSet<&'static str>, now: Instant) {
        queued.since = now;
        queued.rejected_by = rejected_by;
        let place = if queued.rejected_by.is_empty() {
            Place::BackingOff(now + queued.backoff())
        } else {
            Place::Unschedulable(now + UNSCHEDULABLE_MAX)
        };
        self.insert(queued, place);
    }

    /// Moves the unschedulable pods that this may help.
    pub fn happened(&mut self, event: &ClusterEvent, cause: Option<RecordId>, now: Instant) {
        let helped = |(_, key): &&(Instant, ObjectKey)| is_helped(&self.pods[key].0, event);
        let keys: Vec<ObjectKey> =
            self.unschedulable.iter().filter(helped).map(|(_, key)| key.clone()).collect();
        for key in keys {
            let Some((mut queued, _)) = self.take(&key) else { continue };
            queued.cause = cause.or(queued.cause);
            let place = queued.after_backoff(now);
            self.insert(queued, place);
        }
    }

    /// Makes active what has waited long enough.
    pub fn flush(&mut self, now: Instant) {
        while let Some((at, key)) = self.unschedulable.first().cloned().filter(|(at, _)| *at <= now) {
            let Some((queued, _)) = self.take(&key) else { unreachable!("{key} waits until {at:?}") };
            let place = queued.after_backoff(now);
            self.insert(queued, place);
        }
        while let Some((at, key)) = self.backing_off.first().cloned().filter(|(at, _)| *at <= now) {
            let Some((queued, _)) = self.take(&key) else { unreachable!("{key} backs off until {at:?}") };
            self.insert(queued, Place::Active);
        }
    }

    /// When [`Queue::flush`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let first = |set: &BTreeSet<(Instant, ObjectKey)>| set.first().map(|(at, _)| *at);
        [first(&self.backing_off), first(&self.unschedulable)].into_iter().flatten().min()
    }

    fn insert(&mut self, queued: QueuedPod, place: Place) {
        let key = queued.info.key.clone();
        match place {
            Place::Active => drop(self.active.insert(queued.turn())),
            Place::BackingOff(until) => drop(self.backing_off.insert((until, key.clone()))),
            Place::Unschedulable(until) => drop(self.unschedulable.insert((until, key.clone()))),
            Place::Gated => {}
        }
        self.pods.insert(key, (queued, place));
    }

    fn take(&mut self, key: &ObjectKey) -> Option<(QueuedPod, Place)> {
        let (queued, place) = self.pods.remove(key)?;
        match place {
            Place::Active => drop(self.active.remove(&queued.turn())),
            Place::BackingOff(until) => drop(self.backing_off.remove(&(until, key.clone()))),
            Place::Unschedulable(until) => drop(self.unschedulable.remove(&(until, key.clone()))),
            Place::Gated => {}
        }
        Some((queued, place))
    }
}

impl QueuedPod {
    fn turn(&self) -> Turn {
        (Reverse(self.info.priority()), self.since, self.sequence, self.info.key.clone())
    }

    /// 1 s after the first attempt, doubling, up to 10 s.
    fn backoff(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(10);
        (BACKOFF_FIRST * (1 << doublings)).min(BACKOFF_MAX)
    }

    fn after_backoff(&self, now: Instant) -> Place {
        let until = self.since + self.backoff();
        if until > now { Place::BackingOff(until) } else { Place::Active }
    }
}

fn is_helped(queued: &QueuedPod, event: &ClusterEvent) -> bool {
    let blamed = FILTERS.iter().filter(|plugin| queued.rejected_by.contains(plugin.name()));
    blamed.into_iter().any(|plugin| plugin.may_help(&queued.info, event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{asking, node, pod};
    use serde_json::json;

    fn info(pod: k8s_openapi::api::core::v1::Pod) -> Arc<PodInfo> {
        Arc::new(PodInfo::new(Arc::new(pod)))
    }

    fn names(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|queued| queued.info.key.name.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_highest_priority_goes_first_then_the_longest_wait() {
        let mut queue = Queue::default();
        let with_priority =
            |name, priority: i32| info(pod(name, json!({"containers": [], "priority": priority})));
        for pod in [with_priority("a", 0), with_priority("b", 1000), with_priority("c", 0)] {
            queue.put(pod, None, Instant::now());
        }
        assert_eq!(names(&mut queue), ["b", "a", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_pod_backs_off_twice_as_long_each_time() {
        let mut queue = Queue::default();
        queue.put(info(asking("a", "1", "1Gi")), None, Instant::now());
        let mut waits = Vec::new();
        for _ in 0..6 {
            let queued = queue.pop().unwrap();
            queue.put_back(queued, BTreeSet::new(), Instant::now());
            let before = Instant::now();
            tokio::time::sleep_until(queue.deadline().unwrap()).await;
            queue.flush(Instant::now());
            waits.push(before.elapsed().as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unschedulable_pod_waits_for_what_helps_it_or_for_five_minutes() {
        let mut queue = Queue::default();
        queue.put(info(asking("a", "8", "1Gi")), None, Instant::now());
        let queued = queue.pop().unwrap();
        queue.put_back(queued, BTreeSet::from(["NodeResourcesFit"]), Instant::now());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let added = |over| ClusterEvent::NodeAdded(Arc::new(node("n2", over)));
        queue.happened(&added(json!({})), None, Instant::now());
        assert!(!queue.has_active(), "another node of 4 CPUs does not help");
        queue.happened(&added(json!({"status": {"allocatable": {"cpu": "16"}}})), None, Instant::now());
        let queued = queue.pop().expect("the large node helps, and the back-off of 1 s is over");
        let before = Instant::now();
        queue.put_back(queued, BTreeSet::from(["NodeResourcesFit"]), Instant::now());
        tokio::time::sleep_until(queue.deadline().unwrap()).await;
        queue.flush(Instant::now());
        assert_eq!((before.elapsed().as_secs(), queue.has_active()), (300, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_gated_pod_waits_until_its_gates_are_gone() {
        let mut queue = Queue::default();
        let gates = json!({"containers": [], "schedulingGates": [{"name": "example.com/quota"}]});
        queue.put(info(pod("a", gates)), None, Instant::now());
        assert!(!queue.has_active());
        queue.put(info(pod("a", json!({"containers": []}))), None, Instant::now());
        assert!(queue.has_active());
    }
}
