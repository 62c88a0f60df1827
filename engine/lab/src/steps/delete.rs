//! `delete`: as `kubectl delete --wait=false`.

use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_cluster::client::DeleteOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, StepResult, StepVerb};
use crate::objects::{discover, namespace};
use crate::run::Run;

/// `delete: {kind: Pod, name: web}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Delete {
    /// The object's kind.
    pub kind: String,
    /// Its API version; needed only where two groups have the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Its name.
    pub name: String,
    /// Its namespace; `default` for kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// As --grace-period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<i64>,
}

impl StepVerb for Delete {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let client = run.kubectl()?;
            let resource = discover(&client, &self.kind, self.api_version.as_deref()).await?;
            let namespace = namespace(&resource, self.namespace.as_deref());
            let options = DeleteOptions {
                grace_period_seconds: self.grace_period_seconds,
                propagation_policy: Some("Background".to_owned()),
                ..DeleteOptions::default()
            };
            client.delete(&resource, &namespace, &self.name, &options).await?;
            Ok(format!("{} \"{}\" deleted", resource.gvk.kind.to_lowercase(), self.name))
        })
    }

    fn command(&self) -> String {
        format!("kubectl delete {} {}", self.kind.to_lowercase(), self.name)
    }
}
