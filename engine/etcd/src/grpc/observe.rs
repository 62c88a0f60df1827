//! What is there to see of a member without a client: `/health`, `/version` and `/metrics`. Counterpart of
//! `etcdhttp`, with its names for the metrics.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, Version};
use labkit_sim::ComponentState;
use tonic::body::Body;

use super::Endpoint;
use crate::api::{RangeRequest, Request as Call};
use crate::server::{self, Patience, VERSION};

/// How long `/health` waits for a read to go through.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers what is not gRPC; `None` leaves it to the services.
pub(super) async fn answer<B>(endpoint: &Endpoint, request: &Request<B>) -> Option<Response<Body>> {
    let json = "application/json";
    if *request.method() != Method::GET {
        return unless_grpc(request);
    }
    let query = request.uri().query().unwrap_or_default();
    match request.uri().path() {
        "/health" => {
            let reason = unhealthy(endpoint, query).await;
            let counters = &endpoint.member.counters;
            let (status, health) = match &reason {
                None => (StatusCode::OK, "true"),
                Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "false"),
            };
            if reason.is_none() {
                counters.health_success.add()
            } else {
                counters.health_failures.add()
            }
            let reason = reason.unwrap_or_default();
            let body = format!("{{\"health\":\"{health}\",\"reason\":\"{reason}\"}}");
            Some(response(status, json, body))
        }
        "/version" => {
            let minor = VERSION.rsplit_once('.').map_or(VERSION, |(minor, _)| minor);
            let body = format!("{{\"etcdserver\":\"{VERSION}\",\"etcdcluster\":\"{minor}.0\"}}");
            Some(response(StatusCode::OK, json, body))
        }
        "/metrics" => {
            Some(response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics(endpoint)))
        }
        _ => unless_grpc(request),
    }
}

/// gRPC takes HTTP/2: whatever else comes over an older one asks for a page that is not there.
fn unless_grpc<B>(request: &Request<B>) -> Option<Response<Body>> {
    let kind = "text/plain; charset=utf-8";
    (request.version() < Version::HTTP_2)
        .then(|| response(StatusCode::NOT_FOUND, kind, "404 page not found\n".to_owned()))
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let body = Body::new(Full::new(Bytes::from(body)));
    let built: Result<Response<Body>, Infallible> = Ok(Response::new(body));
    let Ok(mut response) = built;
    *response.status_mut() = status;
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

/// Why the member is not healthy, in etcd's words.
async fn unhealthy(endpoint: &Endpoint, query: &str) -> Option<String> {
    let Endpoint { cluster, member } = endpoint;
    let set = |name: &str, value: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).any(|pair| pair == (name, value))
    };
    let alarms = member.locked().store.admin.alarms.clone();
    if let Some(alarm) = alarms.iter().find(|alarm| !set("exclude", alarm.kind.name())) {
        return Some(format!("ALARM {}", alarm.kind.name()));
    }
    let serializable = set("serializable", "true");
    if !serializable && member.leader().id.is_none() {
        return Some("RAFT NO LEADER".to_owned());
    }
    let read = Call::Range(RangeRequest { serializable, limit: 1, ..RangeRequest::key("\0") });
    let read = server::call(cluster, super::CLIENT, member.id, read, Patience::Endless, None);
    match tokio::time::timeout(HEALTH_TIMEOUT, read).await {
        Err(_elapsed) => Some("QGET ERROR:context deadline exceeded".to_owned()),
        // Who may not read is told so by a member that works.
        Ok(Err(crate::EtcdError::UserEmpty) | Ok(_)) => None,
        Ok(Err(error)) => Some(format!("QGET ERROR:{error}")),
    }
}

