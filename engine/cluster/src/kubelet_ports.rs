//! The kubelets' ports, as an API server dials them: over a link of the world, with the kubelet's process in
//! between. A kill of the kubelet breaks every stream, a cut link holds it up.

use std::sync::Weak;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use labkit_api::Status;
use labkit_apiserver::{KubeletError, Kubelets, LogRequest, SessionRequest};
use labkit_client::{Body, Chunk, Pipe, PortRequest, Served, Session};
use labkit_node::{LogOptions, Machine, ResourceMetrics, SessionError, SessionOptions};
use labkit_sim::{Component, ComponentState, World};
use tokio::sync::{mpsc, oneshot};

use crate::cluster::Inner;
use crate::target::Target;

/// How long a dial may take: Go's transport of the API server.
const DIAL_MAX: Duration = Duration::from_secs(30);

/// The ports of every kubelet of a cluster.
#[derive(Debug)]
pub(crate) struct KubeletPorts {
    /// Weak: the cluster owns the server that owns this.
    pub cluster: Weak<Inner>,
}

impl Kubelets for KubeletPorts {
    fn container_logs(&self, node: &str, request: LogRequest) -> BoxFuture<'static, Result<Body, Status>> {
        let port = self.port(node);
        Box::pin(async move {
            let path = format!("containerLogs/{}/{}/{}", request.namespace, request.pod, request.container);
            let unreachable = |error: KubeletError| match &error {
                KubeletError::Dial { address, .. } => {
                    Status::failure(500, "", format!("Get \"https://{address}/{path}\": {error}"))
                }
                KubeletError::Refused { .. } => Status::failure(500, "", error.to_string()),
            };
            let port = port.map_err(unreachable)?;
            let LogRequest { namespace, pod, container, .. } = request.clone();
            let options = LogOptions {
                follow: request.follow,
                previous: request.previous,
                tail_lines: request.tail_lines,
                since_seconds: request.since_seconds,
                since_time: request.since_time,
                limit_bytes: request.limit_bytes,
                timestamps: request.timestamps,
            };
            let logs = port.ask(move |machine| machine.logs(&namespace, &pod, &container, &options));
            let body = logs.await.map_err(unreachable)?;
            match body.map_err(|error| Status::failure(400, "BadRequest", error.to_string()))? {
                Body::Stream(chunks) => Ok(port.carry_chunks(chunks)),
                body => Ok(body),
            }
        })
    }

    fn open_session(
        &self,
        node: &str,
        request: SessionRequest,
    ) -> BoxFuture<'static, Result<Session, KubeletError>> {
        let port = self.port(node);
        Box::pin(async move {
            let port = port?;
            let SessionRequest { namespace, pod, container, command, stdin, stdout, stderr, tty } = request;
            let options = SessionOptions { command, stdin, stdout, stderr, tty };
            let opened = port.ask(move |machine| machine.open_session(&namespace, &pod, &container, options));
            opened.await?.map(|session| port.carry_session(session)).map_err(refused)
        })
    }

    fn pod_ports(
        &self,
        node: &str,
        namespace: &str,
        pod: &str,
    ) -> BoxFuture<'static, Result<mpsc::Sender<PortRequest>, KubeletError>> {
        let (port, namespace, pod) = (self.port(node), namespace.to_owned(), pod.to_owned());
        Box::pin(async move {
            let port = port?;
            let found = port.ask(move |machine| machine.pod_ports(&namespace, &pod)).await?;
            found.map(|ports| port.carry_ports(ports)).map_err(refused)
        })
    }
}

fn refused(error: SessionError) -> KubeletError {
    KubeletError::Refused { code: error.code(), message: error.to_string() }
}

impl KubeletPorts {
    /// What a kubelet says that its containers use.
    pub fn resource_metrics(&self, node: &str) -> BoxFuture<'static, Result<ResourceMetrics, String>> {
        let port = self.port(node);
        Box::pin(async move {
            let asked = async { port?.ask(Machine::resource_metrics).await };
            asked.await.map_err(|error: KubeletError| error.to_string())
        })
    }

    fn port(&self, node: &str) -> Result<Port, KubeletError> {
        let dial = |address: String, why| KubeletError::Dial { address, why };
        let unknown = || dial(format!("lookup {node}"), "no such host");
        let inner = self.cluster.upgrade().ok_or_else(unknown)?;
        let server = labkit_sim::current_component().ok_or_else(unknown)?;
        let machine = inner.machines.get(node).ok_or_else(unknown)?.clone();
        let address = format!("{}:10250", machine.config().internal_ip);
        let name = |target: Target| target.component();
        let is_killed = |component: &Component| component.state() == ComponentState::Killed;
        if inner.world.find(&name(Target::Node(node.to_owned()))).is_none_or(|machine| is_killed(&machine)) {
            return Err(dial(address, "connect: no route to host"));
        }
        match inner.world.find(&name(Target::Kubelet(node.to_owned()))) {
            Some(kubelet) if !is_killed(&kubelet) => {
                Ok(Port { world: inner.world.clone(), server, kubelet, machine, address })
            }
            _ => Err(dial(address, "connect: connection refused")),
        }
    }
}

