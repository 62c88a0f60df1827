//! `fault`: injects a fault now.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Step, StepResult, StepVerb};
use crate::faults::FaultSpec;
use crate::run::Run;

impl StepVerb for FaultSpec {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let target = run.strike(self).await?;
            run.heal_later(self);
            Ok(format!("{} {target}", self.verb().0))
        })
    }

    fn command(&self) -> String {
        format!("labkit fault {}", self.described())
    }
}
