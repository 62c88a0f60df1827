//! `replace`: as `kubectl replace -f`.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::{Step, StepResult, StepVerb};
use crate::run::Run;

/// `replace: {file: web.yaml}`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Replace(pub Manifest);

impl StepVerb for Replace {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let client = run.kubectl()?;
            let mut lines = Vec::new();
            for item in self.0.items()? {
                let item = item.located(&client).await?;
                client.replace(&item.resource, &item.object).await?;
                lines.push(format!("{} replaced", item.printed()));
            }
            Ok(lines.join("\n"))
        })
    }

    fn command(&self) -> String {
        self.0.command("replace")
    }
}
