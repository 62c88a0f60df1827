//! `patch`: as `kubectl patch`.

use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_cluster::client::PatchKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::manifest::printed;
use super::{Step, StepResult, StepVerb};
use crate::objects::{discover, is_built_in, namespace};
use crate::run::Run;

/// `patch: {kind: Node, name: worker1, patch: {spec: {unschedulable: true}}}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Patch {
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
    /// The subresource that is patched, such as status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// How the patch is read.
    #[serde(default, rename = "type")]
    pub kind_of_patch: PatchType,
    /// The patch.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub patch: Value,
}

/// How a patch is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PatchType {
    /// Lists are merged by their keys.
    #[default]
    Strategic,
    /// Lists are replaced: RFC 7396.
    Merge,
}

impl StepVerb for Patch {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let client = run.kubectl()?;
            let resource = discover(&client, &self.kind, self.api_version.as_deref()).await?;
            let namespace = namespace(&resource, self.namespace.as_deref());
            // Of a custom kind the lists have no keys.
            let kind = match self.kind_of_patch {
                PatchType::Strategic if is_built_in(&resource.gvk.api_version()) => PatchKind::Strategic,
                PatchType::Strategic | PatchType::Merge => PatchKind::Merge,
            };
            let subresource = self.subresource.as_deref();
            let patched =
                client.patch(&resource, &namespace, &self.name, subresource, kind, self.patch.clone()).await;
            patched?;
            Ok(format!("{} patched", printed(&resource, &self.name)))
        })
    }

    fn command(&self) -> String {
        format!("kubectl patch {} {} -p '{}'", self.kind.to_lowercase(), self.name, self.patch)
    }
}
