//! Health: `ok`, or one line for each check. Counterpart: `k8s.io/apiserver/pkg/server/healthz`.

use std::time::Duration;

use http::StatusCode;
use labkit_client::Response;
use labkit_etcd::RangeRequest;

use crate::query::Query;
use crate::registry::Registry;
use crate::respond;

/// `--etcd-healthcheck-timeout`.
const ETCD_TIMEOUT: Duration = Duration::from_secs(2);

/// `/readyz`, `/readyz/etcd`, with `?verbose` and `?exclude=etcd`.
pub(crate) async fn serve(registry: &Registry, endpoint: &str, rest: &[&str], query: &Query) -> Response {
    let mut checks = vec!["ping", "log", "etcd"];
    if endpoint == "readyz" {
        checks.push("informer-sync");
    }
    match rest {
        [] => {}
        [check] if checks.contains(check) => checks = vec![check],
        _ => return respond::page_not_found(),
    }
    let excluded = query.get("exclude");
    let mut lines = String::new();
    let mut is_healthy = true;
    for check in checks {
        if check == excluded {
            lines.push_str(&format!("[+]{check} excluded: ok\n"));
        } else if check != "etcd" || etcd_answers(registry).await {
            lines.push_str(&format!("[+]{check} ok\n"));
        } else {
            is_healthy = false;
            lines.push_str(&format!("[-]{check} failed: reason withheld\n"));
        }
    }
    let content_type = "text/plain; charset=utf-8";
    if !is_healthy {
        lines.push_str(&format!("{endpoint} check failed\n"));
        return respond::whole(StatusCode::INTERNAL_SERVER_ERROR, content_type, lines.into());
    }
    if !query.has("verbose") {
        return respond::whole(StatusCode::OK, content_type, "ok".into());
    }
    lines.push_str(&format!("{endpoint} check passed\n"));
    respond::whole(StatusCode::OK, content_type, lines.into())
}

pub(crate) async fn etcd_answers(registry: &Registry) -> bool {
    let probe = registry.store.range(RangeRequest::key("/registry/health"));
    matches!(tokio::time::timeout(ETCD_TIMEOUT, probe).await, Ok(Ok(_)))
}
