//! The store: keys with their histories, the log of changes, and the leases that keys hang on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use labkit_sim::RecordId;
use serde::{Deserialize, Serialize};

use super::history::{History, Revision, Version};
use super::range::{Found, Keys, select};
use crate::admin::Admin;
use crate::api::{EventKind, KeyValue, RangeRequest};
use crate::error::EtcdError;
use crate::lease::Lessor;

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub revision: Revision,
    pub kind: EventKind,
    /// Of a deletion: the key and the revision of the deletion.
    pub kv: Arc<KeyValue>,
    /// A hint for the trace; not part of the state.
    #[serde(skip)]
    pub cause: Option<RecordId>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Store {
    keys: BTreeMap<Bytes, History>,
    /// What happened since the last compaction, for watches that begin in the past.
    changes: VecDeque<Change>,
    revision: i64,
    compact_revision: i64,
    /// Bytes in keys and values of all versions.
    bytes: usize,
    /// What `bytes` was at most since the last defragmentation: a file does not shrink by itself.
    bytes_peak: usize,
    pub leases: Lessor,
    pub admin: Admin,
}

/// What a snapshot carries.
#[derive(Serialize, Deserialize)]
pub(crate) struct Dump {
    revision: i64,
    compact_revision: i64,
    /// Every version of every key, by revision.
    changes: Vec<Change>,
    leases: Lessor,
    admin: Admin,
}

/// bbolt's page size, and what an empty etcd's file takes up.
const PAGE_BYTES: usize = 4096;
const EMPTY_BYTES: usize = 5 * PAGE_BYTES;
/// What a version costs beside its key and value: its revision, counters and lease.
const VERSION_BYTES: usize = 48;

impl Dump {
    /// How many versions of keys it has.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether a store could have written it.
    pub fn is_sound(&self) -> bool {
        let ascends = self.changes.is_sorted_by(|before, after| before.revision < after.revision);
        let last = self.changes.last().map_or(0, |change| change.revision.main);
        ascends && last <= self.revision && self.compact_revision <= self.revision
    }
}

impl Store {
    /// An empty store, at revision 1. `lease_ttl_min`, in seconds, is the least that a lease gets.
    pub fn new(lease_ttl_min: i64) -> Store {
        Store {
            keys: BTreeMap::new(),
            changes: VecDeque::new(),
            revision: 1,
            compact_revision: -1,
            bytes: 0,
            bytes_peak: 0,
            leases: Lessor::new(lease_ttl_min),
            admin: Admin::default(),
        }
    }

    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The oldest revision that can be read; -1 before the first compaction.
    pub fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// The size that the store's file would have.
    pub fn size_bytes(&self) -> i64 {
        file_bytes(self.bytes_peak)
    }

    /// How much of the file holds something.
    pub fn size_in_use_bytes(&self) -> i64 {
        file_bytes(self.bytes)
    }

    /// Gives back what compaction has freed.
    pub fn defragment(&mut self) {
        self.bytes_peak = self.bytes;
    }

    pub fn keys_count(&self) -> usize {
        self.keys.len()
    }

    /// Every version that is there, tombstones too, by revision.
    pub fn versions(&self) -> Vec<Change> {
        let mut changes: Vec<Change> =
            self.keys.iter().flat_map(|(key, history)| dump_key(key, history)).collect();
        changes.sort_by_key(|change| change.revision);
        changes
    }

    /// The key as it stood at `revision`, which is not checked against compaction.
    pub fn key_at(&self, key: &[u8], revision: i64) -> Option<&KeyValue> {
        self.keys.get(key)?.at(revision)
    }

    /// Reads as of the request's revision.
    pub fn range(&self, request: &RangeRequest) -> Result<Found, EtcdError> {
        self.range_of(request, self.revision)
    }

    /// Reads when `current` is the newest revision: within a write it is one more than the store's.
    pub(super) fn range_of(&self, request: &RangeRequest, current: i64) -> Result<Found, EtcdError> {
        let at = self.readable(request.revision, current)?;
        Ok(select(request, self.live(&Keys::new(&request.key, &request.range_end), at)))
    }

    pub(super) fn readable(&self, revision: i64, current: i64) -> Result<i64, EtcdError> {
        match revision {
            ..=0 => Ok(current),
            future if future > current => Err(EtcdError::FutureRevision),
            past if past < self.compact_revision => Err(EtcdError::Compacted),
            past => Ok(past),
        }
    }

    /// The keys of `keys` that existed at revision `at`, in order.
    pub(super) fn live(&self, keys: &Keys, at: i64) -> impl Iterator<Item = &KeyValue> {
        let bounds = keys.bounds();
        bounds
            .into_iter()
            .flat_map(|bounds| self.keys.range::<[u8], _>(bounds))
            .filter_map(move |(_, h)| h.at(at))
    }

    /// The changes from revision `from` on, in order.
    pub fn changes_since(&self, from: i64) -> impl Iterator<Item = &Change> {
        let start = self.changes.partition_point(|change| change.revision.main < from);
        self.changes.range(start..)
    }

