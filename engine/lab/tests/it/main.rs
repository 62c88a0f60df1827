//! The lab engine from outside: the course in this repository, bad input, live play.

mod bad_input;
mod course;
mod live;

use std::path::{Path, PathBuf};

use labkit_lab::{Files, LabFolder, load_lab, render_plain};

/// A folder on disk.
struct Folder(PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
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

/// A lab of the course.
fn lab(path: &str) -> LabFolder {
    let labs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs");
    load_lab(&Folder(labs), path).unwrap_or_else(|problems| panic!("\n{}", render_plain(&problems)))
}
