//! Who is told of a change. Counterpart of `watchable_store.go`; a watch of the past is brought up to date
//! at once when it begins, so there is no group of unsynced watchers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use super::range::Keys;
use super::store::{Change, Store};
use crate::api::{Event, EventKind, KeyValue, ResponseHeader, WatchFilter, WatchRequest, WatchResponse};

/// Names a watch within its member. The number that its client knows it by is another.
pub(crate) type WatchId = u64;

/// Who is told what the watches of one stream see.
pub(crate) trait Listener: Debug + Send + Sync {
    /// Takes what one watch sees, if there is room for it.
    fn hear(&self, header: ResponseHeader, watch_id: i64, told: &Told) -> Heard;

    /// Takes a response without events, room or not.
    fn note(&self, response: WatchResponse);
}

/// What became of events that a listener was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Taken,
    /// Its client does not read. The watch ends here, and the listener begins it again where it stands.
    Full,
    Gone,
}

/// Events of one revision, or of what a snapshot brought, for all watches that see the same of them.
#[derive(Debug)]
pub(crate) struct Told {
    pub events: Vec<Event>,
    /// The events as the wire has them, once a listener has asked for it.
    #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "without it there is no wire"))]
    pub encoded: OnceLock<Bytes>,
    /// The whole message for one watch id, under which many streams have their watch.
    #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "without it there is no wire"))]
    pub message: OnceLock<(i64, Bytes)>,
}

impl From<Vec<Event>> for Told {
    fn from(events: Vec<Event>) -> Told {
        Told { events, encoded: OnceLock::new(), message: OnceLock::new() }
    }
}

impl Listener for UnboundedSender<WatchResponse> {
    fn hear(&self, header: ResponseHeader, watch_id: i64, told: &Told) -> Heard {
        let events = told.events.clone();
        match self.send(WatchResponse { header, watch_id, events, ..WatchResponse::default() }) {
            Ok(()) => Heard::Taken,
            Err(_) => Heard::Gone,
        }
    }

    fn note(&self, response: WatchResponse) {
        // A receiver that is gone already is noticed at the next event.
        let _ = self.send(response);
    }
}

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
    listener: Arc<dyn Listener>,
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

    /// Begins a watch: says `created` if it is `new` to its client, then tells of the past that was asked for. `None`
    /// when the listener has no room for all of that, or when that past was compacted away, which is told too.
    pub fn create(
        &mut self,
        store: &Store,
        watch_id: i64,
        request: WatchRequest,
        header: ResponseHeader,
        listener: Arc<dyn Listener>,
        new: bool,
    ) -> Option<WatchId> {
        let response = WatchResponse { header, watch_id, ..WatchResponse::default() };
        let start_revision =
            if request.start_revision > 0 { request.start_revision } else { store.revision() + 1 };
        if new {
            listener.note(WatchResponse { created: true, ..response.clone() });
        }
        if start_revision < store.compact_revision() {
            let compact_revision = store.compact_revision();
            listener.note(WatchResponse { compact_revision, canceled: true, ..response });
            return None;
        }
        // As upstream: no key means the smallest one.
        let key = if request.key.is_empty() { Bytes::from_static(b"\0") } else { request.key };
        let watch = Watch {
            keys: Keys::new(&key, &request.range_end),
            start_revision,
            prev_kv: request.prev_kv,
            progress_notify: request.progress_notify,
            filters: request.filters,
            quiet: true,
            watch_id,
            listener,
        };
        if watch.replay(store, header) != Heard::Taken {
            return None;
        }
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

    /// Tells of the changes since a revision, in the order of the watches' beginnings.
    pub fn notify(&mut self, store: &Store, revision: i64, header: ResponseHeader) {
        if self.watches.is_empty() {
            return;
        }
        let changes: Vec<&Change> = store.changes_since(revision).collect();
        let mut near: Vec<(WatchId, usize)> = Vec::new();
        for (place, change) in changes.iter().enumerate() {
            let key = &change.kv.key;
            let in_range = self.ranges.iter().filter(|id| self.watches[id].keys.contains(key));
            let ids = self.by_key.get(key).into_iter().flatten().chain(in_range);
            near.extend(ids.map(|id| (*id, place)));
        }
        near.sort_unstable();
        // Most watches see the same as the one before: without and with the values that were there before.
        let mut shared: [Option<(Vec<usize>, Told)>; 2] = [None, None];
        for of_one in near.chunk_by(|(a, _), (b, _)| a == b) {
            let id = of_one[0].0;
            let Some(watch) = self.watches.get_mut(&id) else { continue };
            let places = of_one.iter().map(|(_, place)| *place).filter(|place| watch.wants(changes[*place]));
            let shared = &mut shared[usize::from(watch.prev_kv)];
            let told = match shared {
                Some((same, told)) if places.clone().eq(same.iter().copied()) => told,
                _ => {
                    let events = places.clone().map(|place| watch.event(store, changes[place]));
                    &shared.insert((places.clone().collect(), Told::from(events.collect::<Vec<_>>()))).1
                }
            };
            if told.events.is_empty() {
                continue;
            }
            watch.quiet = false;
            if watch.listener.hear(header, watch.watch_id, told) != Heard::Taken {
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
            let response = watch.response(header);
            watch.listener.note(WatchResponse { compact_revision, canceled: true, ..response });
        }
    }

    /// Tells the watches that asked for it, and had nothing to hear since the last round, how far the store is.
    pub fn notify_progress(&mut self, header: ResponseHeader) {
        for watch in self.watches.values_mut() {
            if std::mem::replace(&mut watch.quiet, true) && watch.progress_notify {
                watch.listener.note(watch.response(header));
            }
        }
    }
}

impl Watch {
    fn response(&self, header: ResponseHeader) -> WatchResponse {
        WatchResponse { header, watch_id: self.watch_id, ..WatchResponse::default() }
    }

    /// Tells of the past, as far as the listener takes it.
    fn replay(&self, store: &Store, header: ResponseHeader) -> Heard {
        let changes = store.changes_since(self.start_revision);
        let changes = changes.filter(|change| self.keys.contains(&change.kv.key) && self.wants(change));
        let changes: Vec<&Change> = changes.collect();
        for of_one in changes.chunk_by(|a, b| a.revision.main == b.revision.main) {
            let events: Vec<Event> = of_one.iter().map(|change| self.event(store, change)).collect();
            match self.listener.hear(header, self.watch_id, &Told::from(events)) {
                Heard::Taken => {}
                heard => return heard,
            }
        }
        Heard::Taken
    }

    /// Whether a change of its keys is to be told.
    fn wants(&self, change: &Change) -> bool {
        let filter = match change.kind {
            EventKind::Put => WatchFilter::NoPut,
            EventKind::Delete => WatchFilter::NoDelete,
        };
        change.revision.main >= self.start_revision && !self.filters.contains(&filter)
    }

    fn event(&self, store: &Store, change: &Change) -> Event {
        let prev_kv =
            self.prev_kv.then(|| store.key_at(&change.kv.key, change.revision.main - 1)).flatten().cloned();
        Event { kind: change.kind, kv: KeyValue::clone(&change.kv), prev_kv, cause: change.cause }
    }
}
