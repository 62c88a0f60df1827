//! The server.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use labkit_api::Resource;
use labkit_client::{Body, Request, Response, Transport};
use labkit_sim::World;

use crate::kubelets::Kubelets;

/// What one API server is started with.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// A client that speaks as this server's component.
    pub etcd: labkit_etcd::Client,
    pub kubelets: Arc<dyn Kubelets>,
    /// `--service-cluster-ip-range`; kubeadm's is `10.96.0.0/12`.
    pub service_cluster_ip_range: String,
    /// `--event-ttl`; 1 h.
    pub event_ttl: Duration,
    /// Where clients reach it, for the endpoints of `default/kubernetes`; `None` for 10.0.0.1:6443.
    pub public_address: Option<(IpAddr, u16)>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("invalid service cluster IP range {0:?}")]
    ServiceClusterIpRange(String),
    #[error("the store: {0}")]
    Store(#[from] labkit_etcd::EtcdError),
}

/// One API server. Clones share it.
#[derive(Clone)]
pub struct Server {}

impl Server {
    /// Starts one API server in the caller's component scope.
    pub async fn start(_world: &World, _config: ServerConfig) -> Result<Server, StartError> {
        Ok(Server {})
    }

    pub async fn handle(&self, _request: Request) -> Response {
        http::Response::new(Body::Full("404 page not found\n".into()))
    }

    /// The server as a service, to be called in its component's scope.
    pub fn transport(&self) -> Transport {
        let server = self.clone();
        Transport::new(tower::service_fn(move |request: Request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.handle(request).await) }
        }))
    }
}

/// Every resource that is served, from the one list of kinds.
pub fn resources() -> Vec<Resource> {
    Vec::new()
}
