//! `scale`: as `kubectl scale`.

use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_cluster::client::PatchKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::manifest::printed;
use super::{Step, StepResult, StepVerb};
use crate::objects::{discover, namespace};
use crate::run::Run;

/// `scale: {kind: Deployment, name: web, replicas: 3}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Scale {
    /// The object's kind: Deployment, ReplicaSet or a custom one with a scale.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace; `default` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How many replicas it shall have.
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: u32,
}

impl StepVerb for Scale {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let client = run.kubectl()?;
            let resource = discover(&client, &self.kind, None).await?;
            let namespace = namespace(&resource, self.namespace.as_deref());
            let patch = json!({"spec": {"replicas": self.replicas}});
            let scaled =
                client.patch(&resource, &namespace, &self.name, Some("scale"), PatchKind::Merge, patch).await;
            scaled?;
            Ok(format!("{} scaled", printed(&resource, &self.name)))
        })
    }

    fn command(&self) -> String {
        format!("kubectl scale {} {} --replicas={}", self.kind.to_lowercase(), self.name, self.replicas)
    }
}
