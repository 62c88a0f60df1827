//! The ordered record of what components said to each other. Diagrams, timelines and checks on order are
//! read from it, never from log text.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::clock::Clock;

/// The number of a record, from 1, without gaps.
pub type RecordId = u64;

/// How many records are kept unless [`Trace::keep`] says otherwise; the oldest go first. A graded lab has a few thousand.
const KEPT_MAX: usize = 200_000;

/// What a message was. The crate that sends defines its payloads; they are rendered only when asked.
pub trait Payload: Debug + Send + Sync + 'static {
    /// The message's type, in the words of its protocol: `AppendEntries`, `POST`, `Bind`.
    fn kind(&self) -> &str;
    /// Named fields, as a JSON object.
    fn fields(&self) -> Value;
    /// Said again and again whatever happens, such as a heartbeat or the renewal of a lease.
    fn is_routine(&self) -> bool {
        false
    }
}

/// One message, or one event at a component (then `from` equals `to`).
#[derive(Debug, Clone)]
pub struct Record {
    pub id: RecordId,
    /// Since the world began.
    pub at: Duration,
    pub from: Arc<str>,
    pub to: Arc<str>,
    /// The record that led to this one.
    pub cause: Option<RecordId>,
    pub payload: Arc<dyn Payload>,
}

/// A handle to the world's record. Clones share it.
#[derive(Debug, Clone)]
pub struct Trace {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    records: Mutex<VecDeque<Record>>,
    names: Mutex<Names>,
    last: watch::Sender<RecordId>,
    kept_max: AtomicUsize,
}

/// The names that records share.
#[derive(Debug, Default)]
struct Names(BTreeSet<Arc<str>>);

impl Names {
    /// Clients call themselves as they like: more names than these are not remembered together.
    const MAX: usize = 1000;

    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        if self.0.len() >= Names::MAX {
            self.0.clear();
        }
        let name: Arc<str> = name.into();
        self.0.insert(name.clone());
        name
    }
}

impl Trace {
    pub(crate) fn new(clock: Clock) -> Trace {
        let (records, names) = (Mutex::default(), Mutex::default());
        let (last, kept_max) = (watch::Sender::new(0), AtomicUsize::new(KEPT_MAX));
        Trace { inner: Arc::new(Inner { clock, records, names, last, kept_max }) }
    }

    /// Keeps that many records from now on. With 0 they only get their numbers.
    pub fn keep(&self, kept_max: usize) {
        self.inner.kept_max.store(kept_max, Ordering::Relaxed);
        self.inner.records.lock().expect("the trace is never poisoned").clear();
    }

    /// Appends a record; its cause is the current task's (see [`crate::caused_by`]).
    pub fn record(&self, from: &str, to: &str, payload: impl Payload) -> RecordId {
        self.record_caused(from, to, crate::tasks::current_cause(), payload)
    }

    /// Appends a record with a cause that the caller knows better.
    pub fn record_caused(
        &self,
        from: &str,
        to: &str,
        cause: Option<RecordId>,
        payload: impl Payload,
    ) -> RecordId {
        let at = self.inner.clock.elapsed();
        let id = {
            let mut records = self.inner.records.lock().expect("the trace is never poisoned");
            let id = *self.inner.last.borrow() + 1;
            let kept_max = self.inner.kept_max.load(Ordering::Relaxed);
            if records.len() >= kept_max {
                records.pop_front();
            }
            if kept_max > 0 {
                let mut names = self.inner.names.lock().expect("the trace is never poisoned");
                let (from, to) = (names.shared(from), names.shared(to));
                records.push_back(Record { id, at, from, to, cause, payload: Arc::new(payload) });
            }
            id
        };
        self.inner.last.send_replace(id);
        id
    }

    /// The id of the newest record; 0 when there is none.
    pub fn last_id(&self) -> RecordId {
        *self.inner.last.borrow()
    }

    /// The records after `id`, oldest first.
    pub fn since(&self, id: RecordId) -> Vec<Record> {
        let records = self.inner.records.lock().expect("the trace is never poisoned");
        let first = records.front().map_or(1, |record| record.id);
        records
            .iter()
            .skip(usize::try_from((id + 1).saturating_sub(first)).unwrap_or(usize::MAX))
            .cloned()
            .collect()
    }

    /// All records that are kept, oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.since(0)
    }

    /// Waits until a record after `id` exists, and returns the newest one's id.
    pub async fn after(&self, id: RecordId) -> RecordId {
        let mut last = self.inner.last.subscribe();
        *last.wait_for(|newest| *newest > id).await.expect("the trace outlives its watchers")
    }
}
