//! Where a course's files come from: a folder, or the course that is embedded in the binary.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};
use labkit_lab::Files;
use nix::fcntl::OFlag;

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../labs");

/// No text of a course is this long, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// No submission needs more, in bytes of all its files.
const SUBMISSION_MAX: u64 = 8 * 1024 * 1024;

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

/// A submission's folder. Stricter than a course's: whoever filled it may want something. No link is followed, not
/// even one that stays within, and all files together are bounded.
#[derive(Debug)]
pub struct SubmissionFiles {
    root: PathBuf,
    /// Bytes that may still be read.
    left: Cell<u64>,
}

impl SubmissionFiles {
    pub fn new(root: &Path) -> SubmissionFiles {
        SubmissionFiles { root: root.to_owned(), left: Cell::new(SUBMISSION_MAX) }
    }
}

impl Files for SubmissionFiles {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let refused = |kind, message: &str| Err(io::Error::new(kind, message.to_owned()));
        let mut whole = self.root.clone();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) => whole.push(name),
                Component::CurDir => continue,
                _ => return refused(io::ErrorKind::PermissionDenied, "the path leads out of its folder"),
            }
            if whole.symlink_metadata()?.is_symlink() {
                return refused(io::ErrorKind::PermissionDenied, "a link, which no submission needs");
            }
        }
        // Opening a pipe would wait for its writer.
        let careful = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
        let file = match whole.symlink_metadata()?.is_file() {
            true => File::options().read(true).custom_flags(careful).open(&whole)?,
            false => return refused(io::ErrorKind::InvalidInput, "not a regular file"),
        };
        let mut bytes = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        let size = bytes.len() as u64;
        if size > FILE_MAX {
            return refused(io::ErrorKind::FileTooLarge, "larger than 1 MiB, which no file of a lab is");
        }
        let Some(left) = self.left.get().checked_sub(size) else {
            return refused(
                io::ErrorKind::FileTooLarge,
                "with this one, the submission is larger than 8 MiB",
            );
        };
        self.left.set(left);
        Ok(bytes)
    }

    fn list(&self, _: &str) -> Vec<String> {
        // A submission names its files.
        Vec::new()
    }
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

    #[test]
    fn a_submission_has_no_links_and_is_bounded_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        for index in 0..10 {
            std::fs::write(folder.path().join(format!("inner/{index}.yaml")), vec![b'a'; 1 << 20]).unwrap();
        }
        std::os::unix::fs::symlink("inner/0.yaml", folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink("inner", folder.path().join("folder")).unwrap();
        let files = SubmissionFiles::new(folder.path());
        let refusal = |path: &str| files.read(path).unwrap_err().to_string();
        for (path, says) in [
            ("link", "a link"),
            ("folder/0.yaml", "a link"),
            ("inner/../inner/0.yaml", "leads out"),
            ("/etc/passwd", "leads out"),
            ("inner", "not a regular file"),
            ("inner/0.yaml/x", "Not a directory"),
            ("a\0b", "NUL byte"),
        ] {
            assert!(refusal(path).contains(says), "{path}: {}", refusal(path));
        }
        (0..8).for_each(|index| drop(files.read(&format!("./inner/{index}.yaml")).unwrap()));
        assert!(refusal("inner/8.yaml").contains("larger than 8 MiB"));
    }
}
