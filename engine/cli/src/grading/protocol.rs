//! What the grader and its worker processes say to each other: one JSON document a line, orders on the worker's
//! stdin, answers on its stdout.

use labkit_lab::Report;
use serde::{Deserialize, Serialize};

/// Bytes of the longest answer that is read.
pub const ANSWER_MAX: u64 = 64 << 20;

/// One submission to grade.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The folder, as bytes: names of files need not be text.
    pub folder: Vec<u8>,
    pub student: String,
    pub seed: u64,
    /// Nothing is believed that the student's own run is said to have shown.
    pub replay_only: bool,
    /// What came of its script: the text of a submission, which is graded in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub played: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The lab is read; orders may come.
    Ready,
    Report(Box<Report>),
    /// It is a script, to be played before it can be graded.
    Script(String),
    /// It cannot be read as a submission; why, with the places.
    Refused(Vec<String>),
    /// The engine panicked.
    Panicked(String),
}
