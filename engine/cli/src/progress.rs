//! The student's best points, by course and lab, in the user's data folder.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::state::State;

/// Best points by lab.
pub type Labs = BTreeMap<String, Best>;

/// The best that was reached in one lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Best {
    pub points: u32,
    pub points_max: u32,
}

/// By course, then by lab.
type Courses = BTreeMap<String, Labs>;

/// What was reached in a course so far.
pub fn of(state: &State, course: &str) -> Labs {
    read(&state.progress_file()).unwrap_or_default().remove(course).unwrap_or_default()
}

/// Notes the points of a lab, if there were never more. What cannot be noted is said on stderr and is no
/// reason to fail: the grade itself stands.
pub fn note(course: &str, lab: &str, reached: Best) {
    let noted = State::open().and_then(|state| {
        let path = state.progress_file();
        note_in(&path, course, lab, reached)
            .map_err(|error| Failure::file("note your progress in", &path, &error))
    });
    if let Err(failure) = noted {
        eprintln!("warning: {}", failure.message);
    }
}

fn note_in(path: &Path, course: &str, lab: &str, reached: Best) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let lock =
        options.write(true).create(true).truncate(false).mode(0o600).open(path.with_extension("lock"))?;
    lock.lock()?;
    let mut courses = match read(path) {
        Ok(courses) => courses,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            // Somebody's hand was in it: what is there is kept aside, not lost.
            fs::rename(path, path.with_extension("json.unreadable"))?;
            Courses::default()
        }
        Err(error) => return Err(error),
    };
    let best = courses.entry(course.to_owned()).or_default().entry(lab.to_owned()).or_insert(reached);
    if reached.points >= best.points || reached.points_max != best.points_max {
        *best = reached;
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(serde_json::to_string_pretty(&courses)?.as_bytes())?;
    fresh.persist(path)?;
    Ok(())
}

fn read(path: &Path) -> io::Result<Courses> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Courses::default()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_points_are_noted_and_a_broken_file_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.json");
        let best = |points| Best { points, points_max: 15 };
        let noted = || read(&path).unwrap()["course"]["kill-the-leader"];
        for (points, expected) in [(6, 6), (4, 6), (15, 15)] {
            note_in(&path, "course", "kill-the-leader", best(points)).unwrap();
            assert_eq!(noted(), best(expected));
        }
        fs::write(&path, "not json").unwrap();
        note_in(&path, "course", "kill-the-leader", best(3)).unwrap();
        assert_eq!(noted(), best(3));
        assert_eq!(fs::read(folder.path().join("progress.json.unreadable")).unwrap(), b"not json");
    }
}
