//! Paths that are no resources: discovery, OpenAPI, version, health.

use http::StatusCode;
use http::request::Parts;
use labkit_api::Status;
use labkit_client::Response;
use serde_json::json;

use crate::custom::Served;
use crate::query::Query;
use crate::registry::Registry;
use crate::{discovery, health, openapi, respond};

/// `v1.32.4`, as `kubectl version` shows it.
const VERSION: &str = "v1.32.4";

pub(crate) async fn serve(
    registry: &Registry,
    served: &Served,
    parts: &Parts,
    path: &[String],
    query: &Query,
) -> Result<Response, Status> {
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [] => Ok(respond::value(StatusCode::OK, &json!({"paths": all(served)}))),
        ["version"] => Ok(respond::value(StatusCode::OK, &version())),
        [endpoint @ ("healthz" | "livez" | "readyz"), rest @ ..] => {
            Ok(health::serve(registry, endpoint, rest, query).await)
        }
        ["api" | "apis", ..] => Ok(discovery::serve(served, &parts.headers, &segments)),
        ["openapi", "v3", rest @ ..] => Ok(openapi::serve(served, &parts.headers, rest, query)),
        _ => Ok(respond::page_not_found()),
    }
}

fn all(served: &Served) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, version) in served.group_versions() {
        if !group.is_empty() {
            paths.push(format!("/apis/{group}"));
            paths.push(format!("/apis/{group}/{version}"));
        }
    }
    for path in ["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"] {
        paths.push(path.to_owned());
    }
    paths.sort();
    paths
}

fn version() -> serde_json::Value {
    json!({
        "major": "1", "minor": "32", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2025-04-22T15:56:53Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
}
