//! Records at the end of the newest segment. What is written is durable when the segment was synced.

use std::collections::VecDeque;

use bytes::Bytes;
use openraft::{EntryPayload, Vote};
use serde::{Deserialize, Serialize};

use super::reader::{Replayed, replay};
use super::{Disk, Identity, SEGMENTS, WalError, frame, segment_name};
use crate::api::RequestOp;
use crate::raft::{Command, Entry, LogId};

/// A segment that has grown to this is the last no more (`SegmentSizeBytes`).
pub(super) const SEGMENT_BYTES: usize = 64 * 1000 * 1000;

/// Values from this size on are shared with a disk that is memory.
const SHARED_BYTES_MIN: usize = 256;

/// What a record is, its body's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head = 1,
    Entry = 2,
    Vote = 3,
    Committed = 4,
    /// The entries from that index on are void.
    Truncate = 5,
    /// The entries up to that one are in the snapshot.
    Purge = 6,
}

impl Kind {
    /// The kind and the content of a record's body.
    pub fn of(body: &[u8]) -> Option<(Kind, &[u8])> {
        use Kind::*;
        let (first, content) = body.split_first()?;
        let kind =
            [Head, Entry, Vote, Committed, Truncate, Purge].into_iter().find(|kind| *kind as u8 == *first);
        kind.map(|kind| (kind, content))
    }
}

/// A segment's first record: all that the segments before it have said, but for the entries, so that these segments
/// can go as soon as their entries are not needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub identity: Identity,
    /// The last checksum of the segment before.
    pub chain: u32,
    /// The index that the segment's first entry has or would have.
    pub next: u64,
    pub vote: Vote<u64>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
}

/// The end of a member's log.
#[derive(Debug)]
pub(crate) struct Wal {
    disk: Disk,
    pub identity: Identity,
    segment_bytes_max: usize,
    segments: VecDeque<(u64, u64)>,
    /// Bytes in the last segment.
    length: usize,
    chain: u32,
    /// Records that are not on the disk yet.
    unwritten: Vec<u8>,
    /// The values among them that the store holds anyway, by their offsets.
    held: Vec<(usize, Bytes)>,
    pub vote: Vote<u64>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
}

impl Wal {
    /// Reads what an earlier run of the member left on its disk; `None` when there was none. A torn tail is cut off.
    pub async fn open(disk: Disk) -> Result<Option<(Wal, Replayed)>, WalError> {
        let mut segments = Vec::new();
        for file in disk.files(SEGMENTS)? {
            let bytes = disk.read(&file).await?;
            segments.push((file, bytes));
        }
        let Some(mut log) = replay(segments)? else {
            for file in disk.files(SEGMENTS)? {
                disk.remove(&file)?;
            }
            return Ok(None);
        };
        match &log.torn {
            Some(torn) if torn.offset == 0 => disk.remove(&torn.file)?,
            Some(torn) => {
                disk.truncate(&torn.file, usize::try_from(torn.offset).unwrap_or(usize::MAX)).await?
            }
            None => {}
        }
        let wal = Wal {
            disk,
            identity: log.identity,
            segment_bytes_max: SEGMENT_BYTES,
            segments: std::mem::take(&mut log.segments),
            length: log.length,
            chain: log.chain,
            unwritten: Vec::new(),
            held: Vec::new(),
            vote: log.vote,
            committed: log.committed,
            purged: log.purged,
        };
        Ok(Some((wal, log)))
    }

    /// Begins a log. It is on the disk when [`Wal::write`] was called, and durable when that was synced.
    pub fn create(disk: Disk, identity: Identity) -> Wal {
        let mut wal = Wal {
            disk,
            identity,
            segment_bytes_max: SEGMENT_BYTES,
            segments: VecDeque::new(),
            length: 0,
            chain: 0,
            unwritten: Vec::new(),
            held: Vec::new(),
            vote: Vote::default(),
            committed: None,
            purged: None,
        };
        wal.begin_segment(0);
        wal
    }

    #[cfg(test)]
    pub fn set_segment_bytes_max(&mut self, bytes: usize) {
        self.segment_bytes_max = bytes;
    }

