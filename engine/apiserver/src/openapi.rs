//! OpenAPI v3: for each group and version the operations on its kinds and the schemas of their objects, with
//! upstream's descriptions as k8s-openapi carries them and the keys by which patches merge lists.
//! Counterpart: `k8s.io/kube-openapi/pkg/handler3`.
//!
//! A document is made when it is asked for and not kept; clients keep it, by its hash.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use labkit_api::patch::{PatchSchema, PatchStrategy};
use labkit_client::Response;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::custom::{Served, open_api_document};
use crate::kinds::{Kind, group_versions};
use crate::query::Query;
use crate::respond;
use crate::storage::entry::to_json;

/// Where references between schemas lead.
pub(crate) const SCHEMAS: &str = "#/components/schemas/";

/// The entries of the index for built-in kinds: the path of each document, with its hash. They never change.
static ENTRIES: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let built_in = Served::built_in();
    group_versions().iter().map(|(group, version)| entry(&built_in, group, version)).collect()
});

fn entry(served: &Served, group: &str, version: &str) -> (String, Value) {
    let path = path_of(group, version);
    let hash = format!("{:X}", Sha256::digest(document(served, group, version)));
    let entry = json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")});
    (path, entry)
}

/// The index of the documents.
fn index(served: &Served) -> Bytes {
    let mut paths: Map<String, Value> = ENTRIES.iter().cloned().collect();
    for (group, version) in served.group_versions() {
        if served.has_custom(group, version) {
            paths.extend([entry(served, group, version)]);
        }
    }
    to_json(&json!({"paths": paths}))
}

pub(crate) fn serve(served: &Served, headers: &HeaderMap, rest: &[&str], query: &Query) -> Response {
    let body = match rest {
        [] => served.open_api_index.get_or_init(|| index(served)).clone(),
        ["api", version] if served.group_versions().contains(&("", *version)) => {
            document(served, "", version)
        }
        ["apis", group, version]
            if served.group_versions().contains(&(*group, *version))
                && served.remote(group, version).is_none() =>
        {
            document(served, group, version)
        }
        _ => return respond::page_not_found(),
    };
    let mut response = respond::with_etag(headers, "application/json", body);
    if !query.get("hash").is_empty() {
        let forever = HeaderValue::from_static("public, immutable");
        response.headers_mut().insert(http::header::CACHE_CONTROL, forever);
    }
    response
}

pub(crate) fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn document(served: &Served, group: &str, version: &str) -> Bytes {
    let kinds = served.kinds_of(group, version);
    let mut paths = Map::new();
    for kind in &kinds {
        let scope = if kind.is_namespaced() { "/namespaces/{namespace}" } else { "" };
        let collection = format!("/{}{scope}/{}", path_of(group, version), kind.plural);
        if kind.review.is_some() {
            paths.insert(collection, json!({"post": operation(kind, "post", "post")}));
            continue;
        }
        if kind.computed.is_some() {
            paths.insert(format!("{collection}/{{name}}"), json!({"get": operation(kind, "get", "get")}));
            paths.insert(collection, json!({"get": operation(kind, "get", "list")}));
            continue;
        }
        let operations = |all: &[(&str, &str)]| -> Value {
            all.iter()
                .map(|(method, action)| ((*method).to_owned(), operation(kind, method, action)))
                .collect()
        };
        paths.insert(collection.clone(), operations(&[("get", "list"), ("post", "post")]));
        let object = operations(&[("get", "get"), ("put", "put"), ("patch", "patch"), ("delete", "delete")]);
        paths.insert(format!("{collection}/{{name}}"), object);
    }
    to_json(&json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.32.4"}, "paths": paths,
        "components": {"schemas": schemas(&kinds)},
    }))
}

fn operation(kind: &Kind, method: &str, action: &str) -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let parameters: Vec<Value> = match method {
        "get" => Vec::new(),
        "delete" => vec![parameter("dryRun")],
        _ => ["dryRun", "fieldManager", "fieldValidation"].map(parameter).to_vec(),
    };
    json!({
        "operationId": format!("{action}{}{}", kind.kind, kind.version),
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk(kind),
    })
}

pub(crate) fn gvk(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

/// The schemas of the kinds and of all that they are made of.
pub(crate) fn schemas(kinds: &[&'static Kind]) -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let (customs, built_in): (Vec<&Kind>, Vec<&Kind>) =
        kinds.iter().copied().partition(|kind| kind.custom.is_some());
    let roots: Vec<(String, &Kind)> =
        built_in.into_iter().map(|kind| ((kind.schema)(&mut generator), kind)).collect();
    if !customs.is_empty() {
        generator.subschema_for::<ObjectMeta>();
    }
    let mut schemas = generator.take_definitions(true);
    for schema in schemas.values_mut() {
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            // The types of the library demand what the API does not.
            required.retain(|name| name != "metadata");
            if required.is_empty() {
                schema.as_object_mut().expect("it has a field").shift_remove("required");
            }
        }
    }
    let mut seen = BTreeSet::new();
    for (name, kind) in roots {
        schemas[&name]["x-kubernetes-group-version-kind"] = json!([gvk(kind)]);
        add_merge_keys(&mut schemas, &name, PatchSchema::of(&kind.gvk()), &mut seen);
    }
    for kind in customs {
        schemas.extend(open_api_document::components(kind));
    }
    for (name, schema) in &mut schemas {
        if name.ends_with(".IntOrString") {
            schema["format"] = json!("int-or-string");
            schema["oneOf"] = json!([{"type": "integer"}, {"type": "string"}]);
        }
    }
    schemas
}

/// Tells how a strategic merge patch treats the lists of a type, and of the types of its fields.
fn add_merge_keys(
    schemas: &mut Map<String, Value>,
    name: &str,
    patch: PatchSchema,
    seen: &mut BTreeSet<(String, PatchSchema)>,
) {
    if !seen.insert((name.to_owned(), patch)) {
        return;
    }
    let Some(properties) =
        schemas.get_mut(name).and_then(|schema| schema.get_mut("properties")?.as_object_mut())
    else {
        return;
    };
    let mut inner = Vec::new();
    for (field, property) in properties.iter_mut() {
        let (below, strategy) = patch.field(field);
        annotate(property, strategy);
        let item = if property.get("items").is_some() { &property["items"] } else { &*property };
        inner.extend(reference(item).map(|name| (name, below)));
    }
    for (name, below) in inner {
        add_merge_keys(schemas, &name, below, seen);
    }
}

fn annotate(property: &mut Value, strategy: PatchStrategy) {
    if let Some(key) = strategy.merge_key() {
        property["x-kubernetes-patch-merge-key"] = json!(key);
    }
    let words: Vec<&str> = [(strategy.merges_lists(), "merge"), (strategy.retains_keys(), "retainKeys")]
        .into_iter()
        .filter_map(|(applies, word)| applies.then_some(word))
        .collect();
    if !words.is_empty() {
        property["x-kubernetes-patch-strategy"] = json!(words.join(","));
    }
}

/// The schema that a place refers to, directly or beside a description.
fn reference(place: &Value) -> Option<String> {
    let target = place.get("$ref").or_else(|| place.get("allOf")?.get(0)?.get("$ref"))?;
    Some(target.as_str()?.strip_prefix(SCHEMAS)?.to_owned())
}
