//! OpenAPI v2: one document of everything that is served, for clients older than v3, as JSON or in gnostic's protobuf.
//! Counterpart: `k8s.io/kube-openapi/pkg/handler`, `pkg/builder`.
//!
//! It is made from the schemas of v3 when it is asked for, and not kept. What version 2 of the language cannot say is left
//! out, as upstream does: `oneOf` and its like, and the shape of what may be null.

mod wire;

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};
use labkit_client::Response;
use serde_json::{Map, Value, json};

use crate::custom::Served;
use crate::kinds::Kind;
use crate::openapi::{SCHEMAS, gvk, path_of, schemas};
use crate::storage::entry::to_json;
use crate::{negotiate, respond};

const JSON: &str = "application/json";
/// How protobuf is asked for: in upstream's old spelling, and in the one in which it answers.
const PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const DEFINITIONS: &str = "#/definitions/";

pub(crate) fn serve(served: &Served, headers: &HeaderMap) -> Response {
    match negotiate::first_accepted(headers, &[JSON, PROTOBUF_OLD, PROTOBUF]) {
        Some(JSON) => respond::with_etag(headers, JSON, to_json(&document(served))),
        Some(_) => respond::with_etag(headers, PROTOBUF, wire::encode(&document(served)).into()),
        None => respond::whole(StatusCode::NOT_ACCEPTABLE, "text/plain; charset=utf-8", bytes::Bytes::new()),
    }
}

fn document(served: &Served) -> Value {
    let group_versions = served.group_versions().iter();
    let kinds: Vec<&'static Kind> =
        group_versions.flat_map(|(group, version)| served.kinds_of(group, version)).collect();
    let mut definitions: Map<String, Value> = schemas(&kinds);
    definitions.values_mut().for_each(|schema| convert(schema, true));
    definitions.sort_keys();
    let names = names(&definitions);
    let mut paths = Map::new();
    for kind in kinds {
        add_paths(&mut paths, kind, &names);
    }
    paths.sort_keys();
    let token = json!({
        "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header",
    });
    json!({
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.32.4"}, "paths": paths,
        "definitions": definitions, "securityDefinitions": {"BearerToken": token},
        "security": [{"BearerToken": []}],
    })
}

/// Under which name the schema of a kind stands, by group, version and kind.
fn names(definitions: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (name, schema) in definitions {
        for own in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            names.insert(own.to_string(), name.clone());
        }
    }
    names
}

/// Turns a schema of v3 into one of v2.
fn convert(schema: &mut Value, is_root: bool) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(Value::Array(all)) = fields.get("allOf")
        && let [only] = all.as_slice()
        && let Some(target) = only.get("$ref").cloned()
    {
        fields.insert("$ref".to_owned(), target);
    }
    if let Some(Value::String(target)) = fields.get_mut("$ref") {
        *target = target.replace(SCHEMAS, DEFINITIONS);
        fields.retain(|name, _| matches!(name.as_str(), "$ref" | "description") || name.starts_with("x-"));
        return;
    }
    let is_int_or_string = fields.get("format").is_some_and(|format| format == "int-or-string");
    for name in ["allOf", "anyOf", "oneOf", "not"] {
        fields.shift_remove(name);
    }
    if is_int_or_string {
        fields.insert("type".to_owned(), json!("string"));
    }
    if fields.shift_remove("nullable") == Some(Value::Bool(true)) {
        fields.retain(|name, _| {
            !matches!(name.as_str(), "type" | "items" | "properties" | "additionalProperties")
        });
    }
    if !is_root && fields.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        fields.retain(|name, _| !matches!(name.as_str(), "items" | "properties" | "additionalProperties"));
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(|inner| convert(inner, false));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(name) {
            convert(inner, false);
        }
    }
}

fn add_paths(paths: &mut Map<String, Value>, kind: &Kind, names: &BTreeMap<String, String>) {
    let namespace = if kind.is_namespaced() { "/namespaces/{namespace}" } else { "" };
    let collection = format!("/{}{namespace}/{}", path_of(kind.group, kind.version), kind.plural);
    let operations = |all: &[(&str, &str)], parameters: Vec<Value>| {
        let mut path: Map<String, Value> = all
            .iter()
            .map(|(method, action)| ((*method).to_owned(), operation(kind, names, method, action)))
            .collect();
        if !parameters.is_empty() {
            path.insert("parameters".to_owned(), Value::Array(parameters));
        }
        Value::Object(path)
    };
    let place = |name: &str, what: String| {
        json!({
            "uniqueItems": true, "type": "string", "description": what, "name": name, "in": "path", "required": true,
        })
    };
    let namespaces = || {
        let what = "object name and auth scope, such as for teams and projects";
        kind.is_namespaced().then(|| place("namespace", what.to_owned()))
    };
    let of_collection: &[(&str, &str)] = match (kind.review, kind.computed) {
        (Some(_), _) => &[("post", "post")],
        (None, Some(_)) => &[("get", "list")],
        (None, None) => &[("get", "list"), ("post", "post"), ("delete", "deletecollection")],
    };
    paths.insert(collection.clone(), operations(of_collection, namespaces().into_iter().collect()));
    let of_object: &[(&str, &str)] = match (kind.review, kind.computed) {
        (Some(_), _) => return,
        (None, Some(_)) => &[("get", "get")],
        (None, None) => &[("get", "get"), ("put", "put"), ("patch", "patch"), ("delete", "delete")],
    };
    let name = place("name", format!("name of the {}", kind.kind));
    let parameters = [name].into_iter().chain(namespaces()).collect();
    paths.insert(format!("{collection}/{{name}}"), operations(of_object, parameters));
}

fn operation(kind: &Kind, names: &BTreeMap<String, String>, method: &str, action: &str) -> Value {
    let query = |name: &str| json!({"uniqueItems": true, "type": "string", "name": name, "in": "query"});
    let own = gvk(kind);
    let schema = names.get(&own.to_string()).map(|name| json!({"$ref": format!("{DEFINITIONS}{name}")}));
    let mut parameters: Vec<Value> = match method {
        "get" => Vec::new(),
        "delete" => vec![query("dryRun")],
        _ => ["dryRun", "fieldManager", "fieldValidation"].map(query).to_vec(),
    };
    if matches!(method, "put" | "post" | "patch") {
        let object = json!({"type": "object"});
        let schema = schema.clone().filter(|_| method != "patch").unwrap_or(object);
        parameters.push(json!({"name": "body", "in": "body", "required": true, "schema": schema}));
    }
    let mut answer = json!({"description": "OK"});
    if let Some(schema) = schema.filter(|_| matches!(action, "get" | "put" | "patch" | "post")) {
        answer["schema"] = schema;
    }
    let consumes = match method {
        "patch" => json!([
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
            "application/apply-patch+yaml",
        ]),
        _ => json!(["*/*"]),
    };
    json!({
        "consumes": consumes, "produces": ["application/json", "application/yaml"], "schemes": ["https"],
        "operationId": format!("{action}{}{}", kind.kind, kind.version), "parameters": parameters,
        "responses": {"200": answer, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": action, "x-kubernetes-group-version-kind": own,
    })
}