fn metrics(endpoint: &Endpoint) -> String {
    let Endpoint { cluster, member } = endpoint;
    let status = server::status(member);
    let state = member.locked();
    let counters = &member.counters;
    let flag = |flag: bool| u64::from(flag);
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    let leads = status.leader == member.id && member.component.state() == ComponentState::Running;
    let id = format!("{{server_id=\"{:x}\"}}", member.id);
    let version = format!("{{server_version=\"{VERSION}\"}}");
    // By name; then help, type, labels, value.
    let metrics: [(&str, &str, &str, &str, u64); 23] = [
        (
            "etcd_debugging_mvcc_compact_revision",
            "The revision of the last compaction in store.",
            "gauge",
            "",
            unsigned(state.store.compact_revision()),
        ),
        (
            "etcd_debugging_mvcc_current_revision",
            "The current revision of store.",
            "gauge",
            "",
            unsigned(state.store.revision()),
        ),
        (
            "etcd_debugging_mvcc_keys_total",
            "Total number of keys.",
            "gauge",
            "",
            state.store.keys_count() as u64,
        ),
        (
            "etcd_debugging_mvcc_watcher_total",
            "Total number of watchers.",
            "gauge",
            "",
            state.watchers.count() as u64,
        ),
        (
            "etcd_mvcc_db_total_size_in_bytes",
            "Total size of the underlying database physically allocated in bytes.",
            "gauge",
            "",
            unsigned(status.db_size),
        ),
        (
            "etcd_mvcc_db_total_size_in_use_in_bytes",
            "Total size of the underlying database logically in use in bytes.",
            "gauge",
            "",
            unsigned(status.db_size_in_use),
        ),
        (
            "etcd_mvcc_delete_total",
            "Total number of deletes seen by this member.",
            "counter",
            "",
            counters.deletes.get(),
        ),
        (
            "etcd_mvcc_put_total",
            "Total number of puts seen by this member.",
            "counter",
            "",
            counters.puts.get(),
        ),
        (
            "etcd_mvcc_range_total",
            "Total number of ranges seen by this member.",
            "counter",
            "",
            counters.ranges.get(),
        ),
        (
            "etcd_mvcc_txn_total",
            "Total number of txns seen by this member.",
            "counter",
            "",
            counters.txns.get(),
        ),
        (
            "etcd_server_has_leader",
            "Whether or not a leader exists. 1 is existence, 0 is not.",
            "gauge",
            "",
            flag(status.leader != 0),
        ),
        (
            "etcd_server_health_failures",
            "The total number of failed health checks",
            "counter",
            "",
            counters.health_failures.get(),
        ),
        (
            "etcd_server_health_success",
            "The total number of successful health checks",
            "counter",
            "",
            counters.health_success.get(),
        ),
        (
            "etcd_server_id",
            "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
            "gauge",
            &id,
            1,
        ),
        (
            "etcd_server_is_leader",
            "Whether or not this member is a leader. 1 if is, 0 otherwise.",
            "gauge",
            "",
            flag(leads),
        ),
        (
            "etcd_server_is_learner",
            "Whether or not this member is a learner. 1 if is, 0 otherwise.",
            "gauge",
            "",
            flag(status.is_learner),
        ),
        (
            "etcd_server_leader_changes_seen_total",
            "The number of leader changes seen.",
            "counter",
            "",
            counters.leader_changes_seen.get(),
        ),
        (
            "etcd_server_proposals_applied_total",
            "The total number of consensus proposals applied.",
            "gauge",
            "",
            status.raft_applied_index,
        ),
        (
            "etcd_server_proposals_committed_total",
            "The total number of consensus proposals committed.",
            "gauge",
            "",
            status.raft_applied_index,
        ),
        (
            "etcd_server_proposals_failed_total",
            "The total number of failed proposals seen.",
            "counter",
            "",
            counters.proposals_failed.get(),
        ),
        (
            "etcd_server_proposals_pending",
            "The current number of pending proposals to commit.",
            "gauge",
            "",
            state.pending() as u64,
        ),
        (
            "etcd_server_quota_backend_bytes",
            "Current backend storage quota size in bytes.",
            "gauge",
            "",
            unsigned(cluster.config.quota_backend_bytes),
        ),
        (
            "etcd_server_version",
            "Which version is running. 1 for 'server_version' label with current version.",
            "gauge",
            &version,
            1,
        ),
    ];
    let mut out = String::new();
    for (name, help, kind, labels, value) in metrics {
        // Writing to a string cannot fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}\n");
    }
    let head = |out: &mut String, name: &str, help: &str| {
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} histogram\n");
    };
    if let Some(syncs) = member.syncs() {
        let name = "etcd_disk_wal_fsync_duration_seconds";
        head(&mut out, name, "The latency distributions of fsync called by WAL.");
        syncs.write(name, "", &mut out);
    }
    let name = "etcd_network_peer_round_trip_time_seconds";
    head(&mut out, name, "Round-Trip-Time histogram between peers");
    counters.round_trips.write(name, &mut out);
    counters.calls.write_clients(&mut out);
    counters.calls.write(&mut out);
    out
}
