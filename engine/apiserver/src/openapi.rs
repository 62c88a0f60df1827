//! The least of OpenAPI v3 that lets kubectl leave validation to the server: the operations that write, with
//! their kind and the query parameters `dryRun` and `fieldValidation`. Schemas are absent.

use http::{HeaderMap, HeaderValue};
use labkit_client::Response;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::kinds::{KINDS, Kind, group_versions};
use crate::query::Query;
use crate::respond;
use crate::storage::entry::to_json;

pub(crate) fn serve(headers: &HeaderMap, rest: &[&str], query: &Query) -> Response {
    let document = match rest {
        [] => index(),
        ["api", version] if group_versions().contains(&("", *version)) => document("", version),
        ["apis", group, version] if group_versions().contains(&(*group, *version)) => {
            document(group, version)
        }
        _ => return respond::page_not_found(),
    };
    let mut response = respond::with_etag(headers, "application/json", to_json(&document));
    if !query.get("hash").is_empty() {
        let forever = HeaderValue::from_static("public, immutable");
        response.headers_mut().insert(http::header::CACHE_CONTROL, forever);
    }
    response
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn index() -> Value {
    let mut paths = Map::new();
    for (group, version) in group_versions() {
        let path = path_of(group, version);
        let hash = format!("{:X}", Sha256::digest(to_json(&document(group, version))));
        paths.insert(path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}));
    }
    json!({"paths": paths})
}

fn document(group: &str, version: &str) -> Value {
    let mut paths = Map::new();
    for kind in KINDS.iter().filter(|kind| kind.group == group && kind.version == version) {
        let scope = if kind.is_namespaced() { "/namespaces/{namespace}" } else { "" };
        let collection = format!("/{}{scope}/{}", path_of(group, version), kind.plural);
        paths.insert(collection.clone(), json!({"post": operation(kind, "create", "post")}));
        let object =
            json!({"put": operation(kind, "replace", "put"), "patch": operation(kind, "patch", "patch")});
        paths.insert(format!("{collection}/{{name}}"), object);
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.32.4"}, "paths": paths,
        "components": {"schemas": {}},
    })
}

fn operation(kind: &Kind, verb: &str, action: &str) -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    json!({
        "operationId": format!("{verb}{}{}", kind.kind, kind.version),
        "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    })
}
