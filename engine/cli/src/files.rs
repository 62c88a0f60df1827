//! Where a course's files come from: a folder, or the course that is embedded in the binary.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};
use labkit_lab::Files;

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../labs");

/// No text of a course is this long, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// No folder of a course has this many entries.
const ENTRIES_MAX: usize = 10_000;

/// A folder on disk.
#[derive(Debug, Clone)]
pub struct FolderFiles {
    root: PathBuf,
}

impl FolderFiles {
    pub fn new(root: &Path) -> FolderFiles {
        FolderFiles { root: root.to_owned() }
    }
}

impl Files for FolderFiles {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        read_regular(&self.root, Path::new(path))
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.join(folder)) else { return Vec::new() };
        let names = entries.flatten().take(ENTRIES_MAX);
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }
}

/// Reads a file of a folder: a regular one, of bounded size, that does not lead out of the folder.
fn read_regular(root: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let refused = |kind, message: &str| Err(io::Error::new(kind, message.to_owned()));
    if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return refused(io::ErrorKind::PermissionDenied, "the path leads out of its folder");
    }
    let whole = root.join(path).canonicalize()?;
    if !whole.starts_with(root.canonicalize()?) {
        return refused(io::ErrorKind::PermissionDenied, "the link leads out of its folder");
    }
    // Before it is opened: opening a pipe waits for its writer.
    if !whole.metadata()?.is_file() {
        return refused(io::ErrorKind::InvalidInput, "not a regular file");
    }
    let mut bytes = Vec::new();
    File::open(&whole)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return refused(io::ErrorKind::FileTooLarge, "larger than 1 MiB, which no file of a lab is");
    }
    Ok(bytes)
}

/// The course in the binary.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedFiles(&'static Dir<'static>);

impl EmbeddedFiles {
    pub fn course() -> EmbeddedFiles {
        EmbeddedFiles(&EMBEDDED)
    }

    /// Another folder that is embedded.
    pub fn of(folder: &'static Dir<'static>) -> EmbeddedFiles {
        EmbeddedFiles(folder)
    }
}

impl Files for EmbeddedFiles {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let file = self.0.get_file(path);
        let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))?;
        Ok(file.contents().to_vec())
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let folder = if folder.is_empty() || folder == "." { Some(self.0) } else { self.0.get_dir(folder) };
        let entries = folder.map(Dir::entries).unwrap_or_default();
        let name = |entry: &DirEntry<'_>| Some(entry.path().file_name()?.to_string_lossy().into_owned());
        let mut names: Vec<String> = entries.iter().filter_map(name).collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bounded_regular_file_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = FolderFiles::new(folder.path());
        std::fs::write(folder.path().join("lab.yaml"), "kind: Lab").unwrap();
        std::fs::write(folder.path().join("big.yaml"), vec![b'a'; 10 << 20]).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        std::fs::create_dir(folder.path().join("start")).unwrap();
        let refusal = |path: &str| files.read(path).unwrap_err().to_string();
        assert_eq!(files.read("lab.yaml").unwrap(), b"kind: Lab");
        assert!(refusal("big.yaml").contains("larger than 1 MiB"));
        assert!(refusal("link").contains("leads out"));
        assert!(refusal("../x").contains("leads out"));
        assert!(refusal("start").contains("not a regular file"));
        assert_eq!(files.list(""), ["big.yaml", "lab.yaml", "link", "start"]);
        assert!(files.list("nowhere").is_empty());
    }
}
