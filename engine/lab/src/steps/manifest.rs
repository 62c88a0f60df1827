//! The objects of a step, written in it or in a file beside it.

use labkit_api::{Object, Resource};
use labkit_cluster::client::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::objects::{discover, is_built_in, namespace, resource};
use crate::text::{Text, text};

/// The objects: written here, or the name of a file beside this one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("x-one-of-fields" = {"what": "step", "fields": ["file", "manifest"]}))]
pub struct Manifest {
    /// A YAML file beside this one, of one or more documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// An object, a list of objects, or their YAML as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ManifestValue")]
    pub manifest: Option<Value>,
    /// The namespace of objects that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

struct ManifestValue;

impl JsonSchema for ManifestValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ManifestValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": ["object", "array", "string"]})
    }
}

/// An object of a manifest, and the namespace of those that name none.
pub(crate) struct Unlocated {
    object: Object,
    namespace: Option<String>,
}

impl Unlocated {
    /// The object with its resource, which the API server tells of a custom kind.
    pub async fn located(mut self, client: &Client) -> Result<Item, String> {
        let resource = discover(client, &self.object.kind, Some(&self.object.api_version)).await?;
        let named = Some(self.object.metadata.namespace.as_str()).filter(|name| !name.is_empty());
        self.object.metadata.namespace = namespace(&resource, named.or(self.namespace.as_deref()));
        Ok(Item { resource, object: self.object })
    }
}

/// An object of a manifest and its resource.
pub(crate) struct Item {
    pub resource: Resource,
    pub object: Object,
}

impl Item {
    /// `deployment.apps/web`, as kubectl prints it.
    pub fn printed(&self) -> String {
        printed(&self.resource, &self.object.metadata.name)
    }
}

/// `pod/web` or `deployment.apps/web`, as kubectl prints it.
pub(crate) fn printed(resource: &Resource, name: &str) -> String {
    let kind = resource.gvk.kind.to_lowercase();
    match resource.gvk.group.as_str() {
        "" => format!("{kind}/{name}"),
        group => format!("{kind}.{group}/{name}"),
    }
}

impl Manifest {
    /// The objects, in order.
    pub(crate) fn items(&self) -> Result<Vec<Unlocated>, Text> {
        let file = self.file.as_deref().unwrap_or_default();
        let value = self
            .manifest
            .as_ref()
            .ok_or_else(|| text!("the file {file} was not loaded", "파일 {file} 을(를) 읽지 않았습니다"))?;
        documents(value)?.into_iter().map(|value| self.item(value)).collect()
    }

    fn item(&self, value: Value) -> Result<Unlocated, Text> {
        let object = Object::from_value(value).map_err(|error| {
            text!("not an object of Kubernetes: {error}", "쿠버네티스 객체가 아닙니다: {error}")
        })?;
        if object.kind.is_empty() || object.api_version.is_empty() {
            return Err(Text::new(
                "an object needs apiVersion and kind",
                "객체에는 apiVersion 과 kind 가 있어야 합니다",
            ));
        }
        if object.metadata.name.is_empty() && object.metadata.generate_name.is_empty() {
            let kind = &object.kind;
            return Err(text!("this {kind} has no metadata.name", "이 {kind} 에 metadata.name 이 없습니다"));
        }
        if is_built_in(&object.api_version) {
            resource(&object.kind, Some(&object.api_version))?;
        }
        Ok(Unlocated { object, namespace: self.namespace.clone() })
    }

    /// `-f web.yaml`, or the objects' names.
    pub(crate) fn command(&self, verb: &str) -> String {
        match &self.file {
            Some(file) => format!("kubectl {verb} -f {file}"),
            None => format!("kubectl {verb} -f -"),
        }
    }
}

/// The documents of a manifest's value: an object, a list of objects, a `List`, or text.
pub(crate) fn documents(value: &Value) -> Result<Vec<Value>, Text> {
    let flat = match value {
        Value::String(text) => documents_of(text)?,
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let expanded =
        flat.into_iter().flat_map(|value| match (value["kind"].as_str(), value["items"].as_array()) {
            (Some("List"), Some(items)) => items.clone(),
            _ => vec![value],
        });
    Ok(expanded.collect())
}

/// The documents of a YAML text; empty ones are skipped.
pub(crate) fn documents_of(text: &str) -> Result<Vec<Value>, Text> {
    if let Some(excess) = crate::document::excess(text) {
        return Err(excess);
    }
    let parsed = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let parsed: Result<Vec<Value>, _> = parsed.collect();
    let documents = parsed.map_err(|error| text!("not YAML: {error}", "YAML 이 아닙니다: {error}"))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}
