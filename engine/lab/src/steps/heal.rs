//! `heal`: takes a fault back.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Step, StepResult, StepVerb, text_verb};
use crate::run::Run;

text_verb! {
    /// `heal: crash`
    Heal, {"type": "string", "minLength": 1}
}

impl StepVerb for Heal {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move { Ok(format!("healed {}", run.heal(&self.0).await?)) })
    }

    fn command(&self) -> String {
        format!("labkit fault heal {}", self.0)
    }
}
