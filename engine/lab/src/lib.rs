//! Labs as data: a YAML file is read, a small control plane is booted from it, a submission is replayed on it,
//! faults strike, checks judge, a report says what came of it.
//!
//! - [`text`], [`span`], [`cel`], [`objects`], [`template`], `words`: the values that lab files are made of.
//! - [`course`], [`lab`], [`submission`], [`variants`]: the files' types. A step, fault or check is a struct
//!   of common fields plus one optional field per verb, from one list per kind: [`steps`], [`faults`],
//!   [`checks`], made by `verbs`.
//! - [`files`], [`load`], `document`, [`diagnostic`], [`schema`]: reading, with every problem of every file at
//!   once, at its place.
//! - `run`: a lab that is being played. [`grade`] drives it in virtual pace, [`session`] live.
//! - [`report`]: what came of it, as JSON, text, Markdown, JUnit; a class, as CSV and for Gradescope, too.
//!   [`query`]: a part of what was said; [`past`]: the store at a revision.
//! - [`lint`]: a lab proves itself, with `mutants` of its solution.
//!
//! Invariants: no file is opened here, files come through [`Files`]. The same lab, submission and seed give the
//! same bytes. A student's mistake is a verdict; an engine's is a line of the report.

pub mod cel;
pub mod checks;
pub mod course;
pub mod diagnostic;
mod document;
mod export;
pub mod faults;
pub mod files;
#[cfg(test)]
mod golden;
pub mod grade;
pub mod lab;
pub mod lint;
pub mod load;
mod mutants;
pub mod objects;
pub mod past;
pub mod query;
pub mod report;
mod run;
pub mod schema;
pub mod session;
pub mod span;
pub mod steps;
pub mod submission;
mod template;
pub mod text;
pub mod variants;
mod verbs;
mod words;

pub use course::{Course, CourseSession};
pub use diagnostic::{Diagnostic, render_plain};
pub use document::did_you_mean;
pub use files::{Files, MemoryFiles};
pub use grade::{GradeOptions, grade, grade_with_history};
pub use lab::{Lab, Task};
pub use lint::{LintResult, Survivor, lint_course, lint_lab};
pub use load::{LabFolder, LoadedCourse, load_course, load_lab, load_submission};
pub use past::{History, Past, PastKey};
pub use query::{Query, Wanted};
pub use report::{
    CheckReport, CheckStatistics, ClassReport, FaultReport, Graded, LeftOut, Outcome, Report, StepReport,
    TaskReport, Verdict,
};
pub use schema::{schema_text, schemas};
pub use session::{Session, Snapshot};
pub use submission::{Equivalent, Expect, Submission};
pub use text::{Language, Text};
pub use variants::student_seed;
