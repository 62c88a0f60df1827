//! A file system in memory. Paths are absolute and without `.` and `..`: [`absolute`] makes them so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

/// What the files of one container may hold together.
const BYTES_MAX: usize = 64 << 20;
/// How many files and directories there may be.
const NODES_MAX: usize = 20_000;

/// The files of one container. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Files(Arc<Mutex<Tree>>);

#[derive(Debug)]
struct Tree {
    nodes: BTreeMap<String, Node>,
    bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// `None`: a directory.
    pub content: Option<Vec<u8>>,
    pub mode: u32,
    pub modified: Timestamp,
}

/// Why a file could not be had, in the C library's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileError {
    #[error("No such file or directory")]
    NotFound,
    #[error("Not a directory")]
    NotADirectory,
    #[error("Is a directory")]
    IsADirectory,
    #[error("File exists")]
    Exists,
    #[error("Directory not empty")]
    NotEmpty,
    #[error("No space left on device")]
    NoSpace,
    #[error("Device or resource busy")]
    Busy,
}

/// `path` as seen from `directory`, from the root on.
pub(super) fn absolute(directory: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The directory that a path is in.
pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

/// The last part of a path.
pub(super) fn base(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn inside(directory: &str) -> String {
    if directory == "/" { "/".to_owned() } else { format!("{directory}/") }
}

impl Files {
    /// The usual directories, empty.
    pub fn new(now: Timestamp) -> Files {
        let directory = |mode| Node { content: None, mode, modified: now };
        let mut nodes = BTreeMap::new();
        for path in
            ["/", "/bin", "/dev", "/etc", "/home", "/mnt", "/root", "/usr", "/usr/bin", "/var", "/var/log"]
        {
            nodes.insert(path.to_owned(), directory(0o755));
        }
        nodes.insert("/tmp".to_owned(), directory(0o1777));
        Files(Arc::new(Mutex::new(Tree { nodes, bytes: 0 })))
    }

    /// Writes a file of a new container.
    pub fn seed(&self, path: &str, content: &[u8], now: Timestamp) {
        self.write(path, content, false, now).expect("the directory is there, and there is space");
    }

    pub fn node(&self, path: &str) -> Option<Node> {
        self.locked().nodes.get(path).cloned()
    }

    /// Whether there is something, and whether it is a directory.
    pub fn is_directory(&self, path: &str) -> Option<bool> {
        self.locked().nodes.get(path).map(|node| node.content.is_none())
    }

    pub fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let tree = self.locked();
        let node = tree.find(path)?;
        node.content.clone().ok_or(FileError::IsADirectory)
    }

    /// Writes a file: instead of what it has, or behind it.
    pub fn write(&self, path: &str, bytes: &[u8], append: bool, now: Timestamp) -> Result<(), FileError> {
        let mut tree = self.locked();
        tree.is_in_a_directory(path)?;
        let (had, mode) = match tree.nodes.get(path) {
            Some(Node { content: None, .. }) => return Err(FileError::IsADirectory),
            Some(Node { content: Some(content), mode, .. }) => (content.len(), *mode),
            None if tree.nodes.len() >= NODES_MAX => return Err(FileError::NoSpace),
            None => (0, 0o644),
        };
        let freed = if append { 0 } else { had };
        if tree.bytes - freed + bytes.len() > BYTES_MAX {
            return Err(FileError::NoSpace);
        }
        tree.bytes = tree.bytes - freed + bytes.len();
        let node = tree.nodes.entry(path.to_owned()).or_insert(Node { content: None, mode, modified: now });
        let content = node.content.get_or_insert_default();
        if !append {
            content.clear();
        }
        content.extend_from_slice(bytes);
        node.modified = now;
        Ok(())
    }

    pub fn set_mode(&self, path: &str, mode: u32) -> Result<(), FileError> {
        self.locked().nodes.get_mut(path).map(|node| node.mode = mode).ok_or(FileError::NotFound)
    }

    pub fn set_modified(&self, path: &str, at: Timestamp) {
        if let Some(node) = self.locked().nodes.get_mut(path) {
            node.modified = at;
        }
    }

    pub fn make_directory(&self, path: &str, now: Timestamp) -> Result<(), FileError> {
        let mut tree = self.locked();
        if tree.nodes.contains_key(path) {
            return Err(FileError::Exists);
        }
        tree.is_in_a_directory(path)?;
        if tree.nodes.len() >= NODES_MAX {
            return Err(FileError::NoSpace);
        }
        tree.nodes.insert(path.to_owned(), Node { content: None, mode: 0o755, modified: now });
        Ok(())
    }

    /// The same with every directory on the way; one that is there is fine.
    pub fn make_directories(&self, path: &str, now: Timestamp) -> Result<(), FileError> {
        let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
        for end in ends {
            match self.make_directory(&path[..end], now) {
                Err(FileError::Exists) if self.is_directory(&path[..end]) == Some(true) => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Removes a file, or a directory: an empty one, or with all that is in it.
    pub fn remove(&self, path: &str, with_all: bool) -> Result<(), FileError> {
        let mut tree = self.locked();
        tree.find(path)?;
        if path == "/" {
            return Err(FileError::Busy);
        }
        let below = tree.below(path);
        if !below.is_empty() && !with_all {
            return Err(FileError::NotEmpty);
        }
        for path in below.iter().map(String::as_str).chain([path]) {
            let gone = tree.nodes.remove(path).and_then(|node| node.content);
            tree.bytes -= gone.map_or(0, |content| content.len());
        }
        Ok(())
    }

    /// The names in a directory, sorted.
    pub fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let tree = self.locked();
        if tree.find(path)?.content.is_some() {
            return Err(FileError::NotADirectory);
        }
        let start = inside(path);
        let below = tree.below(path);
        let names = below.iter().map(|path| &path[start.len()..]).filter(|name| !name.contains('/'));
        Ok(names.map(str::to_owned).collect())
    }

    /// Everything below a path and the path itself, sorted.
    pub fn tree(&self, path: &str) -> Result<Vec<(String, Node)>, FileError> {
        let tree = self.locked();
        let first = (path.to_owned(), tree.find(path)?.clone());
        let below = tree.below(path).into_iter().map(|path| {
            let node = tree.nodes[&path].clone();
            (path, node)
        });
        Ok([first].into_iter().chain(below).collect())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Tree> {
        self.0.lock().expect("no panic happens under this lock")
    }
}

impl Tree {
    fn find(&self, path: &str) -> Result<&Node, FileError> {
        self.nodes.get(path).ok_or_else(|| self.is_in_a_directory(path).err().unwrap_or(FileError::NotFound))
    }

    fn is_in_a_directory(&self, path: &str) -> Result<(), FileError> {
        match self.nodes.get(parent(path)) {
            Some(Node { content: None, .. }) => Ok(()),
            Some(_) => Err(FileError::NotADirectory),
            None => Err(FileError::NotFound),
        }
    }

    fn below(&self, path: &str) -> Vec<String> {
        let start = inside(path);
        let from = self.nodes.range(start.clone()..).map(|(path, _)| path);
        from.take_while(|path| path.starts_with(&start)).filter(|path| *path != "/").cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn paths_are_made_absolute() {
        for (path, expected) in
            [("a", "/tmp/a"), ("../a/./b", "/a/b"), ("/x/../../y/", "/y"), (".", "/tmp"), ("/", "/")]
        {
            assert_eq!(absolute("/tmp", path), expected);
        }
        assert_eq!((parent("/a"), parent("/a/b"), base("/a/b/"), base("/")), ("/", "/a", "b", ""));
    }

    #[test]
    fn files_are_written_listed_and_removed() {
        let files = Files::new(NOW);
        files.write("/tmp/a", b"one", false, NOW).unwrap();
        files.write("/tmp/a", b" two", true, NOW).unwrap();
        assert_eq!(files.read("/tmp/a").unwrap(), b"one two");
        files.make_directories("/tmp/b/c", NOW).unwrap();
        assert_eq!(files.list("/tmp").unwrap(), ["a", "b"]);
        assert_eq!(files.remove("/tmp/b", false), Err(FileError::NotEmpty));
        files.remove("/tmp/b", true).unwrap();
        assert_eq!(files.list("/tmp").unwrap(), ["a"]);
        assert_eq!(files.remove("/", true), Err(FileError::Busy));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let files = Files::new(NOW);
        assert_eq!(files.read("/nope"), Err(FileError::NotFound));
        assert_eq!(files.read("/tmp"), Err(FileError::IsADirectory));
        assert_eq!(files.write("/nope/a", b"", false, NOW), Err(FileError::NotFound));
        files.write("/tmp/a", b"", false, NOW).unwrap();
        assert_eq!(files.write("/tmp/a/b", b"", false, NOW), Err(FileError::NotADirectory));
        assert_eq!(files.make_directory("/tmp/a", NOW), Err(FileError::Exists));
        assert_eq!(files.list("/tmp/a"), Err(FileError::NotADirectory));
    }

    #[test]
    fn a_container_has_only_so_much_space() {
        let files = Files::new(NOW);
        files.write("/tmp/a", &vec![0; BYTES_MAX], false, NOW).unwrap();
        assert_eq!(files.write("/tmp/b", b"x", false, NOW), Err(FileError::NoSpace));
        files.write("/tmp/a", b"x", false, NOW).unwrap();
        files.write("/tmp/b", b"x", false, NOW).unwrap();
    }
}
