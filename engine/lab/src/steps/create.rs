//! `create`: as `kubectl create -f`.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, printed};
use super::{Step, StepResult, StepVerb};
use crate::run::Run;

/// `create: {file: web.yaml}`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Create(pub Manifest);

impl StepVerb for Create {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let client = run.kubectl()?;
            let mut lines = Vec::new();
            for item in self.0.items()? {
                let item = item.located(&client).await?;
                let created = client.create(&item.resource, &item.object).await?;
                lines.push(format!("{} created", printed(&item.resource, &created.metadata.name)));
            }
            Ok(lines.join("\n"))
        })
    }

    fn command(&self) -> String {
        self.0.command("create")
    }
}
