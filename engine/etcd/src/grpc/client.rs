//! A client of any etcd v3 cluster over sockets: ours, or a real one. Counterpart of `clientv3`, with the manners of
//! [`crate::Client`]: it stays with one member; reads are tried again elsewhere, writes only when it is certain
//! that nothing was sent. For wall pace alone: the other side keeps real time, whatever this world's clock does.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::ready;
use futures::{FutureExt, StreamExt};
use labkit_sim::Component;
use tokio::sync::oneshot;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint as Dial, Identity};
use tonic::{ConnectError, Status, Streaming};

use super::etcdserverpb::kv_client::KvClient;
use super::etcdserverpb::lease_client::LeaseClient;
use super::etcdserverpb::watch_client::WatchClient;
use super::etcdserverpb::{self as pb, watch_request::RequestUnion};
use crate::api::*;
use crate::client::{BackOff, DEADLINE, answered};
use crate::error::{Code, EtcdError};
use crate::payload;
use crate::watch::{KEEPALIVE_TIME, KEEPALIVE_TIMEOUT};

/// Where a cluster is reached, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// `http://127.0.0.1:2379`, or `https` with `tls`.
    pub urls: Vec<String>,
    pub tls: Option<ClientTls>,
}

/// What `https` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// The authority of the members' certificates.
    pub ca_pem: String,
    /// The client's certificate and key, where the members ask for one.
    pub identity: Option<(String, String)>,
}

/// Why endpoints cannot be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoints {
    #[error("no endpoint is named")]
    None,
    #[error("{0:?} is no URL of an endpoint: want http://HOST:PORT or https://HOST:PORT")]
    Url(String),
    #[error("{0:?} needs the certificate of its authority")]
    NoAuthority(String),
    #[error("{url:?}: {reason}")]
    Tls { url: String, reason: String },
}

/// A client of a cluster elsewhere. Clones share its choice of a member and its connections.
#[derive(Debug, Clone)]
pub struct Client {
    component: Component,
    members: Arc<[Remote]>,
    /// Counts the members that were given up.
    turn: Arc<AtomicUsize>,
    deadline: Duration,
}

/// One endpoint; it is dialled when it is needed.
#[derive(Debug)]
struct Remote {
    url: String,
    channel: Channel,
}

/// Runs a connection's tasks in its owner's scope, so that a kill breaks it off.
#[derive(Debug, Clone)]
struct InComponent(Component);

impl hyper::rt::Executor<Pin<Box<dyn Future<Output = ()> + Send>>> for InComponent {
    fn execute(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(self.0.spawn(future));
    }
}

impl Endpoints {
    /// Whether they can be dialled at all. Whether somebody is there, only a request tells.
    pub fn check(&self) -> Result<(), BadEndpoints> {
        if self.urls.is_empty() {
            return Err(BadEndpoints::None);
        }
        self.urls.iter().try_for_each(|url| self.dial(url).map(drop))
    }

    fn dial(&self, url: &str) -> Result<Dial, BadEndpoints> {
        let bad = || BadEndpoints::Url(url.to_owned());
        let dial = Dial::from_shared(url.to_owned()).map_err(|_| bad())?;
        dial.uri().port().ok_or_else(bad)?;
        let dial = dial
            .connect_timeout(KEEPALIVE_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_TIME)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        match dial.uri().scheme_str() {
            Some("http") => Ok(dial),
            Some("https") => {
                let tls = self.tls.as_ref().ok_or_else(|| BadEndpoints::NoAuthority(url.to_owned()))?;
                let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.ca_pem));
                let config = match &tls.identity {
                    Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
                    None => config,
                };
                let failed = |error: tonic::transport::Error| {
                    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                    BadEndpoints::Tls { url: url.to_owned(), reason }
                };
                dial.tls_config(config).map_err(failed)
            }
            _ => Err(bad()),
        }
    }
}

impl Client {
    /// A client that speaks as `component` and ends with it.
    pub fn new(component: &Component, endpoints: &Endpoints) -> Result<Client, BadEndpoints> {
        endpoints.check()?;
        let remote = |url: &String| {
            let dial = endpoints.dial(url)?.executor(InComponent(component.clone()));
            let name = url.split_once("://").map_or(&url[..], |(_, name)| name).to_owned();
            Ok(Remote { url: name, channel: dial.connect_lazy() })
        };
        let members = endpoints.urls.iter().map(remote).collect::<Result<_, _>>()?;
        Ok(Client { component: component.clone(), members, turn: Arc::default(), deadline: DEADLINE })
    }

    /// The same client with another deadline for each of its requests.
    pub fn with_deadline(self, deadline: Duration) -> Client {
        Client { deadline, ..self }
    }

