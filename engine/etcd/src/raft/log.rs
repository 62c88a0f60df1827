//! A member's log, vote and commit index on its disk. They survive a kill; an entry is on stable storage
//! before anyone is told of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use openraft::storage::{LogFlushed, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, LogState, OptionalSend, StorageError, StorageIOError, Vote};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Entry, LogId, Membership, Node, TypeConfig};
use crate::member::{Histogram, of_syncs};
use crate::wal::{Disk, Identity, Replayed, Torn, Wal, WalError};

/// A handle to a member's log. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    disk: Disk,
    inner: Arc<Mutex<Inner>>,
    gauges: Arc<Gauges>,
}

/// What others may know of a log without holding its disk.
#[derive(Debug)]
pub(crate) struct Gauges {
    commit_index: AtomicU64,
    /// How long its syncs took.
    pub syncs: Histogram,
    durable: watch::Sender<Durable>,
}

/// How far a log is on stable storage.
#[derive(Debug, Clone, Default)]
struct Durable {
    /// The index that the first entry has that is not.
    next: u64,
    failure: Option<WalError>,
}

impl Gauges {
    /// The index up to which the member knows the log to be committed.
    pub fn commit_index(&self) -> u64 {
        self.commit_index.load(Ordering::Relaxed)
    }

    /// Waits until the log is on stable storage up to that index; for ever, if the disk has failed.
    pub async fn wait_durable(&self, index: u64) {
        let mut durable = self.durable.subscribe();
        if durable.wait_for(|durable| durable.next > index).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns when a sync that nobody waited for has failed.
    pub async fn failure(&self) -> WalError {
        let mut durable = self.durable.subscribe();
        loop {
            if let Some(failure) = &durable.borrow_and_update().failure {
                return failure.clone();
            }
            if durable.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }
}

#[derive(Debug)]
struct Inner {
    wal: Wal,
    /// The entries on disk, from the one after the purged on.
    entries: VecDeque<Entry>,
    /// How often entries were taken back.
    truncations: u64,
    /// Whether the last membership that it has heard of has voters besides this member; see [`Log::sync_meanwhile`].
    has_peers: bool,
    /// The leader's entries go to the others while they are synced here.
    in_parallel: bool,
    is_syncing: bool,
}

/// What a member finds on its disk.
#[derive(Debug)]
pub(crate) struct Found {
    pub log: Log,
    /// A record that was not written to its end, and was cut off.
    pub torn: Option<Torn>,
}

impl Log {
    /// Reads what an earlier run of the member left on its disk, or begins a log there; see [`Log::resume`].
    pub async fn open(
        disk: Disk,
        identity: Identity,
        founders: Option<BTreeMap<u64, Node>>,
    ) -> Result<Found, WalError> {
        let opened = Wal::open(disk.clone()).await?;
        Log::resume(disk, opened, identity, founders).await
    }

    /// Goes on with what was read from the disk, or begins a log there. One of the founders of a cluster begins with
    /// the membership, as if it had been committed in term 1: so the first leader is elected in term 2, as in etcd.
    pub async fn resume(
        disk: Disk,
        opened: Option<(Wal, Replayed)>,
        identity: Identity,
        founders: Option<BTreeMap<u64, Node>>,
    ) -> Result<Found, WalError> {
        let (wal, entries, torn) = match opened {
            Some((wal, Replayed { entries, torn, .. })) => (wal, entries, torn),
            None => (Wal::create(disk.clone(), identity), VecDeque::new(), None),
        };
        let mut inner =
            Inner { entries, wal, truncations: 0, has_peers: false, in_parallel: false, is_syncing: false };
        let is_new =
            inner.entries.is_empty() && inner.wal.purged.is_none() && inner.wal.vote == Vote::default();
        if let Some(founders) = founders.filter(|_| is_new) {
            inner.found(founders);
        }
        inner.wal.write()?;
        disk.sync(&inner.wal.file()).await?;
        inner.note_membership();
        let commit_index = AtomicU64::new(inner.wal.committed.map_or(0, |id| id.index));
        let durable = watch::Sender::new(Durable { next: inner.next_index(), failure: None });
        let gauges = Arc::new(Gauges { commit_index, syncs: of_syncs(), durable });
        let log = Log { disk, inner: Arc::new(Mutex::new(inner)), gauges };
        Ok(Found { log, torn })
    }

    #[cfg(test)]
    pub fn set_segment_bytes_max(&self, bytes: usize) {
        self.locked().wal.set_segment_bytes_max(bytes);
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic happens under this lock")
    }

    /// Begins a new segment when the last one is full.
    async fn make_room(&self) -> Result<(), WalError> {
        let full = {
            let inner = self.locked();
            inner.wal.is_full().then(|| inner.wal.file())
        };
        if let Some(full) = full {
            self.sync(&full).await?;
            let mut inner = self.locked();
            let next = inner.next_index();
            inner.wal.begin_segment(next);
        }
        Ok(())
    }

    /// Writes what `change` records, and returns the file to be synced.
    fn write(&self, change: impl FnOnce(&mut Inner)) -> Result<String, WalError> {
        let mut inner = self.locked();
        change(&mut inner);
        inner.wal.write()?;
        Ok(inner.wal.file())
    }

    async fn write_through(&self, change: impl FnOnce(&mut Inner)) -> Result<(), WalError> {
        let file = self.write(change)?;
        self.sync(&file).await
    }

    /// Has the leader's entries go to the others while they are synced here, from now on. The membership is what the
    /// store knows, should the log have none.
    pub fn sync_in_parallel(&self, applied: &Membership) {
        let mut inner = self.locked();
        inner.in_parallel = true;
        if !inner.note_membership() {
            inner.has_peers = applied.membership().voter_ids().nth(1).is_some();
        }
    }

    /// Syncs what was written so far, and notes how far the log is durable.
    async fn sync_entries(&self) -> Result<(), WalError> {
        let (file, next, truncations) = {
            let inner = self.locked();
            (inner.wal.file(), inner.next_index(), inner.truncations)
        };
        self.sync(&file).await?;
        if self.locked().truncations == truncations {
            self.gauges.durable.send_if_modified(|durable| {
                let is_news = durable.next < next;
                durable.next = durable.next.max(next);
                is_news
            });
        }
        Ok(())
    }

    /// Syncs entries while Raft goes on. As soon as it has been told that they are written, Raft counts this member
    /// among those who have them, and that must not be before it is true: so who calls this holds back the others'
    /// answers until [`Gauges::wait_durable`], and it is not for a member that is a quorum alone.
    fn sync_meanwhile(&self) {
        if std::mem::replace(&mut self.locked().is_syncing, true) {
            return;
        }
        let log = self.clone();
        drop(labkit_sim::spawn(async move {
            loop {
                if let Err(failure) = log.sync_entries().await {
                    log.gauges.durable.send_modify(|durable| durable.failure = Some(failure));
                    return;
                }
                let mut inner = log.locked();
                if log.gauges.durable.borrow().next >= inner.next_index() {
                    inner.is_syncing = false;
                    return;
                }
            }
        }));
    }

    async fn sync(&self, file: &str) -> Result<(), WalError> {
        let began = Instant::now();
        self.disk.sync(file).await?;
        self.gauges.syncs.observe(began.elapsed());
        Ok(())
    }

    pub fn gauges(&self) -> Arc<Gauges> {
        self.gauges.clone()
    }
}

fn failed(error: WalError) -> StorageError<u64> {
    StorageIOError::write_logs(&error).into()
}

impl Inner {
    fn found(&mut self, founders: BTreeMap<u64, Node>) {
        let leader_id = openraft::CommittedLeaderId::new(1, 0);
        let voters = founders.keys().copied().collect();
        let membership = openraft::Membership::new(vec![voters], founders);
        let entry = Entry {
            log_id: LogId::new(leader_id, 0),
            payload: openraft::EntryPayload::Membership(membership),
        };
        self.wal.entry(&entry);
        self.wal.vote(Vote::new(1, 0));
        self.entries.push_back(entry);
    }

    /// Looks for the last membership; `false` when there is none.
    fn note_membership(&mut self) -> bool {
        let mut entries = self.entries.iter().rev();
        let last = entries.find_map(|entry| match &entry.payload {
            EntryPayload::Membership(membership) => Some(membership.voter_ids().nth(1).is_some()),
            EntryPayload::Blank | EntryPayload::Normal(_) => None,
        });
        self.has_peers = last.unwrap_or_default();
        last.is_some()
    }

    /// Whether these entries may be sent to the others before they are durable here: they are this member's own, as
    /// the leader, and others must have them, too, before they count.
    fn may_go_ahead(&self, entries: &[Entry]) -> bool {
        let vote = &self.wal.vote;
        let leads = vote.committed && vote.leader_id.voted_for == Some(self.wal.identity.member_id);
        let is_plain = |entry: &Entry| matches!(entry.payload, EntryPayload::Normal(_));
        self.in_parallel && self.has_peers && leads && entries.iter().all(is_plain)
    }

    fn first_index(&self) -> u64 {
        self.wal.purged.map_or(0, |purged| purged.index + 1)
    }

    fn next_index(&self) -> u64 {
        self.entries.back().map_or(self.first_index(), |last| last.log_id.index + 1)
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
        let last_log_id = inner.entries.back().map(|entry| entry.log_id).or(inner.wal.purged);
        Ok(LogState { last_purged_log_id: inner.wal.purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        let written = self.write_through(|inner| inner.wal.vote(*vote)).await;
        written.map_err(|error| StorageIOError::write_vote(&error).into())
    }

    /// The vote as Raft keeps it: term and whom it was given to. That the leader was known to have won is
    /// forgotten, so that a leader comes back as a follower, as etcd's does.
    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        let vote = self.locked().wal.vote;
        Ok((vote != Vote::default()).then_some(Vote { committed: false, ..vote }))
    }

    /// Not synced: what is lost of it, the leader tells again.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError<u64>> {
        self.gauges.commit_index.store(committed.map_or(0, |id| id.index), Ordering::Relaxed);
        self.write(|inner| inner.wal.committed(committed)).map(drop).map_err(failed)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError<u64>> {
        let inner = self.locked();
        // A torn tail may have taken entries along that were told to be committed, and are at a quorum.
        let last = inner.entries.back().map(|entry| entry.log_id).or(inner.wal.purged);
        Ok(inner.wal.committed.min(last))
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
        if let Some(failure) = &self.gauges.durable.borrow().failure {
            return Err(failed(failure.clone()));
        }
        self.make_room().await.map_err(failed)?;
        let entries: Vec<Entry> = entries.into_iter().collect();
        let goes_ahead = self.locked().may_go_ahead(&entries);
        let appended = |inner: &mut Inner| {
            for entry in entries {
                inner.wal.entry(&entry);
                if let EntryPayload::Membership(membership) = &entry.payload {
                    inner.has_peers = membership.voter_ids().nth(1).is_some();
                }
                inner.entries.push_back(entry);
            }
        };
        self.write(appended).map_err(failed)?;
        if goes_ahead {
            self.sync_meanwhile();
        } else {
            self.sync_entries().await.map_err(failed)?;
        }
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError<u64>> {
        let truncated = |inner: &mut Inner| {
            inner.wal.truncate(log_id.index);
            let kept = inner.position(log_id.index);
            inner.entries.truncate(kept);
            inner.truncations += 1;
            inner.note_membership();
        };
        self.write(truncated).map_err(failed)?;
        self.gauges.durable.send_modify(|durable| durable.next = durable.next.min(log_id.index));
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError<u64>> {
        let purged = |inner: &mut Inner| {
            let gone = inner.position(log_id.index + 1);
            inner.entries.drain(..gone);
            inner.wal.purge(log_id);
        };
        let file = self.write(purged).map_err(failed)?;
        if self.locked().wal.has_spent_segments() {
            self.sync(&file).await.map_err(failed)?;
            self.locked().wal.remove_spent_segments().map_err(failed)?;
        }
        Ok(())
    }
}
