//! `lab.yaml`: what is booted, what happens, what is asked and how it is judged.

use std::collections::BTreeMap;

use labkit_cluster::ClusterSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checks::Check;
use crate::faults::FaultSpec;
use crate::span::Span;
use crate::steps::Step;
use crate::text::Text;
use crate::variants::Variant;

/// A lab: a small control plane, tasks on it, and checks of what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Lab {
    pub api_version: ApiVersion,
    pub kind: LabKind,
    pub metadata: Metadata,
    /// The lab's title.
    pub title: Text,
    /// How long a student takes, in minutes.
    #[schemars(range(min = 1, max = 240))]
    pub minutes: u32,
    /// What the student knows or can do afterwards, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<Text>,
    /// The control plane that is booted: only what is named.
    pub cluster: ClusterSpec,
    /// Values that differ from student to student, used as `${name}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, Variant>,
    /// What a student's submission may do.
    #[serde(default)]
    pub submission: SubmissionRules,
    /// What is done before the first task begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<Step>,
    /// The tasks, one after the other.
    #[schemars(length(min = 1))]
    pub tasks: Vec<Task>,
}

/// The version of these files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    #[default]
    #[serde(rename = "labkit.dev/v1alpha1")]
    V1Alpha1,
}

/// `Lab`, the kind of this file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabKind {
    #[default]
    Lab,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metadata {
    /// The lab's name, the same as its folder's: kill-the-leader.
    #[schemars(regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"), length(max = 63))]
    pub name: String,
    /// Its number in the course, such as 2.4; without it, its place in its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]+[.][0-9]+$"))]
    pub number: Option<String>,
}

/// What a student's submission may do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SubmissionRules {
    /// The verbs that its steps may use. Answers are always allowed.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// A task. Its prose stands in README.md and README.ko.md, at `{{task ID}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Task {
    /// A short name, unique in the lab.
    #[schemars(regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub id: String,
    /// The task's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// The least time that passes from the task's beginning to its checks when it is graded. Without it the
    /// checks come as soon as the steps are done and the faults have struck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
    /// What breaks, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultSpec>,
    /// Hints, in the order in which they are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Hint>,
    /// What is judged.
    #[schemars(length(min = 1))]
    pub checks: Vec<Check>,
}

/// A hint. It is given on demand, and by itself once the named check has failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Hint {
    /// The check of this task that it helps with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_failed: Option<String>,
    /// The hint in English.
    #[schemars(length(min = 1))]
    pub en: String,
    /// The hint in Korean.
    #[schemars(length(min = 1))]
    pub ko: String,
}

impl Lab {
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    /// The sum of all checks' points.
    pub fn points_max(&self) -> u32 {
        self.tasks.iter().flat_map(|task| &task.checks).map(|check| check.points).sum()
    }
}

impl Hint {
    pub fn text(&self) -> Text {
        Text::new(&self.en, &self.ko)
    }
}
