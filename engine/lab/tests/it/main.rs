//! The lab engine from outside: the course in this repository, bad input, live play.

mod bad_input;
mod course;
mod lint;
mod live;
mod raft;
mod timing;
mod verbs;

use std::path::{Path, PathBuf};

use labkit_lab::{
    Files, GradeOptions, LabFolder, Language, MemoryFiles, Report, grade, load_lab, render_plain,
};

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
    load_lab(&Folder(labs), path)
        .unwrap_or_else(|problems| panic!("\n{}", render_plain(&problems, Language::En)))
}

/// A lab made on the spot: its cluster, setup and tasks, with `steps` as its solution; all in YAML.
fn made(cluster: &str, setup: &str, tasks: &str, steps: &str) -> LabFolder {
    let head = "apiVersion: labkit.dev/v1alpha1\n";
    let verbs = "apply, create, replace, patch, delete, scale, etcdctl, fault, heal, stop, start, wait, fastForward, raft, answer";
    let lab = format!(
        "{head}kind: Lab\nmetadata: {{name: made}}\ntitle: {{en: Made, ko: 만든 실습}}\nminutes: 1\n\
         cluster: {cluster}\nsubmission: {{allow: [{verbs}]}}\nsetup:{setup}\ntasks:{tasks}\n"
    );
    let submission = |steps: &str| format!("{head}kind: Submission\nlab: made\nsteps:{steps}\n");
    let prose: String = lab
        .lines()
        .filter_map(|line| line.strip_prefix("  - id: "))
        .map(|id| format!("{{{{task {id}}}}}\n"))
        .collect();
    let files = [
        ("lab.yaml", lab),
        ("README.md", prose.clone()),
        ("README.ko.md", prose),
        ("start/submission.yaml", submission(" []")),
        ("solution/submission.yaml", submission(steps)),
    ];
    let files = MemoryFiles(files.map(|(path, text)| (path.to_owned(), text.into_bytes())).into());
    load_lab(&files, "").unwrap_or_else(|problems| panic!("\n{}", render_plain(&problems, Language::En)))
}

/// Grades the solution of a lab that was made on the spot.
fn graded(cluster: &str, setup: &str, tasks: &str, steps: &str) -> Report {
    let lab = made(cluster, setup, tasks, steps);
    let report =
        grade(&lab, &lab.solution, &GradeOptions { seed: 1, trusted: true, ..GradeOptions::default() });
    assert_eq!(report.bugs, Vec::<String>::new());
    report
}
