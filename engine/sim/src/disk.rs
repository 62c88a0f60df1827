//! Disks of components: files of bytes. What was appended survives a kill of the process. A power loss drops what
//! was not synced, and may leave the beginning of it behind, torn at any byte.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    bytes: Vec<u8>,
    /// How many bytes from the front are on stable storage.
    synced: usize,
}

impl Disk {
    /// Appends to a file. It is not durable before [`Disk::sync`].
    pub fn append(&self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let mut inner = self.locked();
        if inner.full {
            return Err(DiskError::NoSpace { file: file.to_owned() });
        }
        match inner.files.get_mut(file) {
            Some(file) => file.bytes.extend_from_slice(bytes),
            None => {
                inner.files.insert(file.to_owned(), File { bytes: bytes.to_vec(), synced: 0 });
            }
        }
        Ok(())
    }

    /// Makes all that was appended durable. Takes as long as the disk is slow.
    pub async fn sync(&self, file: &str) {
        let (delay, appended) = {
            let inner = self.locked();
            (inner.sync_delay, inner.files.get(file).map_or(0, |file| file.bytes.len()))
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if let Some(file) = self.locked().files.get_mut(file) {
            file.synced = file.synced.max(appended.min(file.bytes.len()));
        }
    }

    /// Replaces a file's content at once and durably, as write-then-rename does.
    pub fn replace(&self, file: &str, bytes: Vec<u8>) -> Result<(), DiskError> {
        let mut inner = self.locked();
        if inner.full {
            return Err(DiskError::NoSpace { file: file.to_owned() });
        }
        let synced = bytes.len();
        inner.files.insert(file.to_owned(), File { bytes, synced });
        Ok(())
    }

    /// Keeps the first `length` bytes of a file.
    pub fn truncate(&self, file: &str, length: usize) {
        if let Some(file) = self.locked().files.get_mut(file) {
            file.bytes.truncate(length);
            file.synced = file.synced.min(length);
        }
    }

    pub fn remove(&self, file: &str) {
        self.locked().files.remove(file);
    }

    /// A file's bytes; empty when there is none.
    pub fn read(&self, file: &str) -> Vec<u8> {
        self.locked().files.get(file).map(|file| file.bytes.clone()).unwrap_or_default()
    }

    /// The names of the files that begin with `prefix`, in order.
    pub fn files(&self, prefix: &str) -> Vec<String> {
        let inner = self.locked();
        let from = inner.files.range(prefix.to_owned()..).map(|(name, _)| name);
        from.take_while(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// Bytes in all files.
    pub fn used_bytes(&self) -> u64 {
        self.locked().files.values().map(|file| file.bytes.len() as u64).sum()
    }

    /// The fault: of what was not synced to a file, the first half is there, and the rest is gone.
    pub fn power_loss(&self) {
        for file in self.locked().files.values_mut() {
            let torn = file.synced + (file.bytes.len() - file.synced) / 2;
            file.bytes.truncate(torn);
            file.synced = torn;
        }
    }

    /// The fault: one bit of a byte is the other way round. The same again heals it. False when the file does not
    /// have that byte.
    pub fn corrupt(&self, file: &str, offset: usize) -> bool {
        let mut inner = self.locked();
        let byte = inner.files.get_mut(file).and_then(|file| file.bytes.get_mut(offset));
        byte.map(|byte| *byte ^= 0x10).is_some()
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
}
