//! What clients have called and how it ended, as `/metrics` tells it. Counterpart of `go-grpc-prometheus`, which etcd
//! registers, and of `v3rpc/interceptor.go`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::HeaderMap;
use hyper::{Response, Uri};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::member::Member;

/// Every method: its service, its name, and its type. In order, for the search.
const METHODS: &[(&str, &str, &str)] = &[
    ("etcdserverpb.Auth", "AuthDisable", UNARY),
    ("etcdserverpb.Auth", "AuthEnable", UNARY),
    ("etcdserverpb.Auth", "AuthStatus", UNARY),
    ("etcdserverpb.Auth", "Authenticate", UNARY),
    ("etcdserverpb.Auth", "RoleAdd", UNARY),
    ("etcdserverpb.Auth", "RoleDelete", UNARY),
    ("etcdserverpb.Auth", "RoleGet", UNARY),
    ("etcdserverpb.Auth", "RoleGrantPermission", UNARY),
    ("etcdserverpb.Auth", "RoleList", UNARY),
    ("etcdserverpb.Auth", "RoleRevokePermission", UNARY),
    ("etcdserverpb.Auth", "UserAdd", UNARY),
    ("etcdserverpb.Auth", "UserChangePassword", UNARY),
    ("etcdserverpb.Auth", "UserDelete", UNARY),
    ("etcdserverpb.Auth", "UserGet", UNARY),
    ("etcdserverpb.Auth", "UserGrantRole", UNARY),
    ("etcdserverpb.Auth", "UserList", UNARY),
    ("etcdserverpb.Auth", "UserRevokeRole", UNARY),
    ("etcdserverpb.Cluster", "MemberAdd", UNARY),
    ("etcdserverpb.Cluster", "MemberList", UNARY),
    ("etcdserverpb.Cluster", "MemberPromote", UNARY),
    ("etcdserverpb.Cluster", "MemberRemove", UNARY),
    ("etcdserverpb.Cluster", "MemberUpdate", UNARY),
    ("etcdserverpb.KV", "Compact", UNARY),
    ("etcdserverpb.KV", "DeleteRange", UNARY),
    ("etcdserverpb.KV", "Put", UNARY),
    ("etcdserverpb.KV", "Range", UNARY),
    ("etcdserverpb.KV", "Txn", UNARY),
    ("etcdserverpb.Lease", "LeaseGrant", UNARY),
    ("etcdserverpb.Lease", "LeaseKeepAlive", BIDI),
    ("etcdserverpb.Lease", "LeaseLeases", UNARY),
    ("etcdserverpb.Lease", "LeaseRevoke", UNARY),
    ("etcdserverpb.Lease", "LeaseTimeToLive", UNARY),
    ("etcdserverpb.Maintenance", "Alarm", UNARY),
    ("etcdserverpb.Maintenance", "Defragment", UNARY),
    ("etcdserverpb.Maintenance", "Hash", UNARY),
    ("etcdserverpb.Maintenance", "HashKV", UNARY),
    ("etcdserverpb.Maintenance", "MoveLeader", UNARY),
    ("etcdserverpb.Maintenance", "Snapshot", SERVER),
    ("etcdserverpb.Maintenance", "Status", UNARY),
    ("etcdserverpb.Watch", "Watch", BIDI),
    ("v3electionpb.Election", "Campaign", UNARY),
    ("v3electionpb.Election", "Leader", UNARY),
    ("v3electionpb.Election", "Observe", SERVER),
    ("v3electionpb.Election", "Proclaim", UNARY),
    ("v3electionpb.Election", "Resign", UNARY),
    ("v3lockpb.Lock", "Lock", UNARY),
    ("v3lockpb.Lock", "Unlock", UNARY),
];

const UNARY: &str = "unary";
const BIDI: &str = "bidi_stream";
const SERVER: &str = "server_stream";

/// The codes by number, as Go writes them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// What was counted since the member started.
#[derive(Debug)]
pub(crate) struct Calls {
    /// By method.
    started: Vec<AtomicU64>,
    handled: Vec<[AtomicU64; CODES.len()]>,
    /// By the client's version and whether it was a stream.
    clients: Mutex<BTreeMap<(String, bool), u64>>,
}

impl Default for Calls {
    fn default() -> Calls {
        Calls {
            started: METHODS.iter().map(|_| AtomicU64::new(0)).collect(),
            handled: METHODS.iter().map(|_| Default::default()).collect(),
            clients: Mutex::default(),
        }
    }
}

/// A version is not longer than that; other texts are a client's own affair.
const VERSION_BYTES_MAX: usize = 32;
/// So many versions are told apart.
const VERSIONS_MAX: usize = 64;

