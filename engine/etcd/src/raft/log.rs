//! A member's log, vote and commit index on its disk. They survive a kill; an entry is on stable storage
//! before anyone is told of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use labkit_sim::Disk;
use openraft::storage::{LogFlushed, RaftLogReader, RaftLogStorage};
use openraft::{LogState, OptionalSend, StorageError, StorageIOError, Vote};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Entry, LogId, Node, TypeConfig};

const LOG: &str = "member/wal";
const VOTE: &str = "member/vote";
const COMMITTED: &str = "member/committed";
const PURGED: &str = "member/purged";

/// A handle to a member's log. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    disk: Disk,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    /// The entries on disk, from the one after `purged` on.
    entries: VecDeque<Entry>,
    purged: Option<LogId>,
}

impl Log {
    /// Reads what an earlier run of the member left on its disk.
    pub fn open(disk: Disk) -> Log {
        let entries = disk.read(LOG).iter().map(decode).collect();
        let purged = read_one(&disk, PURGED);
        Log { disk, inner: Arc::new(Mutex::new(Inner { entries, purged })) }
    }

    /// Writes what every founder of a cluster begins with, unless the disk has it from an earlier run: the
    /// membership, as if it had been committed in term 1. So the first leader is elected in term 2, as in etcd.
    pub fn found(disk: &Disk, founders: BTreeMap<u64, Node>) {
        if !disk.read(VOTE).is_empty() {
            return;
        }
        let leader_id = openraft::CommittedLeaderId::new(1, 0);
        let voters = founders.keys().copied().collect();
        let membership = openraft::Membership::new(vec![voters], founders);
        let entry = Entry {
            log_id: LogId::new(leader_id, 0),
            payload: openraft::EntryPayload::Membership(membership),
        };
        // A disk that is full from the start shows at the first write.
        let _ = disk.replace(LOG, vec![encode(&entry)]);
        let _ = disk.replace(VOTE, vec![encode(&Vote::<u64>::new(1, 0))]);
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic happens under this lock")
    }

    fn write_one(&self, file: &str, value: &impl Serialize) -> Result<(), StorageError<u64>> {
        self.disk.replace(file, vec![encode(value)]).map_err(|error| StorageIOError::write(&error).into())
    }
}

pub(super) fn encode(value: &impl Serialize) -> Bytes {
    postcard::to_stdvec(value).expect("our own types can be written").into()
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &Bytes) -> T {
    postcard::from_bytes(bytes).expect("a disk holds what was written to it")
}

fn read_one<T: DeserializeOwned>(disk: &Disk, file: &str) -> Option<T> {
    disk.read(file).first().map(decode)
}

impl Inner {
    fn first_index(&self) -> u64 {
        self.purged.map_or(0, |purged| purged.index + 1)
    }

    /// Where in `entries` the entry of that index is, or would be.
    fn position(&self, index: u64) -> usize {
        usize::try_from(index.saturating_sub(self.first_index()))
            .unwrap_or(usize::MAX)
            .min(self.entries.len())
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError<u64>> {
        let inner = self.locked();
        let start = match range.start_bound() {
            Bound::Included(index) => inner.position(*index),
            Bound::Excluded(index) => inner.position(*index + 1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => inner.position(*index + 1),
            Bound::Excluded(index) => inner.position(*index),
            Bound::Unbounded => inner.entries.len(),
        };
        Ok(inner.entries.range(start..end.max(start)).cloned().collect())
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<u64>> {
        let inner = self.locked();
        let last_log_id = inner.entries.back().map(|entry| entry.log_id).or(inner.purged);
        Ok(LogState { last_purged_log_id: inner.purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        self.write_one(VOTE, vote)?;
        self.disk.sync(VOTE).await;
        Ok(())
    }

    /// The vote as Raft keeps it: term and whom it was given to. That the leader was known to have won is
    /// forgotten, so that a leader comes back as a follower, as etcd's does.
    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        let vote: Option<Vote<u64>> = read_one(&self.disk, VOTE);
        Ok(vote.map(|vote| Vote { committed: false, ..vote }))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError<u64>> {
        self.write_one(COMMITTED, &committed)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError<u64>> {
        Ok(read_one::<Option<LogId>>(&self.disk, COMMITTED).flatten())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        {
            let mut inner = self.locked();
            for entry in entries {
                self.disk.append(LOG, encode(&entry)).map_err(|error| StorageIOError::write_logs(&error))?;
                inner.entries.push_back(entry);
            }
        }
        self.disk.sync(LOG).await;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError<u64>> {
        let mut inner = self.locked();
        let kept = inner.position(log_id.index);
        inner.entries.truncate(kept);
        self.disk.truncate(LOG, kept);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError<u64>> {
        self.write_one(PURGED, &log_id)?;
        let mut inner = self.locked();
        let gone = inner.position(log_id.index + 1);
        inner.entries.drain(..gone);
        inner.purged = Some(log_id);
        let left = self.disk.read(LOG).split_off(gone);
        self.disk.replace(LOG, left).map_err(|error| StorageIOError::write_logs(&error).into())
    }
}
