//! What a member keeps on its disk: a write-ahead log in segments, and a snapshot of the store. Counterpart of
//! `server/storage/wal` and `etcdserver/api/snap`; the files are named as there, their content is ours.
//!
//! - [`disk`]: files of bytes, of the world or (feature `grpc`) in a [`directory`].
//! - [`frame`]: a record's bytes: length and checksums, each chained to the record before.
//! - [`reader`]: segments back into a log; pure.
//! - [`writer`]: records at the end of the newest segment.
//! - [`snapshot`]: the file of a snapshot.
//! - [`fuzz`]: the readers under a fuzzer.
//!
//! Invariants: what was synced is read again or named as corrupt, never dropped and never served wrong. Only the
//! last segment may end in the midst of a record; that record was never acknowledged.

#[cfg(feature = "grpc")]
pub(crate) mod directory;
pub(crate) mod disk;
mod frame;
pub mod fuzz;
mod reader;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use disk::Disk;
pub(crate) use reader::{Replayed, Torn};
pub(crate) use writer::Wal;

use std::sync::Arc;

use labkit_sim::DiskError;
use serde::{Deserialize, Serialize};

use crate::raft::LogId;

/// Where the segments are, and the snapshots.
pub(crate) const SEGMENTS: &str = "member/wal/";
pub(crate) const SNAPSHOTS: &str = "member/snap/";

/// Why a member's files cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WalError {
    #[error("{file}: corrupt at byte {offset}: {what}")]
    Corrupt { file: String, offset: u64, what: &'static str },
    #[error("{attempt} {file}: {error}")]
    Io { attempt: &'static str, file: String, error: Arc<std::io::Error> },
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Whose files they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub member_id: u64,
    pub cluster_id: u64,
}

/// What a log holds, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub entries: usize,
    /// The index of the last entry, purged or not.
    pub last_index: Option<u64>,
    /// Bytes of a record that was not written to its end.
    pub torn_bytes: u64,
}

/// Reads the segments of a log, oldest first, by name and content. `None` when no member was ever founded on them.
pub fn read_segments(segments: Vec<(String, Vec<u8>)>) -> Result<Option<Summary>, WalError> {
    Ok(reader::replay(segments)?.map(|log| Summary {
        entries: log.entries.len(),
        last_index: log.entries.back().map(|entry| entry.log_id).or(log.purged).map(|id: LogId| id.index),
        torn_bytes: log.torn.map_or(0, |torn| torn.bytes),
    }))
}

/// Reads a snapshot's file down to the keys in it, and says how many versions of keys it has.
pub fn read_snapshot(name: &str, bytes: &[u8]) -> Result<usize, WalError> {
    snapshot::open(name, bytes).and_then(|snapshot| snapshot.dump()).map(|dump| dump.len())
}

/// The name of a segment: its number, and the index that its first entry has or would have.
fn segment_name(number: u64, index: u64) -> String {
    format!("{SEGMENTS}{number:016x}-{index:016x}.wal")
}

fn parse_name(name: &str, extension: &str) -> Option<(u64, u64)> {
    let stem = name.rsplit('/').next()?.strip_suffix(extension)?;
    let (first, second) = stem.split_once('-')?;
    let number = |text: &str| {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
    };
    Some((number(first)?, number(second)?))
}
