//! The course in this repository.

use std::io;
use std::path::{Path, PathBuf};

use labkit_lab::{
    Files, GradeOptions, LabFolder, LoadedCourse, Report, Submission, grade, load_course, render_plain,
};

/// The files of `labs/`.
struct Folder(PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(path))
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// Loads the course. Panics with its problems.
pub fn course() -> LoadedCourse {
    let labs = Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("../labs"));
    load_course(&labs)
        .unwrap_or_else(|problems| panic!("\n{}", render_plain(&problems, labkit_lab::Language::En)))
}

/// The labs' names, in the order of the course's folders.
pub fn lab_names() -> Vec<String> {
    course().labs.values().map(|lab| lab.name().to_owned()).collect()
}

/// One lab.
pub fn lab(name: &str) -> LabFolder {
    let found = course().labs.into_values().find(|lab| lab.name() == name);
    found.unwrap_or_else(|| panic!("no lab {name}"))
}

/// Grades one of the course's own submissions.
pub fn grade_own(lab: &LabFolder, name: &str, submission: &Submission, seed: u64) -> Report {
    let options =
        GradeOptions { seed, trusted: true, submission: name.to_owned(), ..GradeOptions::default() };
    grade(lab, submission, &options)
}
