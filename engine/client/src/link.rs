//! Requests over a link of the world. A request runs on the server's side of the link: a kill of the server
//! breaks it off, a cut link leaves it waiting, and each message is in the trace.

use std::fmt::Debug;
use std::future::ready;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use labkit_api::UserInfo;
use labkit_sim::{Component, Payload, RecordId, World, caused_by};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::client::Error;
use crate::service::{Body, Chunk, Note, Request, Response, Transport};

/// How long a stream may be silent on a broken link: client-go pings an idle connection after 30 s and gives
/// the answer 15 s.
const PING_TIMEOUT: Duration = Duration::from_secs(45);

/// Which API server a client reaches: a load balancer, handed in by the cluster.
pub trait ApiServers: Debug + Send + Sync {
    /// A server that listens now. `None` is "connection refused".
    fn pick(&self) -> Option<(Component, Transport)>;
}

/// One end of a link to the API server: who asks, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub world: World,
    /// The component that asks, as the trace names it.
    pub from: Arc<str>,
    pub user: Arc<UserInfo>,
    pub user_agent: Arc<str>,
    pub servers: Arc<dyn ApiServers>,
    /// For all but watches. kube-apiserver's own limit is 60 s.
    pub timeout: Duration,
}

/// The payload of a request in the trace; its kind is the method.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    pub method: Method,
    /// Path and query.
    pub target: Arc<str>,
    /// Who the connection says it is.
    pub user: Arc<str>,
    /// The part before the slash: `kubectl`, `deployment-controller`.
    pub user_agent: Arc<str>,
    caller: Caller,
}

/// The payload of the answer to a write, and of any refusal; its kind is the HTTP status.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    pub code: u16,
    pub kind: Box<str>,
    pub method: Method,
    pub target: Arc<str>,
    pub user_agent: Arc<str>,
}

/// Whom the server found a request to be from. A client outside shows a token, which only the server can read: this
/// extension of the request takes the name, and the record of the request has it from then on.
#[derive(Debug, Clone, Default)]
pub struct Caller(Arc<OnceLock<String>>);

impl Caller {
    /// The first name stays.
    pub fn found(&self, user: &str) {
        let _stays = self.0.set(user.to_owned());
    }
}

impl Payload for HttpRequest {
    fn kind(&self) -> &str {
        self.method.as_str()
    }

    fn fields(&self) -> Value {
        let user = self.caller.0.get().map_or(&*self.user, String::as_str);
        json!({"target": *self.target, "user": user, "userAgent": *self.user_agent})
    }

    fn is_routine(&self) -> bool {
        is_of_leases(&self.target)
    }
}

impl Payload for HttpResponse {
    fn kind(&self) -> &str {
        &self.kind
    }

    fn fields(&self) -> Value {
        json!({"code": self.code, "method": self.method.as_str(), "target": *self.target, "userAgent": *self.user_agent})
    }

    fn is_routine(&self) -> bool {
        is_of_leases(&self.target)
    }
}

/// The payload of a watch event in the trace; its kind is `ADDED`, `MODIFIED` or `DELETED`.
#[derive(Debug, Clone)]
pub struct WatchNote {
    pub note: Arc<Note>,
    pub user_agent: Arc<str>,
}

impl Payload for WatchNote {
    fn kind(&self) -> &str {
        self.note.kind
    }

    fn fields(&self) -> Value {
        json!({
            "resource": self.note.resource, "namespace": self.note.namespace, "name": self.note.name,
            "resourceVersion": self.note.resource_version, "userAgent": *self.user_agent,
        })
    }

    fn is_routine(&self) -> bool {
        self.note.resource.starts_with("leases.")
    }
}

/// Leases are what nodes and leaders renew all the time.
fn is_of_leases(target: &str) -> bool {
    target.contains("/coordination.k8s.io/")
}

