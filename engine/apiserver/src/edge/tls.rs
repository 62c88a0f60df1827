//! Connections: TLS, and the user that the client's certificate names.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use labkit_api::UserInfo;
use labkit_client::Transport;
use labkit_sim::{Component, World};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authn::CREDENTIAL_ID;
use crate::edge::http::{self, Service};

/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How long a client may take for its handshake, and how long a connection may wait for the head of a request:
/// upstream's `ReadHeaderTimeout` and `IdleTimeout`.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(32);
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Accepts connections for as long as it is polled; spawn it in the server's component. A client certificate
/// that the configuration trusts makes its subject the user (CN) with its groups (O); others are anonymous.
pub fn serve(
    world: World,
    transport: Transport,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let server = own_name();
        let acceptor = TlsAcceptor::from(tls);
        let service = http::service(world, server, transport);
        loop {
            let stream = accept(&listener).await;
            let (acceptor, service) = (acceptor.clone(), service.clone());
            labkit_sim::spawn(async move { connection(acceptor, stream, service).await });
        }
    })
}

/// Hands each connection to a server that `pick` names, in whose component it lives from then on; closes it where
/// there is none. What a load balancer does that does not read what it carries.
pub async fn balance(
    world: World,
    pick: impl Fn() -> Option<(Component, Transport)> + Send,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let stream = accept(&listener).await;
        if let Some((server, transport)) = pick() {
            let service = http::service(world.clone(), server.name().into(), transport);
            let acceptor = acceptor.clone();
            server.spawn(async move { connection(acceptor, stream, service).await });
        }
    }
}

fn own_name() -> Arc<str> {
    labkit_sim::current_component().map_or("apiserver".into(), |own| own.name().into())
}

/// The next connection. What fails to be accepted is one client's trouble, or the host's for a moment.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, service: Service) {
    let _nagle_is_only_slower = stream.set_nodelay(true);
    // A handshake that fails is told to the client by TLS itself.
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    let Ok(Ok(stream)) = handshake else { return };
    let certificates = stream.get_ref().1.peer_certificates();
    let user =
        certificates.and_then(|certificates| certificates.first()).and_then(|certificate| user(certificate));
    let service = hyper::service::service_fn(move |mut request: ::http::Request<Incoming>| {
        if let Some(user) = &user {
            request.extensions_mut().insert(user.clone());
        }
        let mut service = service.clone();
        async move { tower::Service::call(&mut service, request).await }
    });
    // Told by ALPN, for a connection that says nothing would be asked forever which of both it speaks.
    let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    let connection = if speaks_http2 {
        http2::Builder::new(InComponent).serve_connection(stream, service).await
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
        builder.serve_connection(stream, service).with_upgrades().await
    };
    drop(connection);
}

/// Hyper's own tasks are the server's too.
#[derive(Debug, Clone, Copy)]
struct InComponent;

impl<F> Executor<F> for InComponent
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        labkit_sim::spawn(future);
    }
}

/// The subject of a certificate as a user: CN is the name, each O a group.
fn user(der: &[u8]) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups: Vec<&str> = subject.iter_organization().filter_map(|group| group.as_str().ok()).collect();
    let mut user = UserInfo::new(name, &groups);
    let id = format!("X509SHA256={:x}", Sha256::digest(der));
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![id]);
    Some(user)
}
