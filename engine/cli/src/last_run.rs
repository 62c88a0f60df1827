//! The report of the last run, kept in the state folder for `labkit timeline`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use labkit_lab::{History, Report};
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::state::State;

/// Keeps a report in the place of the one before, and what the store had. It is for convenience: where it cannot be
/// kept, nothing is said.
pub fn keep(report: &Report, history: Option<&History>) {
    let Ok(state) = State::open() else { return };
    let put = |path: PathBuf, bytes: Option<Vec<u8>>| {
        let mut fresh = tempfile::NamedTempFile::new_in(path.parent()?).ok()?;
        fresh.write_all(&bytes?).ok()?;
        fresh.persist(path).ok()
    };
    // What belongs to the run before would be told as this one's.
    let _ = fs::remove_file(state.last_store_file());
    put(state.last_run_file(), serde_json::to_vec(report).ok());
    put(state.last_store_file(), history.and_then(|history| serde_json::to_vec(history).ok()));
}

/// What the store had in the last run, if that is known.
pub fn history() -> Result<Option<History>, Failure> {
    read_from(&State::open()?.last_store_file())
}

/// The report of the last run, if there was one.
pub fn read() -> Result<Option<Report>, Failure> {
    read_from(&State::open()?.last_run_file())
}

fn read_from<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let message = format!("the record of the last run, {}, cannot be read: {error}", path.display());
            Failure::usage(message).next("labkit run LAB writes it anew")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file("read the last run in", path, &error)),
    }
}
