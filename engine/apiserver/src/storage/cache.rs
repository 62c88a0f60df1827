//! The watch cache of one kind: the present objects and the last changes, kept by one watch of etcd.
//! Counterpart: `k8s.io/apiserver/pkg/storage/cacher`.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use labkit_api::{Object, Status};
use labkit_etcd::{Code, EtcdError, EventKind, KeyValue, RangeRequest, WatchRequest, WatchResponse};
use labkit_sim::Clock;
use tokio::sync::Notify;

use crate::storage::window::{Change, Gone, Window};
use crate::storage::{Entry, Store, error};

/// How long a reader waits for a revision that is still to come.
const FUTURE_TIMEOUT: Duration = Duration::from_secs(3);

/// The pause before the collection is listed anew.
const RELIST_PAUSE: Duration = Duration::from_secs(1);

/// That many objects of a kind are kept decoded, the last ones that were written; all of them in a collection that
/// has no more than half as many.
const WARM_MAX: usize = 256;

#[derive(Debug)]
pub(crate) struct Cache {
    /// `/registry/pods/`
    prefix: String,
    clock: Clock,
    state: Mutex<State>,
    /// Whether someone runs it.
    is_running: AtomicBool,
    /// Wakes whoever waits for a change.
    moved: Notify,
    /// Stops whoever runs it.
    closing: Notify,
}

#[derive(Debug)]
struct State {
    /// How often the collection was listed; 0 before the first time. Watches of an older listing end.
    listing: u64,
    objects: BTreeMap<Arc<str>, Arc<Entry>>,
    /// The entries that are decoded, in the order in which they came.
    warm: VecDeque<Arc<Entry>>,
    window: Window,
    /// Everything up to here is in.
    revision: i64,
    /// What this server writes, by key, until etcd answers or the watch brings it back, whichever comes first.
    writing: BTreeMap<String, Writing>,
    /// What it wrote, by revision, until the watch brings it back. It need not be decoded again.
    written: BTreeMap<i64, Arc<Entry>>,
}

/// A write whose revision is not known yet.
#[derive(Debug)]
struct Writing {
    value: Bytes,
    object: Object,
}

/// A place in the changes of one listing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    listing: u64,
    number: u64,
}

impl State {
    fn listed(listing: u64, objects: BTreeMap<Arc<str>, Arc<Entry>>, revision: i64) -> State {
        let window = Window::since(revision);
        let warm = objects.values().take(WARM_MAX).cloned().collect();
        let (writing, written) = (BTreeMap::new(), BTreeMap::new());
        State { listing, objects, warm, window, revision, writing, written }
    }

    /// Keeps an entry decoded for a while, in the place of the one that was longest.
    fn keep_warm(&mut self, entry: Arc<Entry>) {
        self.warm.push_back(entry);
        let keeps_present = self.objects.len() <= WARM_MAX / 2;
        while self.warm.len() > WARM_MAX {
            let oldest = self.warm.pop_front().expect("it is not empty");
            if keeps_present && !oldest.is_past() {
                self.warm.push_back(oldest);
            } else {
                oldest.cool();
            }
        }
    }

    /// What is being written at that key, if it is this value.
    fn take_writing(&mut self, key: &str, value: &Bytes) -> Option<Object> {
        self.writing.get(key).filter(|writing| writing.value == *value)?;
        self.writing.remove(key).map(|writing| writing.object)
    }

    /// What the watch brings back, if this server wrote it. Older writes were brought back or will never be.
    fn own(&mut self, key: &str, kv: &KeyValue) -> Option<Arc<Entry>> {
        self.written = self.written.split_off(&kv.mod_revision);
        self.written.remove(&kv.mod_revision).or_else(|| {
            let object = self.take_writing(key, &kv.value)?;
            Some(Arc::new(Entry::of(object, kv.value.clone(), kv.mod_revision)))
        })
    }
}

impl Cache {
    pub fn new(prefix: String, clock: Clock) -> Cache {
        let state = State::listed(0, BTreeMap::new(), 0);
        Cache {
            prefix,
            clock,
            state: Mutex::new(state),
            is_running: AtomicBool::new(false),
            moved: Notify::new(),
            closing: Notify::new(),
        }
    }

    /// Whether the caller is the first one here, who has to [`Cache::run`] it.
    pub fn starts(&self) -> bool {
        !self.is_running.swap(true, Ordering::Relaxed)
    }

