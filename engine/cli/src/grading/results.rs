//! The folder of results: a report a student as it is done, a summary at the end. Every file is written whole or
//! not at all, so that an interruption or a full disk leaves what was done before.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use labkit_lab::{ClassReport, Graded, LabFolder, Language, Outcome, Report};
use serde::{Deserialize, Serialize};

use super::class::Submitted;

/// Bytes of the longest name that is made of a student's.
const NAME_MAX: usize = 120;

/// The folder.
#[derive(Debug)]
pub struct Results {
    folder: PathBuf,
    language: Language,
    gradescope: bool,
    made_with: MadeWith,
}

/// What a report depends on besides the submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MadeWith {
    labkit: String,
    lab: String,
    /// Changes when the lab does.
    lab_digest: String,
    /// Whether scripts were run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    scripts: bool,
}

/// A student's file, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "madeWith")]
    made_with: &'a MadeWith,
    graded: &'a Graded,
    report: &'a Report,
}

/// A student's file, as it is read again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    made_with: MadeWith,
    graded: Graded,
}

impl Results {
    /// The folder, made where it is not there.
    pub fn open(
        folder: &Path,
        lab: &LabFolder,
        language: Language,
        gradescope: bool,
        scripts: bool,
    ) -> io::Result<Results> {
        fs::create_dir_all(folder.join("reports"))?;
        let made_with = MadeWith {
            labkit: env!("CARGO_PKG_VERSION").to_owned(),
            lab: lab.name().to_owned(),
            lab_digest: format!("{:016x}", lab.digest()),
            scripts,
        };
        Ok(Results { folder: folder.to_owned(), language, gradescope, made_with })
    }

    /// Writes a student's reports.
    pub fn keep(&self, graded: &Graded, report: &Report) -> io::Result<()> {
        let written = Written { made_with: &self.made_with, graded, report };
        let json = serde_json::to_string_pretty(&written).expect("a report is plain data");
        if self.gradescope {
            let results = graded.to_gradescope(self.language);
            let results = serde_json::to_string_pretty(&results).expect("results are plain data");
            self.write(&self.report(&graded.student, "results.json"), &results)?;
        }
        self.write(&self.report(&graded.student, "md"), &graded.to_markdown(report, self.language))?;
        // Last, because it stands for all of them when grading is resumed.
        self.write(&self.report(&graded.student, "json"), &json)
    }

    /// What an earlier run made of a submission, if the lab and labkit are still the same. One that went over its
    /// limits or met a bug is to be graded again.
    pub fn kept(&self, submitted: &Submitted) -> Option<Graded> {
        let bytes = fs::read(self.report(&submitted.student, "json")).ok()?;
        let Kept { made_with, graded } = serde_json::from_slice(&bytes).ok()?;
        let is_final = matches!(graded.outcome, Outcome::Graded | Outcome::Refused);
        let same = graded.student == submitted.student && graded.seed == submitted.seed;
        (made_with == self.made_with && is_final && same).then_some(graded)
    }

    /// Writes what the class came to.
    pub fn summarize(&self, class: &ClassReport) -> io::Result<()> {
        self.write(&self.folder.join("summary.csv"), &class.to_csv())?;
        self.write(&self.folder.join("summary.json"), &class.to_json())?;
        self.write(&self.folder.join("summary.md"), &class.to_markdown(self.language))?;
        self.write(&self.folder.join("junit.xml"), &class.to_junit())
    }

    fn report(&self, student: &str, extension: &str) -> PathBuf {
        self.folder.join("reports").join(format!("{}.{extension}", file_name(student)))
    }

    /// Beside its place, then moved there. Only its owner may read it: grades are private.
    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    }
}

/// A file's name for a student: letters and digits of any script, `-`, `_`, `.` and blanks stay; the rest becomes
/// %XX. What is too long ends in a number of its own.
fn file_name(student: &str) -> String {
    let mut name = String::new();
    for (index, c) in student.chars().enumerate() {
        match c.is_alphanumeric() || c == '-' || c == '_' || ((c == '.' || c == ' ') && index > 0) {
            true => name.push(c),
            false => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| name.push_str(&format!("%{byte:02X}")))
            }
        }
    }
    if name.len() > NAME_MAX {
        let number = labkit_sim::seed::fnv1a(student.as_bytes());
        name.truncate(name.floor_char_boundary(NAME_MAX));
        name.push_str(&format!("%-{number:016x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_safe_and_different() {
        assert_eq!(file_name("김민수_12"), "김민수_12");
        assert_eq!(file_name("../x"), "%2E.%2Fx");
        assert_eq!(file_name("a%2Fb"), "a%252Fb");
        assert_eq!(file_name("a\\x1b"), "a%5Cx1b");
        let (one, other) = (file_name(&"가".repeat(200)), file_name(&"가".repeat(201)));
        assert!(one != other && one.len() < 160, "{one} {other}");
    }
}