/// A connection between an API server and a kubelet.
#[derive(Clone)]
struct Port {
    world: World,
    server: Component,
    kubelet: Component,
    machine: Machine,
    address: String,
}

impl Port {
    /// Asks the kubelet something, once the link lets the question pass.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Machine) -> T + Send + 'static,
    ) -> Result<T, KubeletError> {
        let (answer, answered) = oneshot::channel();
        let port = self.clone();
        self.kubelet.spawn(async move {
            if port.to_kubelet().await {
                let _the_server_may_be_gone = answer.send(question(&port.machine));
            }
        });
        let failed = |why| KubeletError::Dial { address: self.address.clone(), why };
        match tokio::time::timeout(DIAL_MAX, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(failed("connect: connection refused")),
            Err(_) => Err(failed("i/o timeout")),
        }
    }

    /// Whether what the server says arrives; a cut link keeps it.
    async fn to_kubelet(&self) -> bool {
        self.world.network().pass(self.server.name(), self.kubelet.name()).await.is_ok()
    }

    async fn to_server(&self) -> bool {
        self.world.network().pass(self.kubelet.name(), self.server.name()).await.is_ok()
    }

    fn carry_chunks(self, mut chunks: futures::stream::BoxStream<'static, Chunk>) -> Body {
        let (sender, mut receiver) = mpsc::channel(1);
        self.kubelet.clone().spawn(async move {
            let carried = async {
                while let Some(chunk) = chunks.next().await {
                    if !self.to_server().await || sender.send(chunk).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                biased;
                () = sender.closed() => {}
                () = carried => {}
            }
        });
        Body::Stream(Box::pin(futures::stream::poll_fn(move |context| receiver.poll_recv(context))))
    }

    fn carry_session(self, session: Session) -> Session {
        let (own, served) = Session::pair();
        let Served { input: mut heard, output: told } = served;
        let Session { input, mut output } = session;
        self.kubelet.clone().spawn(async move {
            let inward = async {
                while let Some(said) = heard.recv().await {
                    if !self.to_kubelet().await {
                        return;
                    }
                    let _the_process_may_not_listen = input.send(said).await;
                }
            };
            let outward = async {
                while let Some(said) = output.recv().await {
                    if !self.to_server().await || told.send(said).await.is_err() {
                        return;
                    }
                }
            };
            let _either_side_ends_it = futures::future::select(Box::pin(outward), Box::pin(inward)).await;
        });
        own
    }

    fn carry_ports(self, ports: mpsc::Sender<PortRequest>) -> mpsc::Sender<PortRequest> {
        let (asked, mut requests) = mpsc::channel::<PortRequest>(4);
        self.kubelet.clone().spawn(async move {
            while let Some(PortRequest { port, answer }) = requests.recv().await {
                let (inner, answered) = oneshot::channel();
                if !self.to_kubelet().await || ports.send(PortRequest { port, answer: inner }).await.is_err()
                {
                    return;
                }
                let Ok(connected) = answered.await else { return };
                let connected = connected.map(|pipe| self.clone().carry_pipe(pipe));
                let _the_client_may_be_gone = answer.send(connected);
            }
        });
        asked
    }

    fn carry_pipe(self, pipe: Pipe) -> Pipe {
        let (own, server) = Pipe::pair();
        self.kubelet.clone().spawn(async move {
            let there = carry_bytes(server.receiver, pipe.sender, || self.to_kubelet());
            let back = carry_bytes(pipe.receiver, server.sender, || self.to_server());
            futures::join!(there, back);
        });
        own
    }
}

/// One direction of a connection, until its writer or its reader is gone.
async fn carry_bytes<F: Future<Output = bool>>(
    mut from: mpsc::Receiver<bytes::Bytes>,
    to: mpsc::Sender<bytes::Bytes>,
    passes: impl Fn() -> F,
) {
    while let Some(bytes) = from.recv().await {
        if !passes().await || to.send(bytes).await.is_err() {
            return;
        }
    }
}
