//! `submission.yaml`: what a student did and answered. `start/`, `solution/` and `wrong/*` are submissions too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lab::ApiVersion;
use crate::steps::Step;
use crate::text::Text;

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
    /// A shell script that plays the lab with kubectl, etcdctl and labkit, in the place of steps. It runs only in a
    /// sandbox, and only where whoever grades allows scripts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub script: Option<String>,
    /// What was answered, by the answer's id.
    #[serde(default)]
    pub answers: BTreeMap<String, Value>,
    /// What the live run showed, for answers that are judged by it: written by `labkit submit`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub observed: BTreeMap<String, Value>,
    /// What must fail: only in `wrong/*`, ignored in a student's submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// Mutants of the solution that are none: only in `solution/`, ignored in a student's submission.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equivalent: Vec<Equivalent>,
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

/// Mutants of a solution that may have full marks, because they are as right as it is, or because nobody can tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Equivalent {
    /// Their names, as `labkit lint` tells them: without-step-3, step-2.scale.replicas.
    #[schemars(length(min = 1))]
    pub mutants: Vec<String>,
    /// Why they cost nothing.
    pub because: Text,
}

impl Submission {
    /// An empty submission for a lab.
    pub fn new(lab: &str) -> Submission {
        Submission {
            api_version: ApiVersion::default(),
            kind: SubmissionKind::default(),
            lab: lab.to_owned(),
            steps: Vec::new(),
            script: None,
            answers: BTreeMap::new(),
            observed: BTreeMap::new(),
            expect: None,
            equivalent: Vec::new(),
        }
    }

    /// Without what only the course's own submissions say.
    pub(crate) fn into_a_students(self) -> Submission {
        Submission { expect: None, equivalent: Vec::new(), ..self }
    }

    /// The file's text, as `labkit submit` writes it.
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(self).expect("a submission is made of plain data")
    }
}
