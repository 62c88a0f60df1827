//! The schema of a custom kind as a component of an OpenAPI document: that of the definition, with what every object
//! has. Counterpart: `apiextensions-apiserver/pkg/controller/openapi/builder`.

use serde_json::{Map, Value, json};

use super::structural::flag;
use crate::kinds::Kind;
use crate::openapi::gvk;

const METADATA: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas \
     to the latest internal value, and may reject unrecognized values. More info: \
     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint \
     the client submits requests to. Cannot be updated. In CamelCase. More info: \
     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// The schema with its name: `com.example.stable.v1.CronTab`. A built-in kind has none here.
pub(crate) fn components(kind: &Kind) -> Option<(String, Value)> {
    let custom = kind.custom?;
    let reversed: Vec<&str> = kind.group.split('.').rev().collect();
    let name = format!("{}.{}.{}", reversed.join("."), kind.version, kind.kind);
    let mut schema = custom.schema_source.clone();
    complete(&mut schema, true);
    schema["x-kubernetes-group-version-kind"] = json!([gvk(kind)]);
    if !kind.selectable_fields.is_empty() {
        let fields: Vec<Value> =
            kind.selectable_fields.iter().map(|path| json!({"fieldPath": path})).collect();
        schema["x-kubernetes-selectable-fields"] = Value::Array(fields);
    }
    Some((name, schema))
}

/// Says what objects have without saying so, and what a number or text is.
fn complete(schema: &mut Value, is_root: bool) {
    if is_root || flag(schema, "x-kubernetes-embedded-resource") {
        let mut properties = Map::new();
        properties.insert("apiVersion".to_owned(), json!({"description": API_VERSION, "type": "string"}));
        properties.insert("kind".to_owned(), json!({"description": KIND, "type": "string"}));
        let description = "Standard object's metadata. More info: \
             https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
        properties.insert(
            "metadata".to_owned(),
            json!({"description": description, "allOf": [{"$ref": METADATA}], "default": {}}),
        );
        let own = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let others = own.into_iter().filter(|(name, _)| !properties.contains_key(name)).collect::<Vec<_>>();
        properties.extend(others);
        schema["properties"] = Value::Object(properties);
    }
    if flag(schema, "x-kubernetes-int-or-string")
        && schema.get("anyOf").is_none()
        && schema.get("allOf").is_none()
    {
        schema["anyOf"] = json!([{"type": "integer"}, {"type": "string"}]);
    }
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        let is_own = |name: &str| is_root && matches!(name, "apiVersion" | "kind" | "metadata");
        properties.iter_mut().filter(|(name, _)| !is_own(name)).for_each(|(_, inner)| complete(inner, false));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(name).filter(|inner| inner.is_object()) {
            complete(inner, false);
        }
    }
}
