//! The file of a snapshot: `magic | checksum of the rest | length of the meta data u32 | meta data | store`.

use openraft::SnapshotMeta;

use super::{Disk, SNAPSHOTS, WalError, parse_name};
use crate::mvcc::store::Dump;
use crate::raft::Node;

pub(crate) type Meta = SnapshotMeta<u64, Node>;

const MAGIC: &[u8; 8] = b"LABSNAP1";
const CHECKED_FROM: usize = 12;
const META_FROM: usize = 16;

/// A snapshot as it was read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    file: String,
    pub meta: Meta,
    /// The store, see [`Snapshot::dump`].
    pub data: Vec<u8>,
}

impl Snapshot {
    pub fn dump(&self) -> Result<Dump, WalError> {
        dump_of(&self.data, &self.file)
    }
}

/// The store that a snapshot carries; `file` is for the error.
pub(crate) fn dump_of(data: &[u8], file: &str) -> Result<Dump, WalError> {
    let what = "the store cannot be read";
    let corrupt = || WalError::Corrupt { file: file.to_owned(), offset: META_FROM as u64, what };
    postcard::from_bytes(data).ok().filter(Dump::is_sound).ok_or_else(corrupt)
}

/// The newest snapshot on the disk.
pub(crate) async fn newest(disk: &Disk) -> Result<Option<Snapshot>, WalError> {
    let files = disk.files(SNAPSHOTS)?;
    let Some(file) = files.iter().rev().find(|file| parse_name(file, ".snap").is_some()) else {
        return Ok(None);
    };
    open(file, &disk.read(file).await?).map(Some)
}

/// Puts a snapshot in the place of all that are there.
pub(crate) async fn store(disk: &Disk, meta: &Meta, data: &[u8]) -> Result<(), WalError> {
    let (term, index) = meta.last_log_id.map_or((0, 0), |id| (id.leader_id.term, id.index));
    let file = format!("{SNAPSHOTS}{term:016x}-{index:016x}.snap");
    disk.replace(&file, close(meta, data)).await?;
    for old in disk.files(SNAPSHOTS)?.into_iter().filter(|old| *old != file) {
        disk.remove(&old)?;
    }
    Ok(())
}

pub(super) fn close(meta: &Meta, data: &[u8]) -> Vec<u8> {
    let meta = postcard::to_stdvec(meta).expect("our own types can be written");
    let length = u32::try_from(meta.len()).expect("the members are few");
    seal(&[&length.to_le_bytes()[..], &meta, data].concat())
}

/// Puts magic and checksum before the rest.
pub(super) fn seal(rest: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &crc32c::crc32c(rest).to_le_bytes(), rest].concat()
}

pub(super) fn open(file: &str, bytes: &[u8]) -> Result<Snapshot, WalError> {
    let corrupt =
        |offset: usize, what| WalError::Corrupt { file: file.to_owned(), offset: offset as u64, what };
    let rest = bytes.strip_prefix(MAGIC).ok_or(corrupt(0, "this is no snapshot"))?;
    let (checksum, checked) =
        rest.split_first_chunk().ok_or(corrupt(bytes.len(), "the snapshot is cut short"))?;
    if crc32c::crc32c(checked) != u32::from_le_bytes(*checksum) {
        return Err(corrupt(CHECKED_FROM, "the checksum does not match"));
    }
    let (length, rest) =
        checked.split_first_chunk().ok_or(corrupt(bytes.len(), "the snapshot is cut short"))?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let unreadable = || corrupt(META_FROM, "the meta data cannot be read");
    let (meta, data) = rest.split_at_checked(length).ok_or_else(unreadable)?;
    let meta = postcard::from_bytes(meta).map_err(|_| unreadable())?;
    Ok(Snapshot { file: file.to_owned(), meta, data: data.to_vec() })
}
