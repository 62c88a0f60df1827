//! `submission.yaml`: what a student did and answered. `start/`, `solution/` and `wrong/*` are submissions too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lab::ApiVersion;
use crate::steps::Step;

/// What a student did and answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Submission {
    pub api_version: ApiVersion,
    pub kind: SubmissionKind,
    /// The name of the lab.
    pub lab: String,
    /// What was done, in order.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub steps: Vec<Step>,
    /// What was answered, by the answer's id.
    #[serde(default)]
    pub answers: BTreeMap<String, Value>,
    /// What the live run showed, for answers that are judged by it: written by `labkit submit`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub observed: BTreeMap<String, Value>,
    /// What must fail: only in `wrong/*`, ignored in a student's submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// `Submission`, the kind of this file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubmissionKind {
    #[default]
    Submission,
}

/// What a wrong submission is wrong about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Expect {
    /// Exactly these checks fail, as `task/check`. Those that are skipped because of them are not listed.
    #[schemars(length(min = 1))]
    pub fails: Vec<String>,
}

impl Submission {
    /// An empty submission for a lab.
    pub fn new(lab: &str) -> Submission {
        Submission {
            api_version: ApiVersion::default(),
            kind: SubmissionKind::default(),
            lab: lab.to_owned(),
            steps: Vec::new(),
            answers: BTreeMap::new(),
            observed: BTreeMap::new(),
            expect: None,
        }
    }

    /// The file's text, as `labkit submit` writes it.
    pub fn to_yaml(&self) -> String {
        let head = "# yaml-language-server: $schema=../../schemas/submission.schema.json\n";
        let body = serde_yaml::to_string(self).expect("a submission is made of plain data");
        format!("{head}{body}")
    }
}