/// A call that has begun. One that is dropped was cancelled by its client.
pub(super) struct Call {
    member: Arc<Member>,
    method: usize,
    ended: bool,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

impl Call {
    /// Notes that a call begins, if there is such a method.
    pub fn begin(member: &Arc<Member>, uri: &Uri, headers: &HeaderMap) -> Option<Call> {
        let (service, name) = uri.path().strip_prefix('/')?.split_once('/')?;
        let method = METHODS.binary_search_by(|(s, n, _)| (*s, *n).cmp(&(service, name))).ok()?;
        let calls = &member.counters.calls;
        calls.started[method].fetch_add(1, Ordering::Relaxed);
        let version = headers.get("client-api-version").and_then(|version| version.to_str().ok());
        calls.note_client(version.unwrap_or("unknown"), METHODS[method].2 != UNARY);
        Some(Call { member: member.clone(), method, ended: false })
    }

    /// Sees the call to its end. One that is answered by a stream ends with the stream, or with its client.
    pub fn answered(mut self, response: Response<Body>) -> Response<Body> {
        if let Some(code) = code_in(response.headers()) {
            self.end(code);
            return response;
        }
        if METHODS[self.method].2 == UNARY {
            self.end(Code::Ok);
            return response;
        }
        response.map(|body| Body::new(Counted { body, call: self }))
    }

    pub fn ended(mut self, code: Code) {
        self.end(code);
    }

    fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            self.member.counters.calls.handled[self.method][code as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    Status::from_header_map(headers).map(|status| status.code())
}

/// The body of an answer that takes its time.
struct Counted {
    body: Body,
    call: Call,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let ended = match &polled {
            Poll::Ready(None) => Some(Code::Ok),
            Poll::Ready(Some(Err(status))) => Some(status.code()),
            Poll::Ready(Some(Ok(frame))) => {
                frame.trailers_ref().map(|trailers| code_in(trailers).unwrap_or(Code::Ok))
            }
            Poll::Pending => None,
        };
        if let Some(code) = ended {
            self.call.end(code);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Calls {
    fn note_client(&self, version: &str, stream: bool) {
        let mut clients = self.clients.lock().expect("no panic happens under this lock");
        let known = clients.keys().any(|(known, _)| known == version);
        let fits = version.len() <= VERSION_BYTES_MAX && (known || clients.len() < VERSIONS_MAX);
        let version = if fits { version } else { "unknown" };
        *clients.entry((version.to_owned(), stream)).or_default() += 1;
    }

    /// `etcd_server_client_requests_total`, in the text format.
    pub fn write_clients(&self, out: &mut String) {
        let clients = self.clients.lock().expect("no panic happens under this lock");
        if clients.is_empty() {
            return;
        }
        let name = "etcd_server_client_requests_total";
        write_head(out, name, "The total number of client requests per client version.");
        for ((version, stream), count) in clients.iter() {
            let kind = if *stream { "stream" } else { "unary" };
            let version = version.replace(['\\', '"', '\n'], "?");
            let _ = writeln!(out, "{name}{{client_api_version=\"{version}\",type=\"{kind}\"}} {count}");
        }
    }

    /// `grpc_server_...`, in the text format.
    pub fn write(&self, out: &mut String) {
        let help = "Total number of RPCs completed on the server, regardless of success or failure.";
        write_head(out, "grpc_server_handled_total", help);
        for (index, (service, method, kind)) in METHODS.iter().enumerate() {
            for (code, count) in CODES.iter().zip(&self.handled[index]) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let labels = format!(
                        "grpc_code=\"{code}\",grpc_method=\"{method}\",grpc_service=\"{service}\",grpc_type=\"{kind}\""
                    );
                    let _ = writeln!(out, "grpc_server_handled_total{{{labels}}} {count}");
                }
            }
        }
        write_head(out, "grpc_server_started_total", "Total number of RPCs started on the server.");
        for (index, (service, method, kind)) in METHODS.iter().enumerate() {
            let count = self.started[index].load(Ordering::Relaxed);
            let labels = format!("grpc_method=\"{method}\",grpc_service=\"{service}\",grpc_type=\"{kind}\"");
            let _ = writeln!(out, "grpc_server_started_total{{{labels}}} {count}");
        }
    }
}

fn write_head(out: &mut String, name: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_are_in_the_order_of_the_search() {
        assert!(METHODS.is_sorted_by_key(|(service, method, _)| (*service, *method)));
    }

    #[test]
    fn clients_cannot_fill_the_metrics_with_versions() {
        let calls = Calls::default();
        for number in 0..1000 {
            calls.note_client(&format!("3.{number}"), false);
        }
        calls.note_client(&"x".repeat(1000), true);
        calls.note_client("a\"b\n", true);
        let mut out = String::new();
        calls.write_clients(&mut out);
        assert!(out.lines().count() < 70, "{out}");
        assert!(out.contains("{client_api_version=\"unknown\",type=\"stream\"} 2"), "{out}");
    }
}
