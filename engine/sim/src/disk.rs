//! Disks of components: files of bytes. What was appended survives a kill of the process. A power loss drops what
//! was not synced, and may leave the beginning of it behind, torn at any byte. Large parts that the process keeps in
//! memory anyway are not there twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

/// Why a write failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("write {file}: no space left on device")]
    NoSpace { file: String },
}

/// A handle to one disk. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, File>,
    sync_delay: Duration,
    full: bool,
}

#[derive(Debug, Default)]
struct File {
    /// The content without the parts that are shared.
    own: Vec<u8>,
    /// In the order of the content.
    shared: Vec<Shared>,
    length: usize,
    /// How many bytes from the front are on stable storage.
    synced: usize,
}

/// A part of a file that its writer holds, too.
#[derive(Debug)]
struct Shared {
    /// Where it begins in the content.
    at: usize,
    bytes: Bytes,
}

impl Shared {
    fn end(&self) -> usize {
        self.at + self.bytes.len()
    }
}

impl File {
    fn append(&mut self, bytes: &[u8], shared: &[(usize, Bytes)]) {
        let mut from = 0;
        for (at, part) in shared {
            debug_assert_eq!(bytes[*at..][..part.len()], **part, "it is a part of what is appended");
            self.own.extend_from_slice(&bytes[from..*at]);
            self.shared.push(Shared { at: self.length + at, bytes: part.clone() });
            from = at + part.len();
        }
        self.own.extend_from_slice(&bytes[from..]);
        self.length += bytes.len();
    }

    fn content(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.length);
        let mut rest = &self.own[..];
        for shared in &self.shared {
            let (before, after) = rest.split_at(shared.at - content.len());
            content.extend_from_slice(before);
            content.extend_from_slice(&shared.bytes);
            rest = after;
        }
        content.extend_from_slice(rest);
        content
    }

    fn truncate(&mut self, length: usize) {
        while let Some(last) = self.shared.last_mut().filter(|last| last.end() > length) {
            if last.at < length {
                last.bytes.truncate(length - last.at);
                break;
            }
            self.shared.pop();
        }
        self.length = self.length.min(length);
        self.synced = self.synced.min(length);
        self.own.truncate(self.length - self.shared.iter().map(|shared| shared.bytes.len()).sum::<usize>());
    }

    /// Turns a bit of a byte round. Who shares that byte keeps it as it was.
    fn flip(&mut self, offset: usize) -> bool {
        const BIT: u8 = 0x10;
        if offset >= self.length {
            return false;
        }
        let mut before = 0;
        for shared in self.shared.iter_mut().take_while(|shared| shared.at <= offset) {
            if offset < shared.end() {
                let mut flipped = shared.bytes.to_vec();
                flipped[offset - shared.at] ^= BIT;
                shared.bytes = flipped.into();
                return true;
            }
            before += shared.bytes.len();
        }
        self.own[offset - before] ^= BIT;
        true
    }
}

impl Disk {
    /// Appends to a file. It is not durable before [`Disk::sync`].
    pub fn append(&self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.append_shared(file, bytes, &[])
    }

    /// Appends bytes of which the caller keeps some parts in memory, told with their offsets and in their order.
    pub fn append_shared(
        &self,
        file: &str,
        bytes: &[u8],
        shared: &[(usize, Bytes)],
    ) -> Result<(), DiskError> {
        let mut inner = self.locked();
        if inner.full {
            return Err(DiskError::NoSpace { file: file.to_owned() });
        }
        match inner.files.get_mut(file) {
            Some(file) => file.append(bytes, shared),
            None => inner.files.entry(file.to_owned()).or_default().append(bytes, shared),
        }
        Ok(())
    }

