//! The way in for clients outside: etcd's gRPC API over TCP, with or without TLS; and the way out, to an etcd
//! elsewhere. The only part of the crate that uses sockets, and the only one that knows the wire format.
//!
//! - [`kv`], [`watch`], [`lease`], [`cluster`], [`maintenance`], [`auth`], [`lock`], [`election`]: one file per
//!   service.
//! - `http2`: the connections of clients.
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
mod http2;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod observe;
mod session;
mod watch;
mod wire;
mod wire_out;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etcdserverpb::kv_server::KvServer;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::codegen::{Service as _, StdError};
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
    let routes = routes(&endpoint);
    let mut stream = authority::UrlAuthority::new(stream);
    if stream.is_http2().await {
        return http2::serve(stream, endpoint, routes).await;
    }
    let service = service_fn(move |request| answer(endpoint.clone(), routes.clone(), request));
    // An error is a client that went away.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Answers a call, or a question that is not gRPC.
async fn answer<B>(
    endpoint: Endpoint,
    mut routes: Routes,
    request: hyper::Request<B>,
) -> Result<hyper::Response<Body>, Infallible>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    if let Some(response) = observe::answer(&endpoint, &request).await {
        return Ok(response);
    }
    let call = calls::Call::begin(&endpoint.member, request.uri(), request.headers());
    routes.call(request).await.map(|response| counted(call, response))
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

/// One member as its clients reach it.
#[derive(Debug, Clone)]
struct Endpoint {
    cluster: Arc<Cluster>,
    member: Arc<Member>,
}

fn routes(endpoint: &Endpoint) -> Routes {
    let kv = KvServer::new(endpoint.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    Routes::new(kv)
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
        if requires_leader(request.metadata().as_ref()) && self.member.leader().id.is_none() {
            return Err(EtcdError::NoLeader);
        }
        let token = token(request);
        server::call(&self.cluster, CLIENT, self.member.id, call, Patience::Endless, token).await
    }
}

/// What a client that has authenticated sends along.
fn token<T>(request: &tonic::Request<T>) -> Option<String> {
    token_in(request.metadata().as_ref())
}

fn token_in(headers: &HeaderMap) -> Option<String> {
    headers.get("token").and_then(|token| token.to_str().ok()).map(str::to_owned)
}

/// Whether the client would rather have an error than wait for a leader (`WithRequireLeader`).
fn requires_leader(headers: &HeaderMap) -> bool {
    headers.get("hasleader").is_some_and(|value| value == "true")
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
