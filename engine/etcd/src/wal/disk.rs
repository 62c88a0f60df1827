//! Files of bytes: a disk of the world, or a directory.

use bytes::Bytes;

use super::WalError;
#[cfg(feature = "grpc")]
use super::directory::Directory;

/// A handle to a member's files. Clones share them.
#[derive(Debug, Clone)]
pub(crate) enum Disk {
    Simulated(labkit_sim::Disk),
    #[cfg(feature = "grpc")]
    Directory(Directory),
}

impl Disk {
    /// Appends to a file. It is not durable before [`Disk::sync`]. `shared` are those parts of the bytes, by offset,
    /// that a disk in memory need not have twice.
    pub fn append(&self, file: &str, bytes: &[u8], shared: &[(usize, Bytes)]) -> Result<(), WalError> {
        match self {
            Disk::Simulated(disk) => Ok(disk.append_shared(file, bytes, shared)?),
            #[cfg(feature = "grpc")]
            Disk::Directory(directory) => directory.append(file, bytes),
        }
    }

    /// Whether it is memory itself.
    pub fn is_simulated(&self) -> bool {
        matches!(self, Disk::Simulated(_))
    }

    /// Makes all that was appended durable.
    pub async fn sync(&self, file: &str) -> Result<(), WalError> {
        match self {
            Disk::Simulated(disk) => disk.sync(file).await,
            #[cfg(feature = "grpc")]
            Disk::Directory(directory) => directory.sync(file).await?,
        }
        Ok(())
    }

    /// Replaces a file's content at once and durably.
    pub async fn replace(&self, file: &str, bytes: Vec<u8>) -> Result<(), WalError> {
        match self {
            Disk::Simulated(disk) => Ok(disk.replace(file, bytes)?),
            #[cfg(feature = "grpc")]
            Disk::Directory(directory) => directory.replace(file, bytes).await,
        }
    }

    /// Keeps the first `length` bytes of a file, durably.
    pub async fn truncate(&self, file: &str, length: usize) -> Result<(), WalError> {
        match self {
            Disk::Simulated(disk) => disk.truncate(file, length),
            #[cfg(feature = "grpc")]
            Disk::Directory(directory) => directory.truncate(file, length).await?,
        }
        Ok(())
    }

    pub fn remove(&self, file: &str) -> Result<(), WalError> {
        match self {
            Disk::Simulated(disk) => disk.remove(file),
            #[cfg(feature = "grpc")]
            Disk::Directory(directory) => directory.remove(file)?,
        }
        Ok(())
    }

    pub async fn read(&self, file: &str) -> Result<Vec<u8>, WalError> {
        match self {
            Disk::Simulated(disk) => Ok(disk.read(file)),
            #[cfg(feature = "grpc")]
            Disk::Directory(directory) => directory.read(file).await,
        }
    }

    /// The names of the files in a folder such as `member/wal/`, in order.
    pub fn files(&self, folder: &str) -> Result<Vec<String>, WalError> {
        match self {
            Disk::Simulated(disk) => Ok(disk.files(folder)),
            #[cfg(feature = "grpc")]
            Disk::Directory(directory) => directory.files(folder),
        }
    }
}