    pub async fn range(&self, r: RangeRequest) -> Result<RangeResponse, EtcdError> {
        answered!(self.call(Request::Range(r)).await, Range)
    }

    pub async fn put(&self, r: PutRequest) -> Result<PutResponse, EtcdError> {
        answered!(self.call(Request::Put(r)).await, Put)
    }

    pub async fn delete_range(&self, r: DeleteRangeRequest) -> Result<DeleteRangeResponse, EtcdError> {
        answered!(self.call(Request::DeleteRange(r)).await, DeleteRange)
    }

    pub async fn txn(&self, r: TxnRequest) -> Result<TxnResponse, EtcdError> {
        answered!(self.call(Request::Txn(r)).await, Txn)
    }

    pub async fn compact(&self, revision: i64) -> Result<CompactionResponse, EtcdError> {
        answered!(self.call(Request::Compact { revision }).await, Compact)
    }

    /// Grants a lease of `ttl` seconds; with id 0 the member chooses one.
    pub async fn lease_grant(&self, id: i64, ttl: i64) -> Result<LeaseGrantResponse, EtcdError> {
        answered!(self.call(Request::LeaseGrant { id, ttl }).await, LeaseGrant)
    }

    /// Renews a lease once.
    pub async fn lease_keep_alive(&self, id: i64) -> Result<LeaseKeepAliveResponse, EtcdError> {
        answered!(self.call(Request::LeaseKeepAlive { id }).await, LeaseKeepAlive)
    }

    /// Begins a watch. Returns when a member has begun it; the first response says `created`.
    pub async fn watch(&self, r: WatchRequest) -> Result<Watcher, EtcdError> {
        let begun = tokio::time::timeout(self.deadline, Watcher::begin(self.clone(), r)).await;
        begun.map_err(|_elapsed| EtcdError::DeadlineExceeded)
    }

    fn member(&self) -> (usize, &Remote) {
        let turn = self.turn.load(Ordering::Relaxed);
        (turn, &self.members[turn % self.members.len()])
    }

    /// Gives up the member of `turn`, and waits before the first one has its turn again.
    async fn next_member(&self, turn: usize, back_off: &mut BackOff) {
        let _ = self.turn.compare_exchange(turn, turn + 1, Ordering::Relaxed, Ordering::Relaxed);
        if (turn + 1).is_multiple_of(self.members.len()) {
            back_off.wait().await;
        }
    }

    async fn call(&self, request: Request) -> Answer {
        let _in_flight = self.component.world().clock().edge_request();
        match tokio::time::timeout(self.deadline, self.attempts(request)).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                self.turn.fetch_add(1, Ordering::Relaxed);
                Err(EtcdError::DeadlineExceeded)
            }
        }
    }

    async fn attempts(&self, request: Request) -> Answer {
        let trace = self.component.world().trace();
        let (_, response) = payload::names(&request);
        let is_read = matches!(request, Request::Range(_));
        let mut back_off = BackOff::default();
        loop {
            let (turn, member) = self.member();
            let sent = trace.record(self.component.name(), &member.url, payload::request(&request));
            let (answer, was_sent) = match send(member.channel.clone(), request.clone()).await {
                Ok(response) => (Ok(response), true),
                Err(status) => {
                    let (error, was_sent) = failure(&status, member);
                    (Err(error), was_sent)
                }
            };
            let message = payload::answer(response, &answer);
            trace.record_caused(&member.url, self.component.name(), Some(sent), message);
            match answer {
                Err(error) if error.code() == Code::Unavailable => {
                    self.next_member(turn, &mut back_off).await;
                    if was_sent && !is_read && error != EtcdError::NoLeader {
                        return Err(error);
                    }
                }
                answer => return answer,
            }
        }
    }
}

async fn send(channel: Channel, request: Request) -> Result<Response, Status> {
    let kv = || KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
    Ok(match request {
        Request::Range(r) => {
            Response::Range(kv().range(pb::RangeRequest::from(r)).await?.into_inner().into())
        }
        Request::Put(r) => Response::Put(kv().put(pb::PutRequest::from(r)).await?.into_inner().into()),
        Request::DeleteRange(r) => Response::DeleteRange(
            kv().delete_range(pb::DeleteRangeRequest::from(r)).await?.into_inner().into(),
        ),
        Request::Txn(r) => Response::Txn(kv().txn(pb::TxnRequest::from(r)).await?.into_inner().into()),
        Request::Compact { revision } => {
            let request = pb::CompactionRequest { revision, physical: false };
            Response::Compact(kv().compact(request).await?.into_inner().into())
        }
        Request::LeaseGrant { id, ttl } => {
            let granted = LeaseClient::new(channel).lease_grant(pb::LeaseGrantRequest { id, ttl }).await?;
            Response::LeaseGrant(granted.into_inner().into())
        }
        Request::LeaseKeepAlive { id } => {
            let requests = futures::stream::iter([pb::LeaseKeepAliveRequest { id }]);
            let mut renewed = LeaseClient::new(channel).lease_keep_alive(requests).await?.into_inner();
            let ended = || Status::unavailable("the stream of renewals ended");
            Response::LeaseKeepAlive(renewed.message().await?.ok_or_else(ended)?.into())
        }
        other => unreachable!("this client does not ask for {other:?}"),
    })
}

