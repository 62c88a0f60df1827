//! `apply`: kubectl's client-side apply, a three-way merge between what was applied last, what is wanted
//! and what is there.

use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_api::patch::apply_patch;
use labkit_cluster::client::{Client, PatchKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::manifest::{Item, Manifest};
use super::{Step, StepResult, StepVerb};
use crate::objects::is_built_in;
use crate::run::Run;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `apply: {file: web.yaml}`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Apply(pub Manifest);

impl StepVerb for Apply {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let client = run.kubectl()?;
            let mut printed = Vec::new();
            for item in self.0.items()? {
                let item = item.located(&client).await?;
                let done = apply(&client, &item).await?;
                printed.push(format!("{} {done}", item.printed()));
            }
            Ok(printed.join("\n"))
        })
    }

    fn command(&self) -> String {
        self.0.command("apply")
    }
}

async fn apply(client: &Client, item: &Item) -> Result<&'static str, String> {
    let Item { resource, object } = item;
    let (namespace, name) = (&object.metadata.namespace, &object.metadata.name);
    let modified = with_last_applied(object.to_value());
    let live = match client.get(resource, namespace, name).await {
        Ok(live) => live.to_value(),
        Err(error) if error.is_not_found() => {
            let object = labkit_api::Object::from_value(modified).map_err(|error| error.to_string())?;
            return client
                .create(resource, &object)
                .await
                .map(|_| "created")
                .map_err(|error| error.to_string());
        }
        Err(error) => return Err(error.to_string()),
    };
    let last_applied = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let last_applied = last_applied.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    let patch = apply_patch(&resource.gvk, &last_applied, &modified, &live);
    if patch.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok("unchanged");
    }
    // Of a custom kind the lists have no keys that a client knows.
    let is_built_in = is_built_in(&resource.gvk.api_version());
    let kind = if is_built_in { PatchKind::Strategic } else { PatchKind::Merge };
    let patched = client.patch(resource, namespace, name, None, kind, patch).await;
    patched.map(|_| "configured").map_err(|error| error.to_string())
}

/// The object with itself in its annotation, as kubectl writes it.
fn with_last_applied(mut object: Value) -> Value {
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.shift_remove(LAST_APPLIED);
    } else {
        object["metadata"]["annotations"] = json!({});
    }
    let text = format!("{object}\n");
    object["metadata"]["annotations"][LAST_APPLIED] = json!(text);
    object
}