    /// Makes all that was appended durable. Takes as long as the disk is slow.
    pub async fn sync(&self, file: &str) {
        let (delay, appended) = {
            let inner = self.locked();
            (inner.sync_delay, inner.files.get(file).map_or(0, |file| file.length))
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if let Some(file) = self.locked().files.get_mut(file) {
            file.synced = file.synced.max(appended.min(file.length));
        }
    }

    /// Replaces a file's content at once and durably, as write-then-rename does.
    pub fn replace(&self, file: &str, bytes: Vec<u8>) -> Result<(), DiskError> {
        let mut inner = self.locked();
        if inner.full {
            return Err(DiskError::NoSpace { file: file.to_owned() });
        }
        let length = bytes.len();
        let replaced = File { own: bytes, shared: Vec::new(), length, synced: length };
        inner.files.insert(file.to_owned(), replaced);
        Ok(())
    }

    /// Keeps the first `length` bytes of a file.
    pub fn truncate(&self, file: &str, length: usize) {
        if let Some(file) = self.locked().files.get_mut(file) {
            file.truncate(length);
        }
    }

    pub fn remove(&self, file: &str) {
        self.locked().files.remove(file);
    }

    /// A file's bytes; empty when there is none.
    pub fn read(&self, file: &str) -> Vec<u8> {
        self.locked().files.get(file).map(File::content).unwrap_or_default()
    }

    /// The names of the files that begin with `prefix`, in order.
    pub fn files(&self, prefix: &str) -> Vec<String> {
        let inner = self.locked();
        let from = inner.files.range(prefix.to_owned()..).map(|(name, _)| name);
        from.take_while(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// Bytes in all files.
    pub fn used_bytes(&self) -> u64 {
        self.locked().files.values().map(|file| file.length as u64).sum()
    }

    /// The fault: of what was not synced to a file, the first half is there, and the rest is gone.
    pub fn power_loss(&self) {
        for file in self.locked().files.values_mut() {
            let torn = file.synced + (file.length - file.synced) / 2;
            file.truncate(torn);
            file.synced = torn;
        }
    }

    /// The fault: one bit of a byte is the other way round. The same again heals it. False when the file does not
    /// have that byte.
    pub fn corrupt(&self, file: &str, offset: usize) -> bool {
        let mut inner = self.locked();
        inner.files.get_mut(file).is_some_and(|file| file.flip(offset))
    }

    /// The fault: each sync takes that long. Zero heals.
    pub fn set_sync_delay(&self, delay: Duration) {
        self.locked().sync_delay = delay;
    }

    /// The fault: appends fail. `false` heals.
    pub fn set_full(&self, full: bool) {
        self.locked().full = full;
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic happens under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_power_loss_tears_what_was_not_synced() {
        let disk = Disk::default();
        disk.append("log", b"1234").unwrap();
        disk.sync("log").await;
        disk.append("log", b"5678").unwrap();
        disk.power_loss();
        assert_eq!(disk.read("log"), b"123456");
        disk.power_loss();
        assert_eq!(disk.read("log"), b"123456", "what was left is on the disk");
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_keeps_what_it_has() {
        let disk = Disk::default();
        disk.append("log", b"1").unwrap();
        disk.set_full(true);
        let error = disk.append("log", b"2").unwrap_err();
        assert_eq!(error.to_string(), "write log: no space left on device");
        assert_eq!(disk.read("log"), b"1");
    }

    #[test]
    fn files_are_listed_by_prefix_and_a_corrupted_byte_can_be_healed() {
        let disk = Disk::default();
        for file in ["wal/2", "snap/1", "wal/1"] {
            disk.append(file, b"a").unwrap();
        }
        assert_eq!(disk.files("wal/"), ["wal/1", "wal/2"]);
        assert!(disk.corrupt("wal/1", 0) && !disk.corrupt("wal/1", 1) && !disk.corrupt("wal/3", 0));
        assert_ne!(disk.read("wal/1"), b"a");
        assert!(disk.corrupt("wal/1", 0));
        assert_eq!(disk.read("wal/1"), b"a");
    }

    #[test]
    fn a_part_that_is_shared_reads_tears_and_rots_like_any_other() {
        let value = Bytes::from_static(b"value");
        let written = || {
            let disk = Disk::default();
            disk.append("log", b"0").unwrap();
            disk.append_shared("log", b"a=value;", &[(2, value.clone())]).unwrap();
            disk.append_shared("log", b"valuevalue", &[(0, value.clone()), (5, value.clone())]).unwrap();
            disk.append("log", b".").unwrap();
            disk
        };
        let whole = b"0a=value;valuevalue.";
        assert_eq!((written().read("log"), written().used_bytes()), (whole.to_vec(), 20));
        for offset in 0..whole.len() {
            let disk = written();
            let mut rotten = whole.to_vec();
            rotten[offset] ^= 0x10;
            assert!(disk.corrupt("log", offset));
            assert_eq!(disk.read("log"), rotten, "{offset}");
            assert_eq!(value, "value", "who shares it keeps it");
            assert!(disk.corrupt("log", offset));
            assert_eq!(disk.read("log"), whole, "{offset}");
            disk.truncate("log", offset);
            disk.append("log", b"!").unwrap();
            assert_eq!(disk.read("log"), [&whole[..offset], b"!"].concat());
        }
        assert!(!written().corrupt("log", whole.len()));
    }
}
