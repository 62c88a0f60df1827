//! `answer`: a question of the lab, answered at this moment of the run.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Step, StepResult, StepVerb};
use crate::run::Run;
use crate::template::plain_text;

/// `answer: {id: leader, value: etcd2}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AnswerStep {
    /// The answer's id, as the lab's check names it.
    pub id: String,
    /// The answer.
    pub value: Value,
}

impl Step {
    /// The step that answers a question.
    pub(crate) fn answer(id: &str, value: Value) -> Step {
        Step { answer: Some(AnswerStep { id: id.to_owned(), value }), ..Step::default() }
    }
}

impl StepVerb for AnswerStep {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            run.answer(&self.id, self.value.clone());
            Ok(String::new())
        })
    }

    fn command(&self) -> String {
        format!("labkit answer {} {}", self.id, plain_text(&self.value))
    }
}
