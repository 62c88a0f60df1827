//! What a run came to: points, every check with what was expected and what was found, and the run's timeline.

mod bounds;
mod class;
mod csv;
mod gradescope;
mod junit;
mod markdown;
mod text;
mod timeline;
mod words;

use labkit_cluster::TimelineEntry;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::{Language, Text};

pub(crate) use bounds::shortened;
pub use class::{CheckStatistics, ClassReport, Graded, Outcome};
pub(crate) use timeline::{excerpt, story};

/// The result of grading a submission, or of a look at a live lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub lab: String,
    pub title: Text,
    pub seed: u64,
    /// Whose: `solution`, `start`, `wrong/...`, or a student's name.
    pub submission: String,
    pub points: u32,
    pub points_max: u32,
    pub tasks: Vec<TaskReport>,
    pub steps: Vec<StepReport>,
    pub faults: Vec<FaultReport>,
    /// How long the run took in its own time.
    pub virtual_ms: u64,
    /// What went wrong in the engine or in the lab itself. Any makes the report a failure.
    pub bugs: Vec<String>,
    /// What the run was made of: variants, answers, loads, the cluster at its end.
    pub tables: Tables,
    /// The messages of the run that tell its story.
    pub timeline: Vec<TimelineEntry>,
    /// Where a long run's timeline has gaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// Messages of a long run that its report does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// The id of the message before them; 0 where they come first.
    pub after: u64,
    pub count: usize,
    /// When the first and the last of them were sent.
    pub from_ms: u64,
    pub to_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskReport {
    pub id: String,
    pub checks: Vec<CheckReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    pub id: String,
    pub title: Text,
    pub points: u32,
    pub points_max: u32,
    pub verdict: Verdict,
    /// In English; `in_korean` has the rest.
    pub expected: String,
    pub actual: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_korean: Option<InKorean>,
    /// The last real error on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Text>,
    /// When it was settled.
    pub at_ms: u64,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub evidence: Value,
}

/// What a check expected and found, in Korean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InKorean {
    pub expected: String,
    pub actual: String,
}

impl CheckReport {
    pub fn expected_in(&self, language: Language) -> &str {
        match (&self.in_korean, language) {
            (Some(korean), Language::Ko) => &korean.expected,
            _ => &self.expected,
        }
    }

    pub fn actual_in(&self, language: Language) -> &str {
        match (&self.in_korean, language) {
            (Some(korean), Language::Ko) => &korean.actual,
            _ => &self.actual,
        }
    }

    /// Says what was expected and found.
    pub(crate) fn says(self, expected: &Text, actual: &Text) -> CheckReport {
        let same = expected.en == expected.ko && actual.en == actual.ko;
        let korean = || InKorean { expected: expected.ko.clone(), actual: actual.ko.clone() };
        CheckReport {
            in_korean: (!same).then(korean),
            expected: expected.en.clone(),
            actual: actual.en.clone(),
            ..self
        }
    }
}

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    Passed,
    Failed,
    /// A check that must come first did not pass.
    Skipped,
    /// Live: what must hold eventually does not hold yet.
    NotYet,
    /// Live: what must hold all the time has held so far.
    SoFar,
}

/// A step as it was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// What a person would have typed.
    pub command: String,
    pub at_ms: u64,
    pub output: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A fault as it struck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultReport {
    pub id: String,
    pub verb: String,
    /// Whom it met, resolved: `etcd/etcd2`.
    pub target: String,
    pub at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healed_ms: Option<u64>,
    /// Why it did not strike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a run was made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tables {
    /// The variants as they were drawn.
    pub variants: Value,
    pub answers: Value,
    /// By load: acknowledged, failed, unknown, outageMs.
    pub loads: Value,
    /// The components at the end: target, state, role.
    pub components: Vec<ComponentRow>,
}

/// A component at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentRow {
    pub target: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Report {
    /// The whole report. The same run gives the same bytes.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a report is plain data");
        text.push('\n');
        text
    }

    /// Full marks, and the engine had no trouble.
    pub fn passed(&self) -> bool {
        self.points == self.points_max
            && self.bugs.is_empty()
            && self.checks().all(|(_, check)| check.verdict.is_good())
    }

    /// Every check with its task's id.
    pub fn checks(&self) -> impl Iterator<Item = (&str, &CheckReport)> {
        self.tasks.iter().flat_map(|task| task.checks.iter().map(|check| (task.id.as_str(), check)))
    }

    /// `task/check` of every check that failed; those that were skipped for it are not among them.
    pub fn failed(&self) -> Vec<String> {
        let failed = self.checks().filter(|(_, check)| check.verdict == Verdict::Failed);
        failed.map(|(task, check)| format!("{task}/{}", check.id)).collect()
    }
}

impl Verdict {
    /// Passed, or not broken so far.
    pub fn is_good(self) -> bool {
        matches!(self, Verdict::Passed | Verdict::SoFar)
    }
}
