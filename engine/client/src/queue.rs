//! Keys to reconcile: each at most once at a time, never lost, again after a growing wait when it failed.
//! Counterpart: client-go's `workqueue`, with its default rate limiter per item.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_sim::RecordId;
use tokio::sync::Notify;
use tokio::time::Instant;

/// client-go's ItemExponentialFailureRateLimiter: 5 ms, doubling, up to 1000 s.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1000);

/// A queue of keys. Clones share it.
#[derive(Debug)]
pub struct WorkQueue<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> WorkQueue<K> {
        WorkQueue { shared: self.shared.clone() }
    }
}

#[derive(Debug)]
struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    /// Everything that wants work, whether ready or waiting for its processing to end.
    dirty: BTreeSet<K>,
    processing: BTreeSet<K>,
    later: BTreeSet<(Instant, u64, K)>,
    sequence: u64,
    failures: BTreeMap<K, u32>,
    causes: BTreeMap<K, RecordId>,
}

impl<K: Ord + Clone> Default for WorkQueue<K> {
    fn default() -> WorkQueue<K> {
        let state = State {
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            processing: BTreeSet::new(),
            later: BTreeSet::new(),
            sequence: 0,
            failures: BTreeMap::new(),
            causes: BTreeMap::new(),
        };
        WorkQueue { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }
}

impl<K: Ord + Clone> WorkQueue<K> {
    /// Wants `key` reconciled because of `cause`; the newest cause wins.
    pub fn add(&self, key: K, cause: Option<RecordId>) {
        let mut state = self.locked();
        if let Some(cause) = cause {
            state.causes.insert(key.clone(), cause);
        }
        state.add(key);
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Wants `key` reconciled after `delay`.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key, None);
        }
        let mut state = self.locked();
        state.sequence += 1;
        let at = (Instant::now() + delay, state.sequence, key);
        state.later.insert(at);
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Wants `key` again after its back-off: for a reconcile that failed.
    pub fn add_rate_limited(&self, key: K) {
        let mut state = self.locked();
        let failures = state.failures.entry(key.clone()).or_insert(0);
        let delay = BACKOFF_FIRST.saturating_mul(1 << (*failures).min(20)).min(BACKOFF_MAX);
        *failures += 1;
        drop(state);
        self.add_after(key, delay);
    }

    /// Forgets the failures of `key`: for a reconcile that succeeded.
    pub fn forget(&self, key: &K) {
        self.locked().failures.remove(key);
    }

    /// How often `key` failed in a row.
    pub fn failures(&self, key: &K) -> u32 {
        self.locked().failures.get(key).copied().unwrap_or_default()
    }

    /// Keys that are ready or will be as soon as their processing ends.
    pub fn depth(&self) -> usize {
        self.locked().dirty.len()
    }

    /// Takes the next key. Call [`WorkQueue::done`] when it is reconciled.
    pub async fn next(&self) -> (K, Option<RecordId>) {
        loop {
            let wake_at = {
                let mut state = self.locked();
                state.promote(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.processing.insert(key.clone());
                    let cause = state.causes.remove(&key);
                    return (key, cause);
                }
                state.later.first().map(|(at, _, _)| *at)
            };
            match wake_at {
                None => self.shared.changed.notified().await,
                Some(at) => tokio::select! {
                    biased;
                    () = self.shared.changed.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    /// Says that `key` is reconciled. If it was added meanwhile, it is ready again.
    pub fn done(&self, key: &K) {
        let mut state = self.locked();
        state.processing.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.shared.changed.notify_one();
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State<K>> {
        self.shared.state.lock().expect("no panic happens under this lock")
    }
}

impl<K: Ord + Clone> State<K> {
    fn add(&mut self, key: K) {
        if self.dirty.insert(key.clone()) && !self.processing.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn promote(&mut self, now: Instant) {
        while self.later.first().is_some_and(|(at, _, _)| *at <= now) {
            let (_, _, key) = self.later.pop_first().expect("seen just above");
            self.add(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_taken_once_however_often_it_was_added() {
        let queue = WorkQueue::default();
        queue.add("a", Some(1));
        queue.add("a", Some(2));
        assert_eq!(queue.next().await, ("a", Some(2)));
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_processed_comes_again_after_done() {
        let queue = WorkQueue::default();
        queue.add("a", None);
        let (key, _) = queue.next().await;
        queue.add("a", None);
        queue.add("b", None);
        assert_eq!(queue.next().await.0, "b");
        queue.done(&key);
        assert_eq!(queue.next().await.0, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_twice_as_long_each_time() {
        let queue = WorkQueue::default();
        let mut waits = Vec::new();
        for _ in 0..4 {
            let before = Instant::now();
            queue.add_rate_limited("a");
            let (key, _) = queue.next().await;
            queue.done(&key);
            waits.push(before.elapsed().as_millis());
        }
        assert_eq!(waits, [5, 10, 20, 40]);
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
    }
}
