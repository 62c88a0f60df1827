//! `start`: starts a component that was stopped.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Step, StepResult, StepVerb, text_verb};
use crate::run::Run;

text_verb! {
    /// `start: scheduler/0`
    Start, {"type": "string", "minLength": 1}
}

impl StepVerb for Start {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let started = run.start(&self.0).await?;
            Ok(format!("started {started}"))
        })
    }

    fn command(&self) -> String {
        format!("labkit fault start {}", self.0)
    }
}
