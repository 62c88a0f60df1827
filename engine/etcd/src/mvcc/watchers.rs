//! Who is told of a change. Counterpart of `watchable_store.go`; a watch of the past is brought up to date
//! at once when it begins, so there is no group of unsynced watchers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use super::range::Keys;
use super::store::{Change, Store};
use crate::api::{Event, EventKind, KeyValue, ResponseHeader, WatchFilter, WatchRequest, WatchResponse};

/// Names a watch within its member. The number that its client knows it by is another.
pub(crate) type WatchId = u64;

#[derive(Debug)]
struct Watch {
    keys: Keys,
    /// Events before this revision are not wanted.
    start_revision: i64,
    prev_kv: bool,
    progress_notify: bool,
    filters: Vec<WatchFilter>,
    /// Nothing was sent since the last round of progress notifications.
    quiet: bool,
    watch_id: i64,
    /// The watches of one stream share it, so that their responses keep the store's order.
    sender: UnboundedSender<WatchResponse>,
}

/// The watches of one member.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    last_id: WatchId,
    watches: BTreeMap<WatchId, Watch>,
    /// Watches of one key, by the key; the others are in `ranges`.
    by_key: BTreeMap<Bytes, BTreeSet<WatchId>>,
    ranges: BTreeSet<WatchId>,
}

impl Watchers {
    #[cfg(feature = "grpc")]
    pub fn count(&self) -> usize {
        self.watches.len()
    }

    /// Begins a watch: says `created`, then tells of the past that was asked for. `None` when that past was
    /// compacted away, which is told too.
    pub fn create(
        &mut self,
        store: &Store,
        watch_id: i64,
        request: WatchRequest,
        header: ResponseHeader,
        sender: UnboundedSender<WatchResponse>,
    ) -> Option<WatchId> {
        let response = WatchResponse { header, watch_id, ..WatchResponse::default() };
        let start_revision =
            if request.start_revision > 0 { request.start_revision } else { store.revision() + 1 };
        // A receiver that is gone already is noticed at the next event.
        let _ = sender.send(WatchResponse { created: true, ..response.clone() });
        if start_revision < store.compact_revision() {
            let compact_revision = store.compact_revision();
            let _ = sender.send(WatchResponse { compact_revision, canceled: true, ..response });
            return None;
        }
        let watch = Watch {
            keys: Keys::new(&request.key, &request.range_end),
            start_revision,
            prev_kv: request.prev_kv,
            progress_notify: request.progress_notify,
            filters: request.filters,
            quiet: true,
            watch_id,
            sender,
        };
        watch.replay(store, header);
        self.last_id += 1;
        let id = self.last_id;
        match &watch.keys {
            Keys::One(key) => drop(self.by_key.entry(key.clone()).or_default().insert(id)),
            Keys::Between(..) | Keys::From(_) => drop(self.ranges.insert(id)),
        }
        self.watches.insert(id, watch);
        Some(id)
    }

    pub fn cancel(&mut self, id: WatchId) {
        let Some(watch) = self.watches.remove(&id) else { return };
        self.ranges.remove(&id);
        if let Keys::One(key) = watch.keys
            && let Some(ids) = self.by_key.get_mut(&key)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// Tells of the changes of one revision.
    pub fn notify(&mut self, store: &Store, revision: i64, header: ResponseHeader) {
        if self.watches.is_empty() {
            return;
        }
        let mut events: BTreeMap<WatchId, Vec<Event>> = BTreeMap::new();
        for change in store.changes_since(revision) {
            let by_key = self.by_key.get(&change.kv.key).into_iter().flatten();
            for id in by_key.chain(&self.ranges) {
                if let Some(event) = self.watches[id].event(store, change) {
                    events.entry(*id).or_default().push(event);
                }
            }
        }
        for (id, events) in events {
            let Some(watch) = self.watches.get_mut(&id) else { continue };
            watch.quiet = false;
            if watch.sender.send(WatchResponse { events, ..watch.response(header) }).is_err() {
                self.cancel(id);
            }
        }
    }

    /// Tells of all that a snapshot brought, from revision `from` on.
    pub fn catch_up(&mut self, store: &Store, from: i64, header: ResponseHeader) {
        if from >= store.compact_revision() {
            return self.notify(store, from, header);
        }
        let compact_revision = store.compact_revision();
        self.by_key.clear();
        self.ranges.clear();
        for watch in std::mem::take(&mut self.watches).into_values() {
            let _ = watch.sender.send(WatchResponse {
                compact_revision,
                canceled: true,
                ..watch.response(header)
            });
        }
    }

    /// Tells the watches that asked for it, and had nothing to hear since the last round, how far the store is.
    pub fn notify_progress(&mut self, header: ResponseHeader) {
        for watch in self.watches.values_mut() {
            if std::mem::replace(&mut watch.quiet, true) && watch.progress_notify {
                let _ = watch.sender.send(watch.response(header));
            }
        }
    }
}

impl Watch {
    fn response(&self, header: ResponseHeader) -> WatchResponse {
        WatchResponse { header, watch_id: self.watch_id, ..WatchResponse::default() }
    }

    fn replay(&self, store: &Store, header: ResponseHeader) {
        let events: Vec<Event> =
            store.changes_since(self.start_revision).filter_map(|change| self.event(store, change)).collect();
        for events in events.chunk_by(|a, b| a.kv.mod_revision == b.kv.mod_revision) {
            let _ = self.sender.send(WatchResponse { events: events.to_vec(), ..self.response(header) });
        }
    }

    fn event(&self, store: &Store, change: &Change) -> Option<Event> {
        let filter = match change.kind {
            EventKind::Put => WatchFilter::NoPut,
            EventKind::Delete => WatchFilter::NoDelete,
        };
        let main = change.revision.main;
        if main < self.start_revision || !self.keys.contains(&change.kv.key) || self.filters.contains(&filter)
        {
            return None;
        }
        let prev_kv = self.prev_kv.then(|| store.key_at(&change.kv.key, main - 1)).flatten();
        Some(Event {
            kind: change.kind,
            kv: KeyValue::clone(&change.kv),
            prev_kv: prev_kv.cloned(),
            cause: change.cause,
        })
    }
}
