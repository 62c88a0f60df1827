//! Where running labs are recorded: `$XDG_STATE_HOME/labkit`, else `~/.local/state/labkit`, else a folder of one's
//! own under the system's temporary one. The student's progress is data: `$XDG_DATA_HOME/labkit`, else
//! `~/.local/share/labkit`.
//!
//! A running lab holds a lock on its `pid` file for as long as it lives, so that what a crash left behind is
//! told from what runs, whatever the process numbers say.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{Failure, spoken};
use crate::screen::say;

/// The folder of all state.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// Finds the folder, and makes it where it is missing. Only its owner may look into it.
    pub fn open() -> Result<State, Failure> {
        let root = root()?;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&root);
        made.map_err(|error| {
            Failure::file("make the state folder", &root, &error).next(say!(
                spoken(),
                "give a folder that you may write to: export XDG_STATE_HOME=DIR",
                "쓸 수 있는 폴더를 지정하세요: export XDG_STATE_HOME=DIR"
            ))
        })?;
        let owner = fs::metadata(&root).map(|metadata| metadata.uid());
        if owner.map_or(true, |owner| owner != nix::unistd::geteuid().as_raw()) {
            let message = say!(
                spoken(),
                "the state folder {} belongs to somebody else",
                "상태 폴더 {} 은(는) 다른 사람의 것입니다",
                root.display()
            );
            return Err(Failure::usage(message).next(say!(
                spoken(),
                "give one of your own: export XDG_STATE_HOME=DIR",
                "자기 폴더를 지정하세요: export XDG_STATE_HOME=DIR"
            )));
        }
        Ok(State { root })
    }

    /// A lab's place, whether it runs or not.
    pub fn lab(&self, name: &str) -> LabState {
        LabState { name: name.to_owned(), dir: self.root.join(name) }
    }

    /// The labs that run, sorted by name. What a crash left behind is removed on the way.
    pub fn running(&self) -> Vec<LabState> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let labs = names.into_iter().map(|name| self.lab(&name)).filter(|lab| lab.dir.is_dir());
        labs.filter(|lab| lab.is_running() || !lab.is_stale_and_cleaned()).collect()
    }

    /// The report of the last run.
    pub fn last_run_file(&self) -> PathBuf {
        self.root.join("last-run.json")
    }

    /// What the store had in the last run.
    pub fn last_store_file(&self) -> PathBuf {
        self.root.join("last-run-store.json")
    }

    /// The file of the student's progress. Its folder is made where it is missing.
    pub fn progress_file(&self) -> PathBuf {
        self.data().join("progress.json")
    }

    /// The folder of a lab's snapshots, whether it is there or not.
    pub fn snapshots(&self, lab: &str) -> PathBuf {
        self.data().join("snapshots").join(lab)
    }

    fn data(&self) -> PathBuf {
        let home = || folder("HOME").filter(|home| home.is_dir()).map(|home| home.join(".local/share"));
        let data = folder("XDG_DATA_HOME").or_else(home).map(|data| data.join("labkit"));
        let made =
            |folder: &PathBuf| fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).is_ok();
        data.filter(made).unwrap_or_else(|| self.root.clone())
    }
}

/// The folder that a variable names; it is one only where its path is absolute.
fn folder(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(name).map(PathBuf::from);
    path.filter(|path| path.is_absolute() && path.parent().is_some())
}

fn root() -> Result<PathBuf, Failure> {
    if let Some(state) = folder("XDG_STATE_HOME") {
        return Ok(state.join("labkit"));
    }
    if let Some(home) = folder("HOME").filter(|home| home.is_dir()) {
        return Ok(home.join(".local/state/labkit"));
    }
    let temporary = std::env::temp_dir();
    if temporary.is_dir() {
        return Ok(temporary.join(format!("labkit-{}", nix::unistd::geteuid())));
    }
    Err(Failure::usage(say!(
        spoken(),
        "there is neither a home folder nor a temporary one to keep a lab's files in",
        "실습의 파일을 둘 홈 폴더도 임시 폴더도 없습니다"
    ))
    .next("export XDG_STATE_HOME=DIR"))
}

/// One lab's place in the state folder.
#[derive(Debug, Clone)]
pub struct LabState {
    pub name: String,
    pub dir: PathBuf,
}

/// The right to be the one process that runs a lab. The lock ends with the process.
#[derive(Debug)]
pub struct Running {
    _lock: File,
    lab: LabState,
}

impl LabState {
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The folder of `ca.crt`, `client.crt` and `client.key` for etcdctl.
    pub fn etcd(&self) -> PathBuf {
        self.dir.join("etcd")
    }

