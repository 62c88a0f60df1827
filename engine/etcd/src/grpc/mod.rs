//! The way in for clients outside: etcd's gRPC API over TCP, with or without TLS; and the way out, to an etcd
//! elsewhere. The only part of the crate that uses sockets, and the only one that knows the wire format.
//!
//! - [`kv`], [`watch`], [`lease`], [`cluster`], [`maintenance`], [`auth`], [`lock`], [`election`]: one file per
//!   service.
//! - [`session`]: what locks and elections are made of.
//! - [`observe`]: `/health`, `/version` and `/metrics` on the same port.
//! - `calls`: what was called and how it ended, for `/metrics`.
//! - [`wire`]: between the wire's messages and [`crate::api`].
//! - [`authority`]: lets old clients in.
//! - [`fuzz`]: what the fuzz target calls.
//! - [`client`]: the way out; `wire_out` is its side of the wire's messages.

mod auth;
mod authority;
mod calls;
mod client;
mod cluster;
mod election;
pub mod fuzz;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod observe;
mod session;
mod watch;
mod wire;
mod wire_out;

use std::sync::Arc;
use std::time::Duration;

use etcdserverpb::kv_server::KvServer;
use futures::{FutureExt, TryFutureExt};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper::{Method, Version};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};

pub(crate) use calls::Calls;
pub use client::{BadEndpoints, Client, ClientTls, Endpoints, Watcher};

use crate::api::{Answer, Request};
use crate::cluster::{Cluster, Etcd};
use crate::error::{EtcdError, UnknownMember};
use crate::member::Member;
use crate::server::{self, Patience};

mod authpb {
    tonic::include_proto!("authpb");
}

mod v3electionpb {
    #![expect(clippy::allow_attributes, reason = "generated")]
    tonic::include_proto!("v3electionpb");
}

mod v3lockpb {
    #![expect(clippy::allow_attributes, reason = "generated")]
    tonic::include_proto!("v3lockpb");
}

mod mvccpb {
    tonic::include_proto!("mvccpb");
}

#[cfg(test)]
mod hostile;

mod etcdserverpb {
    #![expect(clippy::allow_attributes, clippy::enum_variant_names, reason = "generated")]
    tonic::include_proto!("etcdserverpb");
}

/// What clients from outside are called in the trace.
const CLIENT: &str = "etcdctl";

/// Largest message that is read: etcd's largest request and gRPC's overhead.
const MESSAGE_BYTES_MAX: usize = 1_572_864 + 512 * 1024;

/// The wait after an accept that failed.
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

/// Serves a member's clients on `listener` from now on, over restarts of the member: while it is down, its
/// connections are closed. Returns at once. The work is done in the member's scope, so a kill breaks it off.
///
/// With `tls`, clients must present a certificate if that configuration says so.
pub async fn serve(
    etcd: &Etcd,
    member: &str,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Result<(), UnknownMember> {
    let id = etcd.cluster.peer(member)?.id;
    let cluster = etcd.cluster.clone();
    let tls = tls.map(|config| TlsAcceptor::from(with_http2(config)));
    labkit_sim::spawn(async move {
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                // That client has gone again, or the process has no descriptor free.
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            };
            let Some(member) = cluster.running(id) else { continue };
            let endpoint = Endpoint { cluster: cluster.clone(), member: member.clone() };
            drop(member.component.spawn(connection(socket, tls.clone(), endpoint)));
        }
    });
    Ok(())
}

/// gRPC clients insist on HTTP/2 being negotiated.
fn with_http2(config: Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    if config.alpn_protocols.is_empty() {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    Arc::new(config)
}

async fn connection(socket: TcpStream, tls: Option<TlsAcceptor>, endpoint: Endpoint) {
    // Without it, small answers wait for the client's acknowledgements; where it cannot be set, they do.
    let _ = socket.set_nodelay(true);
    match tls {
        None => http(socket, endpoint).await,
        // A client that fails the handshake has been told why.
        Some(tls) => {
            if let Ok(stream) = tls.accept(socket).await {
                http(stream, endpoint).await;
            }
        }
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, endpoint: Endpoint) {
    let grpc = TowerToHyperService::new(routes(&endpoint));
    // Most calls by far are of this service: they need no router.
    let keys = TowerToHyperService::new(kv(&endpoint));
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let of_keys = request.uri().path().starts_with(KV_PATH) && *request.method() == Method::POST;
        if of_keys && request.version() == Version::HTTP_2 {
            let call = calls::Call::begin(&endpoint.member, &request);
            return keys.call(request).map_ok(|response| counted(call, response)).left_future();
        }
        let (endpoint, grpc) = (endpoint.clone(), grpc.clone());
        let answered = async move {
            match observe::answer(&endpoint, &request).await {
                Some(response) => Ok(response),
                None => {
                    let call = calls::Call::begin(&endpoint.member, &request);
                    grpc.call(request).await.map(|response| counted(call, response))
                }
            }
        };
        answered.right_future()
    });
    let stream = TokioIo::new(authority::UrlAuthority::new(stream));
    // An error is a client that went away.
    let mut server = auto::Builder::new(InScope);
    // As upstream: what one client has under way at once is its own affair.
    server.http2().max_concurrent_streams(u32::MAX);
    let _ = server.serve_connection(stream, service).await;
}

