//! Connections: TLS, and the user that the client's certificate names.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use labkit_api::UserInfo;
use labkit_client::Transport;
use labkit_sim::World;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::edge::http::{self, Service};

/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Accepts connections for as long as it is polled; spawn it in the server's component. A client certificate
/// that the configuration trusts makes its subject the user (CN) with its groups (O); others are anonymous.
pub async fn serve(
    world: World,
    transport: Transport,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
) {
    let server: Arc<str> =
        labkit_sim::current_component().map_or("apiserver".into(), |own| own.name().into());
    let acceptor = TlsAcceptor::from(tls);
    let service = http::service(world, server, transport);
    loop {
        // What fails to be accepted is one client's trouble, or the host's for a moment.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (acceptor, service) = (acceptor.clone(), service.clone());
        labkit_sim::spawn(async move { connection(acceptor, stream, service).await });
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, service: Service) {
    let _nagle_is_only_slower = stream.set_nodelay(true);
    // A handshake that fails is told to the client by TLS itself.
    let Ok(stream) = acceptor.accept(stream).await else { return };
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
    let connection =
        Builder::new(InComponent).serve_connection_with_upgrades(TokioIo::new(stream), service).await;
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
fn user(certificate: &[u8]) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups: Vec<&str> = subject.iter_organization().filter_map(|group| group.as_str().ok()).collect();
    Some(UserInfo::new(name, &groups))
}
