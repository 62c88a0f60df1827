//! What stands in every simulated container: a shell, the commands that it knows, and a file system in memory.
//! It is a shell of POSIX's kind as far as people type into one; busybox' is the model for texts and codes.
//!
//! - `files`: directories and files, in memory, one tree per run of a container.
//! - `streams`: stdin, stdout and stderr; pipes between commands. `terminal`: what a tty does with keys.
//! - `syntax`, `words`: from text to commands, from words to fields. `shell`: carries them out.
//! - `commands`: one module per family; the one list of names.
//!
//! Invariants: nothing leaves the container, nothing outlives it, and every loop takes time, so that no script
//! can stop the world. Absent: background jobs, functions, links, owners, sockets.

mod commands;
mod files;
mod shell;
mod streams;
mod syntax;
mod terminal;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use labkit_sim::World;
use tokio::sync::watch;

pub(crate) use files::Files;
pub(crate) use streams::{Io, Sink, Stdin, for_terminal};
pub(crate) use terminal::listen;

use self::commands::Found;
use self::shell::Shell;

/// Where a process runs.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub world: World,
    pub files: Files,
    pub environment: BTreeMap<String, String>,
    pub working_directory: String,
    /// Its user and group.
    pub ids: (i64, i64),
    /// Whether a person sits before it.
    pub is_terminal: bool,
    /// Changes with each Ctrl-C.
    pub interrupts: watch::Receiver<()>,
    /// Asks the container's first process to end.
    pub terminate: Arc<dyn Fn() + Send + Sync>,
}

/// Runs a command to its end. `Err` is the runtime's message where there is no such program.
pub(crate) async fn run(words: &[String], at: Surroundings, io: Io) -> Result<i32, String> {
    let Some(name) = words.first() else {
        return Err(start_failed("args must not be empty"));
    };
    match commands::find(&at.files, &at.working_directory, path_of(&at.environment), name) {
        Found::Program(_) | Found::Script(_) => {}
        Found::NotThere if name.contains('/') => {
            return Err(exec_failed(name, &format!("stat {name}: no such file or directory")));
        }
        Found::NotThere => return Err(exec_failed(name, "executable file not found in $PATH")),
        Found::NotExecutable => return Err(exec_failed(name, "permission denied")),
    }
    let mut interrupts = at.interrupts.clone();
    interrupts.mark_unchanged();
    let handles_them = at.is_terminal && words.len() == 1 && commands::is_shell(name);
    let mut shell = Shell::new(at);
    tokio::select! {
        biased;
        code = shell.program(words, io) => Ok(code),
        Ok(()) = interrupts.changed(), if !handles_them => Ok(shell::INTERRUPTED),
    }
}

/// Whether a container without files of its own could run it.
pub(crate) fn knows(words: &[String]) -> bool {
    let files = Files::new(jiff::Timestamp::UNIX_EPOCH);
    words
        .first()
        .is_some_and(|name| matches!(commands::find(&files, "/", PATH_DEFAULT, name), Found::Program(_)))
}

fn path_of(environment: &BTreeMap<String, String>) -> &str {
    environment.get("PATH").map_or(PATH_DEFAULT, String::as_str)
}

/// Where programs are looked for.
pub(crate) const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn start_failed(why: &str) -> String {
    format!("OCI runtime exec failed: exec failed: unable to start container process: {why}: unknown")
}

fn exec_failed(name: &str, why: &str) -> String {
    start_failed(&format!("exec: {name:?}: {why}"))
}

#[cfg(test)]
mod tests;
