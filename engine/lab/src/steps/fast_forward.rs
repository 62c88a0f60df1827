//! `fastForward`: time that passes at once.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Step, StepResult, StepVerb};
use crate::run::Run;
use crate::span::Span;

impl StepVerb for Span {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            run.cluster.world().clock().fast_forward(self.0).await;
            Ok(String::new())
        })
    }

    fn command(&self) -> String {
        format!("labkit clock +{self}")
    }
}
