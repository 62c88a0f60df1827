//! Paths that are no resources: discovery, OpenAPI, version, health.

use http::StatusCode;
use http::request::Parts;
use labkit_api::Status;
use labkit_client::Response;
use serde_json::json;

use crate::authn::service_account;
use crate::custom::Served;
use crate::guard::Guard;
use crate::query::Query;
use crate::{discovery, health, openapi, openapi_v2, respond};

/// `v1.32.4`, as `kubectl version` shows it.
const VERSION: &str = "v1.32.4";

pub(crate) async fn serve(
    guard: &Guard,
    served: &Served,
    parts: &Parts,
    path: &[String],
    query: &Query,
) -> Result<Response, Status> {
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [] => Ok(respond::indented(&json!({"paths": all(served)}))),
        ["version"] => Ok(respond::indented(&version())),
        [endpoint @ ("healthz" | "livez" | "readyz"), rest @ ..] => {
            Ok(health::serve(&guard.registry, endpoint, rest, query).await)
        }
        [".well-known", "openid-configuration"] => {
            Ok(respond::value(StatusCode::OK, &openid_configuration()))
        }
        ["openid", "v1", "jwks"] => Ok(respond::value(StatusCode::OK, &service_account::key_set(guard))),
        ["api" | "apis", ..] => Ok(discovery::serve(served, &parts.headers, &segments)),
        ["openapi", "v2"] => Ok(openapi_v2::serve(served, &parts.headers)),
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
    for path in [
        "/.well-known/openid-configuration",
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ] {
        paths.push(path.to_owned());
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Who issues service accounts' tokens, for whoever wants to verify one. The key is served by this server itself.
fn openid_configuration() -> serde_json::Value {
    json!({
        "issuer": service_account::ISSUER, "jwks_uri": format!("{}/openid/v1/jwks", service_account::ISSUER),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

fn version() -> serde_json::Value {
    json!({
        "major": "1", "minor": "32", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2025-04-22T15:56:53Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
}
