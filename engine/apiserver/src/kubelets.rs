//! What the API server asks of a node's kubelet. Counterpart: `pkg/kubelet/client`, `ContainerLogOptions`.

use std::fmt::Debug;

use futures::future::BoxFuture;
use labkit_api::Status;
use labkit_client::Body;

/// The kubelets by node; the cluster hands it in, so that this crate does not know the node crate.
pub trait Kubelets: Send + Sync + Debug {
    /// A container's log: whole, or a stream where it is followed.
    fn container_logs(&self, node: &str, request: LogRequest) -> BoxFuture<'static, Result<Body, Status>>;
}

/// The options of `GET .../pods/NAME/log`, with the container chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub follow: bool,
    pub previous: bool,
    pub tail_lines: Option<i64>,
    pub since_seconds: Option<i64>,
    pub timestamps: bool,
}
