//! What the API server asks of a node's kubelet. Counterpart: `pkg/kubelet/client`, `ContainerLogOptions`.

use std::fmt::Debug;

use futures::future::BoxFuture;
use jiff::Timestamp;
use labkit_api::Status;
use labkit_client::{Body, PortRequest, Session};
use tokio::sync::mpsc;

/// The kubelets by node; the cluster hands it in, so that this crate does not know the node crate.
pub trait Kubelets: Send + Sync + Debug {
    /// A container's log: whole, or a stream where it is followed.
    fn container_logs(&self, node: &str, request: LogRequest) -> BoxFuture<'static, Result<Body, Status>>;

    /// A session with a command that starts in a container, or with the process that runs there.
    fn open_session(
        &self,
        node: &str,
        request: SessionRequest,
    ) -> BoxFuture<'static, Result<Session, KubeletError>>;

    /// Where connections to a pod's ports are asked for.
    fn pod_ports(
        &self,
        node: &str,
        namespace: &str,
        pod: &str,
    ) -> BoxFuture<'static, Result<mpsc::Sender<PortRequest>, KubeletError>>;
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
    pub since_time: Option<Timestamp>,
    pub limit_bytes: Option<i64>,
    pub timestamps: bool,
}

/// The options of `.../pods/NAME/exec` and `.../attach`, with the container chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionRequest {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    /// `None`: the container's own process.
    pub command: Option<Vec<String>>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// Why a kubelet gave no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeletError {
    #[error("dial tcp {address}: {why}")]
    Dial { address: String, why: &'static str },
    /// What it answered.
    #[error("{message}")]
    Refused { code: u16, message: String },
}