impl HttpRequest {
    /// Describes a request whose user and agent are known.
    pub fn of(request: &Request, user: &str) -> HttpRequest {
        let agent = request.headers().get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let agent = agent.unwrap_or_default().split('/').next().unwrap_or_default();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        HttpRequest {
            method: request.method().clone(),
            target: target.into(),
            user: user.into(),
            user_agent: agent.into(),
            caller: request.extensions().get::<Caller>().cloned().unwrap_or_default(),
        }
    }

    /// Describes its answer.
    pub fn answered(&self, code: StatusCode) -> HttpResponse {
        HttpResponse {
            code: code.as_u16(),
            kind: format!("{} {}", code.as_u16(), code.canonical_reason().unwrap_or_default()).into(),
            method: self.method.clone(),
            target: self.target.clone(),
            user_agent: self.user_agent.clone(),
        }
    }
}

impl Link {
    /// Sends a request and waits for its answer. Of a stream only the beginning has a deadline.
    pub fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        Box::pin(async move {
            let answer = tokio::time::timeout(self.timeout, self.exchange(request)).await;
            answer.unwrap_or_else(|_| Err(Error::Timeout { after: self.timeout }))
        })
    }

    async fn exchange(&self, mut request: Request) -> Result<Response, Error> {
        let Some((server, transport)) = self.servers.pick() else {
            return Err(Error::Unreachable("connect: connection refused".to_owned()));
        };
        request.extensions_mut().insert((*self.user).clone());
        let sent = HttpRequest::of(&request, &self.user.name);
        let network = self.world.network();
        let refused = |error: labkit_sim::LinkError| Error::Unreachable(error.to_string());
        let id = network.transmit(&self.from, server.name(), sent.clone()).await.map_err(refused)?;
        let (answer, answered) = oneshot::channel();
        caused_by(Some(id), async {
            server.spawn(async move {
                let Ok(response) = transport.oneshot(request).await;
                let _the_client_may_be_gone = answer.send(response);
            });
        })
        .await;
        let broken = || Error::Unreachable(format!("read {}: connection reset by peer", server.name()));
        let response = answered.await.map_err(|_| broken())?;
        self.answered(&server, &sent, id, response.status()).await.map_err(refused)?;
        Ok(self.deliver_stream(&server, response))
    }

    /// The way back. Answers to successful reads are not recorded: they would drown the rest.
    async fn answered(
        &self,
        server: &Component,
        sent: &HttpRequest,
        id: RecordId,
        code: StatusCode,
    ) -> Result<(), labkit_sim::LinkError> {
        if sent.method == "GET" && code.is_success() {
            return self.world.network().pass(server.name(), &self.from).await;
        }
        let answer = sent.answered(code);
        caused_by(Some(id), self.world.network().transmit(server.name(), &self.from, answer)).await.map(drop)
    }

    /// Makes each chunk of a stream travel over the link; its record becomes the cause of what follows. A
    /// link that holds one back too long breaks the stream: the client is to ask again from where it was.
    fn deliver_stream(&self, server: &Component, response: Response) -> Response {
        let (link, server) = (self.clone(), server.clone());
        response.map(|body| match body {
            body @ (Body::Full(_) | Body::Pieces(_) | Body::Upgraded(_)) => body,
            Body::Stream(chunks) => {
                let delivered = chunks.then(move |chunk| {
                    let (link, server) = (link.clone(), server.clone());
                    async move { tokio::time::timeout(PING_TIMEOUT, link.deliver(&server, chunk)).await.ok() }
                });
                Body::Stream(Box::pin(delivered.take_while(|chunk| ready(chunk.is_some())).filter_map(ready)))
            }
        })
    }

    async fn deliver(&self, server: &Component, chunk: Chunk) -> Chunk {
        let network = self.world.network();
        // The receiver reads it, so it is up; only a rule of the link can hold it back.
        let cause = match &chunk.note {
            None => network.pass(server.name(), &self.from).await.ok().and(chunk.cause),
            Some(note) => {
                let payload = WatchNote { note: note.clone(), user_agent: self.user_agent.clone() };
                caused_by(chunk.cause, network.transmit(server.name(), &self.from, payload)).await.ok()
            }
        };
        Chunk { cause, ..chunk }
    }
}