    /// `export` lines for a shell.
    pub fn env(&self) -> PathBuf {
        self.dir.join("env")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("daemon.log")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    fn pid(&self) -> PathBuf {
        self.dir.join("pid")
    }

    /// Whether a process runs this lab now.
    pub fn is_running(&self) -> bool {
        File::open(self.pid())
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Removes what a crash left behind; its log stays for whoever asks why. `false` when there is more in
    /// the folder than that.
    fn is_stale_and_cleaned(&self) -> bool {
        let Ok(file) = File::open(self.pid()) else { return true };
        if file.try_lock().is_err() {
            return false;
        }
        self.remove_files();
        true
    }

    /// Waits until no process runs this lab any more.
    pub fn wait_until_ended(&self, patience: Duration) -> bool {
        let step = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        while self.is_running() {
            if waited >= patience {
                return false;
            }
            std::thread::sleep(step);
            waited += step;
        }
        true
    }

    /// Becomes the process that runs this lab. `None` when another one does.
    pub fn claim(&self) -> io::Result<Option<Running>> {
        // Whoever merely looks holds the lock for a moment, and whoever cleans removes the file under it.
        for _ in 0..20 {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let mut file = options.open(self.pid())?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::Error(error)) => return Err(error),
                Ok(()) => {
                    if fs::metadata(self.pid())
                        .is_ok_and(|now| file.metadata().is_ok_and(|m| m.ino() == now.ino()))
                    {
                        file.set_len(0)?;
                        writeln!(file, "{}", std::process::id())?;
                        let _ = fs::remove_file(self.socket());
                        return Ok(Some(Running { _lock: file, lab: self.clone() }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The process that runs this lab.
    pub fn process(&self) -> Option<u32> {
        let mut text = String::new();
        File::open(self.pid()).ok()?.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }

    /// Writes a file that only its owner may read.
    pub fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
        write_private(path, text).map_err(|error| Failure::file("write", path, &error))
    }

    fn remove_files(&self) {
        for path in [self.kubeconfig(), self.env(), self.socket()] {
            let _ = fs::remove_file(path);
        }
        let _ = fs::remove_dir_all(self.etcd());
        let _ = fs::remove_file(self.pid());
    }
}

impl Drop for Running {
    /// The lab's files go with it; a log without a word in it too.
    fn drop(&mut self) {
        self.lab.remove_files();
        if fs::metadata(self.lab.log()).is_ok_and(|log| log.len() == 0) {
            let _ = fs::remove_file(self.lab.log());
        }
        let _ = fs::remove_dir(&self.lab.dir);
    }
}

/// The name of the control socket in a lab's folder.
const SOCKET: &str = "control.sock";

/// A socket's address holds no longer path than this on every system.
const SOCKET_PATH_MAX: usize = 100;

/// Calls `act` with a path of the lab's socket that is short enough for a socket's address. Only for a
/// process with one thread: where the path is long, it works from within the lab's folder.
pub fn with_socket<T>(lab: &LabState, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = lab.socket();
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return act(&path);
    }
    let before = std::env::current_dir();
    std::env::set_current_dir(&lab.dir)?;
    let done = act(Path::new(SOCKET));
    if let Ok(before) = before {
        std::env::set_current_dir(before)?;
    }
    done
}

/// Lets only the owner use a file.
pub fn make_private(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State { root: folder.path().to_owned() };
        (folder, state)
    }

    #[test]
    fn a_lab_runs_once_and_leaves_nothing() {
        let (_folder, state) = state();
        let lab = state.lab("kill-the-leader");
        let running = lab.claim().unwrap().unwrap();
        assert!(lab.is_running() && lab.claim().unwrap().is_none());
        assert_eq!(lab.process(), Some(std::process::id()));
        LabState::write_private(&lab.kubeconfig(), "x").unwrap();
        assert_eq!(fs::metadata(lab.kubeconfig()).unwrap().permissions().mode() & 0o777, 0o600);
        drop(running);
        assert!(!lab.dir.exists() && state.running().is_empty());
    }

    #[test]
    fn what_a_crash_left_behind_is_cleaned() {
        let (_folder, state) = state();
        let lab = state.lab("node-dies");
        LabState::write_private(&lab.pid(), "1").unwrap();
        LabState::write_private(&lab.kubeconfig(), "x").unwrap();
        LabState::write_private(&lab.log(), "panicked").unwrap();
        assert!(!lab.is_running() && state.running().is_empty());
        assert!(!lab.kubeconfig().exists() && lab.log().exists());
    }

    #[test]
    fn a_long_path_still_has_a_socket() {
        let (folder, _) = state();
        let state = State { root: folder.path().join("x".repeat(120)) };
        let lab = state.lab("kill-the-leader");
        let _running = lab.claim().unwrap().unwrap();
        let _listener = with_socket(&lab, |path| std::os::unix::net::UnixListener::bind(path)).unwrap();
        assert!(lab.socket().exists());
        with_socket(&lab, |path| std::os::unix::net::UnixStream::connect(path)).unwrap();
    }
}
