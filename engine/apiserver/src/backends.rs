//! What the API server asks of servers within the cluster: those that answer for a group, and its neighbours. Counterpart: the proxy of
//! kube-aggregator and its service resolver.

use std::fmt::Debug;
use std::net::IpAddr;

use futures::future::BoxFuture;
use labkit_client::{Request, Response};

/// The addresses of pods and neighbours; the cluster hands it in, so that this crate does not know the node crate.
pub trait Backends: Send + Sync + Debug {
    /// Sends a request to a port of a pod. The error is Go's: `dial tcp 10.244.1.2:10250: connect: connection refused`.
    fn request(
        &self,
        address: IpAddr,
        port: u16,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, String>>;

    /// How `scheduler` or `controller-manager` is, beside this server. The error is Go's.
    fn healthz(&self, component: &str) -> BoxFuture<'static, Result<(), String>>;
}