    /// Whether it was ever run.
    pub fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Relaxed)
    }

    /// Ends it: whoever runs it stops, and watches of it end.
    pub fn close(&self) {
        self.locked().listing += 1;
        self.moved.notify_waiters();
        self.closing.notify_one();
    }

    /// Keeps the cache up to date for as long as it is polled, and until it is closed.
    pub async fn run(&self, store: Store) {
        tokio::select! {
            biased;
            () = self.closing.notified() => {}
            () = self.follow(store) => {}
        }
    }

    async fn follow(&self, store: Store) {
        loop {
            let ended = self.list_and_watch(&store).await;
            debug_assert!(ended.is_err(), "a watch ends with an error");
            tokio::time::sleep(RELIST_PAUSE).await;
        }
    }

    async fn list_and_watch(&self, store: &Store) -> Result<(), EtcdError> {
        let list = store.range(RangeRequest::prefix(self.prefix.clone())).await?;
        let mut objects: BTreeMap<Arc<str>, Arc<Entry>> = BTreeMap::new();
        for kv in &list.kvs {
            let Ok(entry) = Entry::decode(kv) else { continue };
            if objects.len() >= WARM_MAX {
                entry.cool();
            }
            objects.insert(self.relative(kv), entry);
        }
        let revision = list.header.revision;
        {
            let mut state = self.locked();
            *state = State::listed(state.listing + 1, objects, revision);
        }
        self.moved.notify_waiters();
        let request = WatchRequest {
            start_revision: revision + 1,
            progress_notify: true,
            ..WatchRequest::prefix(self.prefix.clone())
        };
        let mut watcher = store.etcd().watch(request).await?;
        while let Some(response) = watcher.next().await {
            let response = response?;
            if response.canceled {
                return Err(EtcdError::Compacted);
            }
            self.apply(&response);
        }
        Err(EtcdError::ConnectionLost)
    }

    fn apply(&self, response: &WatchResponse) {
        {
            let mut state = self.locked();
            for event in &response.events {
                let key = self.relative(&event.kv);
                let previous = state.objects.get(&key).cloned();
                let entry = match event.kind {
                    EventKind::Put => state.own(&key, &event.kv).or_else(|| Entry::decode(&event.kv).ok()),
                    EventKind::Delete => {
                        previous.as_ref().map(|last| Arc::new(last.at(event.kv.mod_revision)))
                    }
                };
                state.revision = state.revision.max(event.kv.mod_revision);
                let Some(entry) = entry else { continue };
                let is_deletion = event.kind == EventKind::Delete;
                match is_deletion {
                    true => {
                        entry.set_past();
                        state.objects.remove(&key)
                    }
                    false => state.objects.insert(key.clone(), entry.clone()),
                };
                if let Some(previous) = &previous {
                    previous.set_past();
                }
                state.keep_warm(entry.clone());
                let at = self.clock.elapsed();
                state.window.push(Change::new(key, entry, is_deletion, previous, event.cause, at));
            }
            if response.events.is_empty() && !response.created {
                state.revision = state.revision.max(response.header.revision);
            }
        }
        self.moved.notify_waiters();
    }

    /// Remembers what this server is about to write.
    pub fn writing(&self, key: &str, value: Bytes, object: Object) {
        self.locked().writing.insert(key.to_owned(), Writing { value, object });
    }

    /// What this server just wrote. A revision writes one key.
    pub fn wrote(&self, key: &str, value: &Bytes, revision: i64) -> Result<Arc<Entry>, Status> {
        let mut state = self.locked();
        if let Some(object) = state.take_writing(key, value) {
            let entry = Arc::new(Entry::of(object, value.clone(), revision));
            if state.listing > 0 && revision > state.revision {
                state.written.insert(revision, entry.clone());
            }
            return Ok(entry);
        }
        let known = state.objects.get(key).filter(|entry| entry.revision == revision);
        known.map_or_else(|| Entry::read(key, value, revision), |entry| Ok(entry.clone()))
    }

    /// Forgets what this server could not write.
    pub fn did_not_write(&self, key: &str, value: &Bytes) {
        self.locked().take_writing(key, value);
    }

    /// `/registry/pods/default/web`
    pub fn full_key(&self, key: &str) -> Bytes {
        Bytes::from(format!("{}{key}", self.prefix))
    }

    /// Waits until the collection was listed for the first time.
    pub async fn synced(&self) {
        self.until(|state| state.listing > 0).await;
    }

    async fn until(&self, is_there: impl Fn(&State) -> bool) {
        loop {
            let moved = self.moved.notified();
            if is_there(&self.locked()) {
                return;
            }
            moved.await;
        }
    }

    /// Waits a little for a revision; refuses one that does not come.
    pub async fn reached(&self, revision: i64) -> Result<(), Status> {
        let arrived =
            tokio::time::timeout(FUTURE_TIMEOUT, self.until(|state| state.revision >= revision)).await;
        arrived.map_err(|_| error::too_large_resource_version(revision, self.revision()))
    }

    /// Everything up to this revision is in.
    pub fn revision(&self) -> i64 {
        self.locked().revision
    }

    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.locked().objects.get(key).cloned()
    }

    /// The objects whose keys begin with `prefix` (a namespace and a slash, or nothing), in the order of keys,
    /// with the revision of this state and the place at which its changes go on.
    pub fn snapshot(&self, prefix: &str) -> (Vec<Arc<Entry>>, i64, Cursor) {
        let state = self.locked();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let objects = state.objects.range::<str, _>(from).take_while(|(key, _)| key.starts_with(prefix));
        let objects = objects.map(|(_, entry)| entry.clone()).collect();
        let cursor = Cursor { listing: state.listing, number: state.window.end() };
        (objects, state.revision, cursor)
    }

    /// Changes with every change of the objects.
    pub fn stamp(&self) -> (u64, u64) {
        let state = self.locked();
        (state.listing, state.window.end())
    }

    /// The place after the changes up to `revision`.
    pub fn cursor_after(&self, revision: i64) -> Result<Cursor, Status> {
        let state = self.locked();
        match state.window.cursor_after(revision) {
            Ok(number) => Ok(Cursor { listing: state.listing, number }),
            Err(oldest) => Err(error::too_old_resource_version(revision, oldest)),
        }
    }

    /// The change at the cursor, which moves on; `None` where there is none yet. `Gone`: the reader was too
    /// slow, or the collection was listed anew.
    pub fn next(&self, cursor: &mut Cursor) -> Result<Option<Arc<Change>>, Gone> {
        let state = self.locked();
        if state.listing != cursor.listing {
            return Err(Gone);
        }
        let change = state.window.get(cursor.number)?;
        cursor.number += u64::from(change.is_some());
        Ok(change)
    }

    /// To be made before the cache is read, so that no change is missed.
    pub fn moved(&self) -> tokio::sync::futures::Notified<'_> {
        self.moved.notified()
    }

    /// A key-value of this kind as an entry; the one that is here if it is the same version.
    pub fn decode(&self, kv: &KeyValue) -> Result<Arc<Entry>, Status> {
        let known = self.get(&self.relative(kv)).filter(|entry| entry.revision == kv.mod_revision);
        known.map_or_else(|| Entry::decode(kv), Ok)
    }

    /// The same for many.
    pub fn decode_all(&self, kvs: &[KeyValue]) -> Result<Vec<Arc<Entry>>, Status> {
        let known: Vec<Option<Arc<Entry>>> = {
            let state = self.locked();
            let find = |kv: &KeyValue| {
                let key = std::str::from_utf8(&kv.key[self.prefix.len().min(kv.key.len())..]).ok()?;
                state.objects.get(key).filter(|entry| entry.revision == kv.mod_revision).cloned()
            };
            kvs.iter().map(find).collect()
        };
        let mut warm = WARM_MAX;
        let decode = |(known, kv): (Option<Arc<Entry>>, &KeyValue)| {
            known.map_or_else(
                || {
                    let entry = Entry::decode(kv)?;
                    match warm.checked_sub(1) {
                        Some(left) => warm = left,
                        None => entry.cool(),
                    }
                    Ok(entry)
                },
                Ok,
            )
        };
        known.into_iter().zip(kvs).map(decode).collect()
    }

    fn relative(&self, kv: &KeyValue) -> Arc<str> {
        String::from_utf8_lossy(&kv.key[self.prefix.len().min(kv.key.len())..]).into()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic happens under this lock")
    }
}

/// Whether a list failed because its revision is compacted away.
pub(crate) fn is_compacted(error: &EtcdError) -> bool {
    error.code() == Code::OutOfRange && *error == EtcdError::Compacted
}
