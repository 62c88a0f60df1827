//! `stop`: stops a component, or a load.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Step, StepResult, StepVerb, text_verb};
use crate::run::Run;

text_verb! {
    /// `stop: scheduler/0`
    Stop, {"type": "string", "minLength": 1}
}

impl StepVerb for Stop {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            if let Some(load) = self.0.strip_prefix("load/") {
                run.stop_load(load)?;
                return Ok(format!("stopped {}", self.0));
            }
            let stopped = run.stop(&self.0).await?;
            Ok(format!("stopped {stopped}"))
        })
    }

    fn command(&self) -> String {
        format!("labkit fault stop {}", self.0)
    }
}
