//! Where a course's files come from: a folder on disk or what is embedded in the binary. Both live in `cli`;
//! this crate opens no file.

use std::collections::BTreeMap;
use std::io;

/// The files of a course or of a lab. Paths are relative, with `/` between their parts.
pub trait Files {
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The names of what is in a folder, sorted; empty when there is no such folder.
    fn list(&self, folder: &str) -> Vec<String>;
}

/// Files that are held in memory, by path.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles(pub BTreeMap<String, Vec<u8>>);

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let inside = self.0.keys().filter_map(|path| path.strip_prefix(&prefix));
        let mut names: Vec<String> =
            inside.filter_map(|path| path.split('/').next()).map(str::to_owned).collect();
        names.dedup();
        names
    }
}