/// What a failed call comes to, and whether the request may have reached the member.
fn failure(status: &Status, member: &Remote) -> (EtcdError, bool) {
    let Some(source) = status.source() else {
        return (EtcdError::told(status.code() as i32, status.message()), true);
    };
    let Some(connect) = causes(source).find_map(|error| error.downcast_ref::<ConnectError>()) else {
        return (EtcdError::ConnectionLost, true);
    };
    let reason = causes(&*connect.0).last().map_or_else(String::new, ToString::to_string);
    let error = match reason.contains("refused") {
        true => EtcdError::Refused { member: format!("tcp {}", member.url) },
        false => EtcdError::Other {
            code: Code::Unavailable,
            message: format!("connection error: desc = \"transport: {reason}\""),
        },
    };
    (error, false)
}

/// An error, its cause, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The receiving end of a watch, on a stream of its own. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {
    client: Client,
    /// Begins where what was received ends.
    request: WatchRequest,
    stream: Stream,
    turn: usize,
    created: Option<WatchResponse>,
    ended: bool,
}

/// A stream of answers. Its end is the requests', too: so the member hears of it.
#[derive(Debug)]
struct Stream {
    answers: Streaming<pb::WatchResponse>,
    _open: oneshot::Sender<()>,
}

impl Watcher {
    async fn begin(client: Client, mut request: WatchRequest) -> Watcher {
        let (stream, turn, created) = open(&client, &request).await;
        if request.start_revision == 0 {
            request.start_revision = created.header.revision + 1;
        }
        let ended = created.canceled;
        Watcher { client, request, stream, turn, created: Some(created), ended }
    }

    /// As [`crate::Watcher::next`].
    pub async fn next(&mut self) -> Option<Result<WatchResponse, EtcdError>> {
        if let Some(created) = self.created.take() {
            return Some(Ok(created));
        }
        if self.ended {
            return None;
        }
        loop {
            let Ok(Some(response)) = self.stream.answers.message().await else {
                self.client.next_member(self.turn, &mut BackOff::default()).await;
                let created;
                (self.stream, self.turn, created) = open(&self.client, &self.request).await;
                if created.canceled {
                    self.ended = true;
                    return Some(Ok(created));
                }
                continue;
            };
            let response = WatchResponse::from(response);
            if let Some(last) = response.events.last() {
                self.request.start_revision = last.kv.mod_revision + 1;
            }
            self.ended = response.canceled;
            let Client { component, members, .. } = &self.client;
            let from = &members[self.turn % members.len()].url;
            component.world().trace().record(from, component.name(), payload::watch_response(&response));
            return Some(Ok(response));
        }
    }
}

/// Opens the watch at the first member that takes it.
async fn open(client: &Client, request: &WatchRequest) -> (Stream, usize, WatchResponse) {
    let mut back_off = BackOff::default();
    loop {
        let (turn, member) = client.member();
        let message = payload::watch(request);
        client.component.world().trace().record(client.component.name(), &member.url, message);
        let opened = open_at(member.channel.clone(), request.clone());
        if let Ok(Ok(Some((stream, created)))) = tokio::time::timeout(KEEPALIVE_TIMEOUT, opened).await {
            return (stream, turn, created);
        }
        client.next_member(turn, &mut back_off).await;
    }
}

async fn open_at(channel: Channel, request: WatchRequest) -> Result<Option<(Stream, WatchResponse)>, Status> {
    let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(request.into())) };
    let (open, ended) = oneshot::channel();
    let requests = futures::stream::iter([create]).chain(ended.into_stream().filter_map(|_| ready(None)));
    let mut requests = tonic::Request::new(requests);
    requests.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    let mut watch = WatchClient::new(channel).max_decoding_message_size(usize::MAX);
    let mut answers = watch.watch(requests).await?.into_inner();
    let created = answers.message().await?;
    Ok(created.map(|created| (Stream { answers, _open: open }, created.into())))
}
