//! A member's files in a real directory. Writes go to the system's cache at once; syncing, and whatever reads or
//! writes a whole file, waits on one of Tokio's threads for blocking work.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{SEGMENTS, SNAPSHOTS, WalError};

/// What a file is called while it is written.
const TEMPORARY: &str = ".tmp";
/// Held locked by the process that uses the directory.
const LOCK: &str = "member/lock";

/// A handle to the directory. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Files that were appended to.
    open: Mutex<BTreeMap<String, Open>>,
    _lock: File,
}

#[derive(Debug, Clone)]
struct Open {
    file: Arc<File>,
    /// The directory does not name it durably yet.
    is_new: bool,
}

fn failed<'a>(attempt: &'static str, file: &'a str) -> impl FnOnce(io::Error) -> WalError + 'a {
    move |error| WalError::Io { attempt, file: file.to_owned(), error: Arc::new(error) }
}

impl Directory {
    /// Opens the directory for this process alone, and makes it where there is none.
    pub fn open(root: &Path) -> Result<Directory, WalError> {
        let shown = root.display().to_string();
        for folder in [SEGMENTS, SNAPSHOTS] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root.join(folder));
            made.map_err(failed("make", &shown))?;
        }
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(root.join(LOCK));
        let lock = lock.map_err(failed("open", &shown))?;
        lock.try_lock().map_err(|error| failed("lock", &shown)(io::Error::from(error)))?;
        let directory = Directory {
            inner: Arc::new(Inner { root: root.to_owned(), open: Mutex::default(), _lock: lock }),
        };
        // What was not finished when the last run ended.
        for folder in [SEGMENTS, SNAPSHOTS] {
            for file in directory.list(folder)?.into_iter().filter(|file| file.ends_with(TEMPORARY)) {
                directory.remove(&file)?;
            }
        }
        sync_folder(root).and_then(|()| sync_folder(&root.join("member"))).map_err(failed("sync", &shown))?;
        Ok(directory)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.inner.root.join(file)
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Open>> {
        self.inner.open.lock().expect("no panic happens under this lock")
    }

    /// A file to append to.
    fn appendable(&self, name: &str) -> Result<Open, WalError> {
        if let Some(open) = self.opened().get(name) {
            return Ok(open.clone());
        }
        let path = self.path(name);
        let is_new = !path.exists();
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let open = Open { file: Arc::new(file.map_err(failed("open", name))?), is_new };
        self.opened().insert(name.to_owned(), open.clone());
        Ok(open)
    }

    pub fn append(&self, name: &str, bytes: &[u8]) -> Result<(), WalError> {
        (&*self.appendable(name)?.file).write_all(bytes).map_err(failed("write", name))
    }

    pub async fn sync(&self, name: &str) -> Result<(), WalError> {
        let open = self.appendable(name)?;
        let folder = self.path(name).parent().map(Path::to_owned);
        blocking("sync", name, move || {
            open.file.sync_data()?;
            match folder {
                Some(folder) if open.is_new => sync_folder(&folder),
                _ => Ok(()),
            }
        })
        .await?;
        if let Some(open) = self.opened().get_mut(name) {
            open.is_new = false;
        }
        Ok(())
    }

    pub async fn replace(&self, name: &str, bytes: Vec<u8>) -> Result<(), WalError> {
        let (path, temporary) = (self.path(name), self.path(&format!("{name}{TEMPORARY}")));
        self.opened().remove(name);
        blocking("write", name, move || {
            let mut file = OpenOptions::new();
            let mut file = file.create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            path.parent().map_or(Ok(()), sync_folder)
        })
        .await
    }

    pub async fn truncate(&self, name: &str, length: usize) -> Result<(), WalError> {
        let path = self.path(name);
        blocking("truncate", name, move || {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(length as u64)?;
            file.sync_all()
        })
        .await
    }

    pub fn remove(&self, name: &str) -> Result<(), WalError> {
        self.opened().remove(name);
        fs::remove_file(self.path(name)).map_err(failed("remove", name))
    }

    pub async fn read(&self, name: &str) -> Result<Vec<u8>, WalError> {
        let path = self.path(name);
        blocking("read", name, move || fs::read(path)).await
    }

    pub fn files(&self, folder: &str) -> Result<Vec<String>, WalError> {
        let mut files = self.list(folder)?;
        files.retain(|file| !file.ends_with(TEMPORARY));
        Ok(files)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, WalError> {
        let entries = fs::read_dir(self.path(folder)).map_err(failed("read", folder))?;
        let name = |entry: io::Result<fs::DirEntry>| Ok(format!("{folder}{}", entry?.file_name().display()));
        let mut files: Vec<String> =
            entries.map(name).collect::<io::Result<_>>().map_err(failed("read", folder))?;
        files.sort();
        Ok(files)
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

async fn blocking<T: Send + 'static>(
    attempt: &'static str,
    name: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, WalError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed(attempt, name))
}
