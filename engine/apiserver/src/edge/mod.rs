//! The socket edge.

use std::sync::Arc;

use labkit_client::Transport;
use labkit_sim::World;

/// Accepts TLS connections until the component is killed; spawn it in the server's component.
pub async fn serve(
    _world: World,
    _transport: Transport,
    listener: tokio::net::TcpListener,
    _tls: Arc<rustls::ServerConfig>,
) {
    while listener.accept().await.is_ok() {}
}