    /// Begins a write: what is put or deleted in it becomes one new revision.
    pub fn write(&mut self, cause: Option<RecordId>) -> Write<'_> {
        Write { main: self.revision + 1, sub: 0, cause, store: self }
    }

    /// Forgets what only reads before `revision` could see.
    pub fn compact(&mut self, revision: i64) -> Result<(), EtcdError> {
        if revision <= self.compact_revision {
            return Err(EtcdError::Compacted);
        }
        if revision > self.revision {
            return Err(EtcdError::FutureRevision);
        }
        self.compact_revision = revision;
        let gone = self.changes.partition_point(|change| change.revision.main <= revision);
        let mut kept = Vec::new();
        for change in self.changes.drain(..gone) {
            let Some(history) = self.keys.get_mut(&change.kv.key) else { continue };
            for version in history.compact(revision) {
                self.bytes -= size_of_version(&change.kv.key, version.kv.as_deref());
            }
            if history.is_empty() {
                self.keys.remove(&change.kv.key);
            }
            // A watch may begin at the compacted revision itself; of that, what still exists is told.
            if change.revision.main == revision && change.kind == EventKind::Put {
                kept.push(change);
            }
        }
        kept.into_iter().rev().for_each(|change| self.changes.push_front(change));
        Ok(())
    }

    pub fn dump(&self) -> Dump {
        Dump {
            revision: self.revision,
            compact_revision: self.compact_revision,
            changes: self.versions(),
            leases: self.leases.clone(),
            admin: self.admin.clone(),
        }
    }

    /// How many versions there are.
    #[cfg(test)]
    pub fn dump_len(&self) -> usize {
        self.dump().len()
    }

    pub fn restore(dump: Dump) -> Store {
        let mut store = Store::new(0);
        store.leases = dump.leases;
        store.admin = dump.admin;
        for change in dump.changes {
            store.record(change);
        }
        store.revision = dump.revision;
        store.compact_revision = dump.compact_revision;
        let gone = store.changes.partition_point(|change| change.revision.main < dump.compact_revision);
        store.changes.drain(..gone);
        store
    }

    fn record(&mut self, change: Change) {
        let kv = (change.kind == EventKind::Put).then(|| change.kv.clone());
        self.bytes += size_of_version(&change.kv.key, kv.as_deref());
        self.bytes_peak = self.bytes_peak.max(self.bytes);
        let version = Version { revision: change.revision, kv };
        match self.keys.get_mut(&change.kv.key) {
            Some(history) => history.push(version),
            None => self.keys.entry(change.kv.key.clone()).or_default().push(version),
        }
        self.changes.push_back(change);
    }
}

fn file_bytes(bytes: usize) -> i64 {
    i64::try_from(EMPTY_BYTES + bytes.div_ceil(PAGE_BYTES) * PAGE_BYTES).unwrap_or(i64::MAX)
}

fn size_of_version(key: &Bytes, kv: Option<&KeyValue>) -> usize {
    VERSION_BYTES + key.len() + kv.map_or(0, |kv| kv.value.len())
}

fn dump_key<'a>(key: &'a Bytes, history: &'a History) -> impl Iterator<Item = Change> + 'a {
    history.versions().iter().map(|version| Change {
        revision: version.revision,
        kind: if version.kv.is_some() { EventKind::Put } else { EventKind::Delete },
        kv: version.kv.clone().unwrap_or_else(|| tombstone(key.clone(), version.revision.main).into()),
        cause: None,
    })
}

fn tombstone(key: Bytes, mod_revision: i64) -> KeyValue {
    KeyValue { key, mod_revision, ..KeyValue::default() }
}

/// A write under way.
pub(crate) struct Write<'a> {
    pub store: &'a mut Store,
    main: i64,
    sub: i64,
    cause: Option<RecordId>,
}

impl Write<'_> {
    /// The newest revision as seen from within: the new one as soon as something was written.
    pub fn revision(&self) -> i64 {
        if self.sub > 0 { self.main } else { self.store.revision }
    }

    pub fn get(&self, key: &[u8]) -> Option<&KeyValue> {
        self.store.key_at(key, self.main)
    }

    pub fn put(&mut self, key: Bytes, value: Bytes, lease: i64) {
        let before = self.get(&key);
        let created = before.map_or(self.main, |kv| kv.create_revision);
        let version = before.map_or(0, |kv| kv.version) + 1;
        let lease_before = before.map_or(0, |kv| kv.lease);
        self.store.leases.detach(lease_before, &key);
        self.store.leases.attach(lease, &key);
        let kv = KeyValue { key, create_revision: created, mod_revision: self.main, version, value, lease };
        self.change(EventKind::Put, kv);
    }

    /// Deletes a key, which must exist.
    pub fn delete(&mut self, key: Bytes) {
        let lease = self.get(&key).map_or(0, |kv| kv.lease);
        self.store.leases.detach(lease, &key);
        let kv = tombstone(key, self.main);
        self.change(EventKind::Delete, kv);
    }

    fn change(&mut self, kind: EventKind, kv: KeyValue) {
        let revision = Revision { main: self.main, sub: self.sub };
        self.sub += 1;
        self.store.record(Change { revision, kind, kv: kv.into(), cause: self.cause });
    }

    /// Ends the write and returns the store's revision after it.
    pub fn end(self) -> i64 {
        if self.sub > 0 {
            self.store.revision = self.main;
        }
        self.store.revision
    }
}
