//! What a lab answers, by verb. `--json` prints these as they are.

use std::collections::BTreeMap;

use labkit_lab::report::InKorean;
use labkit_lab::{Language, Text};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// To `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub lab: String,
    pub title: Text,
    /// Its name in the record of progress.
    pub course: String,
    /// The process that runs the lab.
    pub pid: u32,
    /// The lab's date.
    pub now: String,
    /// Since the lab began, in its own time.
    pub elapsed_ms: u64,
    /// Whether its time stands.
    pub paused: bool,
    pub components: Vec<ComponentView>,
    pub faults: Vec<FaultView>,
    pub api_server_url: Option<String>,
    /// Member and URL.
    pub etcd_endpoints: Vec<(String, String)>,
    /// Variables for a shell.
    pub env: Vec<(String, String)>,
    /// At the last check; nothing before the first.
    pub points: Option<u32>,
    pub points_max: u32,
    /// Panics of components: bugs of the engine.
    pub bugs: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentView {
    /// `etcd/etcd1`
    pub target: String,
    pub state: ComponentState,
    /// `leader`, where one of several acts.
    pub role: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ComponentState {
    Running,
    Paused,
    Down,
}

/// A fault that was injected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultView {
    pub id: String,
    /// `kill`
    pub verb: String,
    /// Whom it met: a component or a link.
    pub target: String,
    /// The lab's date then.
    pub at: String,
    pub healed_at: Option<String>,
    /// Why it could not strike.
    pub error: Option<String>,
}

/// To `faults`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Faults {
    pub faults: Vec<FaultView>,
    pub components: Vec<ComponentView>,
}

/// To `check`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    pub lab: String,
    pub title: Text,
    pub points: u32,
    pub points_max: u32,
    pub tasks: Vec<TaskView>,
    /// Questions without an answer, and answers that are wrong so far.
    pub questions: Vec<Question>,
    /// The first task with something to do, from 0; none when all is done.
    pub current_task: Option<usize>,
    /// Whether that task was not the current one before.
    pub is_new_task: bool,
    pub bugs: Vec<String>,
}

/// To `news`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct News {
    /// How much news there was before the check.
    pub news: u64,
    /// How long the check took, in real time.
    pub took_ms: u64,
    pub paused: bool,
    pub checked: Checked,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    pub id: String,
    pub title: Option<Text>,
    /// Its part of the README, for a terminal.
    pub text: Text,
    /// Whether it is the current one, or one before.
    pub begun: bool,
    pub checks: Vec<CheckView>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckView {
    pub id: String,
    pub title: Text,
    pub points: u32,
    pub points_max: u32,
    pub verdict: Mark,
    /// The question that it is about, where no answer was given yet.
    pub unanswered: Option<String>,
    /// In English; `in_korean` has the rest.
    pub expected: String,
    pub actual: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_korean: Option<InKorean>,
    pub error: Option<String>,
    pub hint: Option<Text>,
}

impl CheckView {
    /// What was expected and what was found, in that language.
    pub fn said_in(&self, language: Language) -> (&str, &str) {
        match (&self.in_korean, language) {
            (Some(korean), Language::Ko) => (&korean.expected, &korean.actual),
            _ => (&self.expected, &self.actual),
        }
    }
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mark {
    Passed,
    /// Holds so far; judged over time.
    SoFar,
    NotYet,
    Failed,
    /// Another one must pass first.
    Skipped,
}

/// A question of the lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// As `labkit answer` takes it.
    pub id: String,
    pub title: Text,
    pub answer: Option<Value>,
    pub is_right: bool,
}

/// To `hint`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hints {
    /// Those given so far, the newest last.
    pub given: Vec<HintView>,
    /// How many more there are.
    pub left: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HintView {
    pub task: String,
    pub text: Text,
}

/// To `clock`, `pause`, `resume` and `step`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// The lab's date.
    pub now: String,
    /// Since the lab began, in its own time.
    pub elapsed_ms: u64,
    /// Whether its time stands.
    pub paused: bool,
}

/// To `fault`, `heal`, and stopping and starting a component: what was met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Met {
    /// The fault's id, to heal it by.
    pub id: Option<String>,
    pub targets: Vec<String>,
}

/// To `submit`: files of the submission's folder, by path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    pub lab: String,
    /// Whose variants the lab had, where somebody was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student: Option<String>,
    pub files: Vec<(String, String)>,
    pub steps: usize,
    pub answers: usize,
    /// At the last check, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<u32>,
    #[serde(default)]
    pub points_max: u32,
    /// What was done that this lab's submissions may not say: verbs, and how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, usize>,
}
