//! Disks of components. What was appended survives a kill of the process; a power loss drops what was not
//! synced. A file is a list of records: torn bytes are the business of `etcd`'s own log on real files.

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
    records: Vec<Bytes>,
    /// How many records from the front are on stable storage.
    synced: usize,
}

impl Disk {
    /// Appends a record. It is not durable before [`Disk::sync`].
    pub fn append(&self, file: &str, record: Bytes) -> Result<(), DiskError> {
        let mut inner = self.locked();
        if inner.full {
            return Err(DiskError::NoSpace { file: file.to_owned() });
        }
        inner.files.entry(file.to_owned()).or_default().records.push(record);
        Ok(())
    }

    /// Makes all that was appended durable. Takes as long as the disk is slow.
    pub async fn sync(&self, file: &str) {
        let (delay, appended) = {
            let inner = self.locked();
            (inner.sync_delay, inner.files.get(file).map_or(0, |file| file.records.len()))
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if let Some(file) = self.locked().files.get_mut(file) {
            file.synced = file.synced.max(appended.min(file.records.len()));
        }
    }

    /// Replaces a file's content at once and durably, as write-then-rename does.
    pub fn replace(&self, file: &str, records: Vec<Bytes>) -> Result<(), DiskError> {
        let mut inner = self.locked();
        if inner.full {
            return Err(DiskError::NoSpace { file: file.to_owned() });
        }
        let synced = records.len();
        inner.files.insert(file.to_owned(), File { records, synced });
        Ok(())
    }

    /// Keeps the first `records` of a file.
    pub fn truncate(&self, file: &str, records: usize) {
        if let Some(file) = self.locked().files.get_mut(file) {
            file.records.truncate(records);
            file.synced = file.synced.min(records);
        }
    }

    pub fn remove(&self, file: &str) {
        self.locked().files.remove(file);
    }

    /// The records of a file; empty when there is none.
    pub fn read(&self, file: &str) -> Vec<Bytes> {
        self.locked().files.get(file).map(|file| file.records.clone()).unwrap_or_default()
    }

    /// Bytes in all files.
    pub fn used_bytes(&self) -> u64 {
        self.locked().files.values().flat_map(|file| &file.records).map(|record| record.len() as u64).sum()
    }

    /// The fault: what was not synced is gone.
    pub fn power_loss(&self) {
        for file in self.locked().files.values_mut() {
            file.records.truncate(file.synced);
        }
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
    async fn a_power_loss_drops_the_unsynced_tail_only() {
        let disk = Disk::default();
        disk.append("log", Bytes::from_static(b"1")).unwrap();
        disk.sync("log").await;
        disk.append("log", Bytes::from_static(b"2")).unwrap();
        disk.power_loss();
        assert_eq!(disk.read("log"), ["1"]);
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_keeps_what_it_has() {
        let disk = Disk::default();
        disk.append("log", Bytes::from_static(b"1")).unwrap();
        disk.set_full(true);
        let error = disk.append("log", Bytes::from_static(b"2")).unwrap_err();
        assert_eq!(error.to_string(), "write log: no space left on device");
        assert_eq!(disk.read("log"), ["1"]);
    }
}