fn counted(call: Option<calls::Call>, response: hyper::Response<Body>) -> hyper::Response<Body> {
    let response = in_go_words(response);
    match call {
        Some(call) => call.answered(response),
        None => response,
    }
}

/// A request that is larger than is read is refused before any service sees it, by tonic in its words; clients
/// know those of Go's library.
fn in_go_words(mut response: hyper::Response<Body>) -> hyper::Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let sizes = status.message().strip_prefix("Error, decoded message length too large: found ");
    let sizes = sizes.and_then(|rest| rest.strip_suffix(" bytes")?.split_once(" bytes, the limit is: "));
    if let Some((found, limit)) = sizes {
        let message = format!("grpc: received message larger than max ({found} vs. {limit})");
        let status = Status::new(Code::ResourceExhausted, message);
        // A message of ASCII letters fits a header.
        let _ = status.add_header(response.headers_mut());
    }
    response
}

/// Spawns what a connection spawns in the member's scope.
#[derive(Debug, Clone, Copy)]
struct InScope;

impl<F> hyper::rt::Executor<F> for InScope
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(labkit_sim::spawn(future));
    }
}

/// One member as its clients reach it.
#[derive(Debug, Clone)]
struct Endpoint {
    cluster: Arc<Cluster>,
    member: Arc<Member>,
}

/// What the paths of the KV service begin with.
const KV_PATH: &str = "/etcdserverpb.KV/";

fn kv(endpoint: &Endpoint) -> KvServer<Endpoint> {
    KvServer::new(endpoint.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

fn routes(endpoint: &Endpoint) -> Routes {
    Routes::new(kv(endpoint))
        .add_service(etcdserverpb::watch_server::WatchServer::new(endpoint.clone()))
        .add_service(etcdserverpb::lease_server::LeaseServer::new(endpoint.clone()))
        .add_service(etcdserverpb::cluster_server::ClusterServer::new(endpoint.clone()))
        .add_service(etcdserverpb::auth_server::AuthServer::new(endpoint.clone()))
        .add_service(etcdserverpb::maintenance_server::MaintenanceServer::new(endpoint.clone()))
        .add_service(v3lockpb::lock_server::LockServer::new(endpoint.clone()))
        .add_service(v3electionpb::election_server::ElectionServer::new(endpoint.clone()))
        .prepare()
}

impl Endpoint {
    /// One call, which holds the clock's fast-forward back while it is under way.
    async fn call<T>(&self, request: &tonic::Request<T>, call: Request) -> Answer {
        let _in_flight = self.cluster.world.clock().edge_request();
        if requires_leader(request) && self.member.leader().id.is_none() {
            return Err(EtcdError::NoLeader);
        }
        let token = token(request);
        server::call(&self.cluster, CLIENT, self.member.id, call, Patience::Endless, token).await
    }
}

/// What a client that has authenticated sends along.
fn token<T>(request: &tonic::Request<T>) -> Option<String> {
    request.metadata().get("token").and_then(|token| token.to_str().ok()).map(str::to_owned)
}

/// Whether the client would rather have an error than wait for a leader (`WithRequireLeader`).
fn requires_leader<T>(request: &tonic::Request<T>) -> bool {
    request.metadata().get("hasleader").is_some_and(|value| value == "true")
}

fn status(error: EtcdError) -> Status {
    Status::new(Code::from_i32(error.code() as i32), error.to_string())
}

/// Unpacks the answer to a request of the same name.
macro_rules! answered {
    ($answer:expr, $variant:ident) => {
        match $answer.map_err(crate::grpc::status)? {
            crate::api::Response::$variant(response) => Ok(tonic::Response::new(response.into())),
            other => unreachable!("the answer fits the request: {other:?}"),
        }
    };
}
use answered;