    /// The segment that is written to.
    pub fn file(&self) -> String {
        let (number, index) = *self.segments.back().expect("a log has a segment");
        segment_name(number, index)
    }

    /// Whether the next entries belong into a new segment.
    pub fn is_full(&self) -> bool {
        self.length >= self.segment_bytes_max
    }

    /// Begins a new segment; the entry of index `next` comes next. The last one must have been synced.
    pub fn begin_segment(&mut self, next: u64) {
        debug_assert!(self.unwritten.is_empty(), "what belongs to the last segment was written to it");
        let number = self.segments.back().map_or(0, |(number, _)| number + 1);
        let Wal { identity, chain, vote, committed, purged, .. } = *self;
        self.segments.push_back((number, next));
        (self.length, self.chain) = (0, 0);
        self.record(Kind::Head, &Head { identity, chain, next, vote, committed, purged });
    }

    pub fn entry(&mut self, entry: &Entry) {
        let mut from = self.unwritten.len();
        self.record(Kind::Entry, entry);
        if !self.disk.is_simulated() {
            return;
        }
        for value in large_values(entry) {
            let Some(at) = find(&self.unwritten[from..], value) else { continue };
            self.held.push((from + at, value.clone()));
            from += at + value.len();
        }
    }

    pub fn vote(&mut self, vote: Vote<u64>) {
        self.vote = vote;
        self.record(Kind::Vote, &vote);
    }

    pub fn committed(&mut self, committed: Option<LogId>) {
        self.committed = committed;
        self.record(Kind::Committed, &committed);
    }

    pub fn truncate(&mut self, from: u64) {
        self.record(Kind::Truncate, &from);
    }

    pub fn purge(&mut self, upto: LogId) {
        self.purged = Some(upto);
        self.record(Kind::Purge, &upto);
    }

    fn record(&mut self, kind: Kind, content: &impl Serialize) {
        let before = self.unwritten.len();
        self.chain = frame::write(&mut self.unwritten, self.chain, |out| {
            out.push(kind as u8);
            let whole = postcard::to_extend(content, std::mem::take(out));
            *out = whole.expect("our own types can be written");
        });
        self.length += self.unwritten.len() - before;
    }

    /// Hands the records over to the disk, at once.
    pub fn write(&mut self) -> Result<(), WalError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.disk.append(&self.file(), &self.unwritten, &self.held)?;
        self.unwritten.clear();
        self.held.clear();
        Ok(())
    }

    /// Whether there are segments of which nothing is needed any more.
    pub fn has_spent_segments(&self) -> bool {
        let first = self.purged.map_or(0, |purged| purged.index + 1);
        self.segments.get(1).is_some_and(|(_, index)| *index <= first)
    }

    /// Removes them. What made them so must have been synced.
    pub fn remove_spent_segments(&mut self) -> Result<(), WalError> {
        while self.has_spent_segments()
            && let Some((number, index)) = self.segments.pop_front()
        {
            self.disk.remove(&segment_name(number, index))?;
        }
        Ok(())
    }
}

/// What an entry puts, as far as it is worth sharing, in the order in which it is written.
fn large_values(entry: &Entry) -> impl Iterator<Item = &Bytes> {
    let proposals = match &entry.payload {
        EntryPayload::Normal(proposals) => proposals.as_slice(),
        EntryPayload::Blank | EntryPayload::Membership(_) => &[],
    };
    fn put(op: &RequestOp) -> Option<&Bytes> {
        match op {
            RequestOp::Put(put) => Some(&put.value),
            RequestOp::Range(_) | RequestOp::DeleteRange(_) | RequestOp::Txn(_) => None,
        }
    }
    let values = proposals.iter().flat_map(move |proposal| {
        let (alone, among) = match &proposal.command {
            Command::Put(put) => (Some(&put.value), [].as_slice()),
            Command::Txn(txn) => (None, txn.success.as_slice()),
            _ => (None, [].as_slice()),
        };
        alone.into_iter().chain(among.iter().filter_map(put))
    });
    values.filter(|value| value.len() >= SHARED_BYTES_MIN)
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window[0] == part[0] && window == part)
}
