//! The report of the last run, kept in the state folder for `labkit timeline`.

use std::fs;
use std::io::Write;

use labkit_lab::Report;

use crate::failure::Failure;
use crate::state::State;

/// Keeps a report in the place of the one before. It is for convenience: where it cannot be kept, nothing is said.
pub fn keep(report: &Report) {
    let _ = State::open().map(|state| {
        let path = state.last_run_file();
        let mut fresh = tempfile::NamedTempFile::new_in(path.parent()?).ok()?;
        fresh.write_all(serde_json::to_string(report).ok()?.as_bytes()).ok()?;
        fresh.persist(path).ok()
    });
}

/// The report of the last run, if there was one.
pub fn read() -> Result<Option<Report>, Failure> {
    let path = State::open()?.last_run_file();
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let message = format!("the record of the last run, {}, is no report: {error}", path.display());
            Failure::usage(message).next("labkit run LAB writes it anew")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file("read the last run in", &path, &error)),
    }
}
