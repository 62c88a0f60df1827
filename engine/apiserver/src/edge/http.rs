//! HTTP: warp reads a request whole, up to the limit, and writes what the server answers. Each exchange is in
//! the trace, as those in process are.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures::{Stream, StreamExt};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use labkit_api::{Status, UserInfo};
use labkit_client::link::{HttpRequest, WatchNote};
use labkit_client::{Body, Caller, Chunk, ReadInServer, Request, Response, Transport};
use labkit_sim::{RecordId, World, caused_by};
use rand::RngCore;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use warp::filters::path::FullPath;
use warp::{Filter, Reply};

use crate::decode::BODY_BYTES_MAX;
use crate::edge::websocket::Offer;

/// How long a client may take to send a body: `--request-timeout`.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// By which a request is found in audit logs.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const AUDIT_ID_BYTES_MAX: usize = 64;

/// What a connection calls.
pub(super) type Service = BoxCloneSyncService<http::Request<Incoming>, warp::reply::Response, Infallible>;

#[derive(Debug, Clone)]
struct Edge {
    world: World,
    /// The server's component, as the trace names it.
    server: Arc<str>,
    transport: Transport,
}

/// What the connection says of a request that came on it.
struct Connection {
    user: Option<UserInfo>,
    /// The connection itself, if the client wants to speak something else on it.
    upgrade: Option<OnUpgrade>,
}

/// The transport behind warp.
pub(super) fn service(world: World, server: Arc<str>, transport: Transport) -> Service {
    let edge = Edge { world, server, transport };
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let user = warp::ext::optional::<UserInfo>();
    let connection =
        user.and(warp::ext::optional::<OnUpgrade>()).map(|user, upgrade| Connection { user, upgrade });
    let filter =
        warp::method()
            .and(warp::path::full())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .and(connection)
            .and_then(move |method, path: FullPath, query, headers, body, connection| {
                let edge = edge.clone();
                async move {
                    Ok::<_, Infallible>(edge.exchange(method, path, query, headers, body, connection).await)
                }
            });
    BoxCloneSyncService::new(warp::service(filter.boxed()))
}

impl Edge {
    async fn exchange(
        self,
        method: Method,
        path: FullPath,
        query: String,
        headers: HeaderMap,
        body: impl Stream<Item = Result<impl Buf, warp::Error>> + Send,
        connection: Connection,
    ) -> warp::reply::Response {
        let Connection { user, upgrade } = connection;
        let offer = Offer::of(&headers, upgrade);
        // Mostly it is there with the head. A timer would make this future large.
        let mut reading = std::pin::pin!(read(body));
        let body = match futures::poll!(reading.as_mut()) {
            Poll::Ready(body) => Ok(body),
            Poll::Pending => Box::pin(tokio::time::timeout(BODY_TIMEOUT, reading)).await,
        };
        let body = match body {
            Ok(Some(body)) => body,
            Ok(None) => return refused(&crate::decode::too_large()),
            Err(_) => {
                let why = "request did not complete within requested timeout - context deadline exceeded";
                return refused(&crate::storage::error::timeout(why));
            }
        };
        // Streams may last for hours; while other requests that are here whole are under way, time is not forwarded.
        let streams = query.contains("watch=") || query.contains("follow=");
        let in_flight = (!streams).then(|| self.world.clock().edge_request());
        let target =
            if query.is_empty() { path.as_str().to_owned() } else { format!("{}?{query}", path.as_str()) };
        let Ok(mut request) = http::Request::builder().method(method).uri(target).body(body.freeze()) else {
            return http::Response::builder().status(400).body("".into()).expect("the status is valid");
        };
        let audit_id = audit_id(&headers);
        *request.headers_mut() = headers;
        request.extensions_mut().insert(ReadInServer);
        let name = user.as_ref().map_or("system:anonymous", |user| &user.name).to_owned();
        match user {
            Some(user) => drop(request.extensions_mut().insert(user)),
            None => drop(request.extensions_mut().insert(Caller::default())),
        }
        let mut response = self.traced(request, &name, offer).await;
        drop(in_flight);
        let headers = response.headers_mut();
        headers.insert(AUDIT_ID, audit_id);
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        response
    }

    async fn traced(self, request: Request, user: &str, offer: Offer) -> warp::reply::Response {
        let sent = HttpRequest::of(&request, user);
        let client: Arc<str> = match &*sent.user_agent {
            "" => "client".into(),
            _ => sent.user_agent.clone(),
        };
        let trace = self.world.trace();
        let id = trace.record_caused(&client, &self.server, None, sent.clone());
        let Ok(response) = caused_by(Some(id), self.transport.clone().oneshot(request)).await;
        let code = response.status();
        if sent.method != Method::GET || !code.is_success() {
            trace.record_caused(&self.server, &client, Some(id), sent.answered(code));
        }
        self.reply(response, client, sent.user_agent, offer)
    }

    fn reply(
        self,
        response: Response,
        client: Arc<str>,
        user_agent: Arc<str>,
        offer: Offer,
    ) -> warp::reply::Response {
        let (mut parts, body) = response.into_parts();
        let mut reply = match body {
            Body::Full(bytes) => warp::reply::Response::new(bytes.into()),
            Body::Pieces(pieces) => {
                let pieces = futures::stream::iter(pieces.map(Ok::<_, Infallible>));
                warp::reply::stream(Exclusive(Mutex::new(Box::pin(pieces)))).into_response()
            }
            Body::Stream(chunks) => {
                let bytes = chunks.map(move |chunk| {
                    self.note(&chunk, &client, &user_agent);
                    Ok::<_, Infallible>(chunk.bytes)
                });
                warp::reply::stream(Exclusive(Mutex::new(Box::pin(bytes)))).into_response()
            }
            Body::Upgraded(pipe) => {
                offer.take_up(&mut parts, pipe);
                warp::reply::Response::default()
            }
        };
        *reply.status_mut() = parts.status;
        *reply.headers_mut() = parts.headers;
        reply
    }

    fn note(&self, chunk: &Chunk, client: &str, user_agent: &Arc<str>) -> Option<RecordId> {
        let note = WatchNote { note: chunk.note.clone()?, user_agent: user_agent.clone() };
        Some(self.world.trace().record_caused(&self.server, client, chunk.cause, note))
    }
}

/// The id that the client gave the request, as far as upstream takes it over, or a new one.
fn audit_id(headers: &HeaderMap) -> HeaderValue {
    if let Some(given) = headers.get(AUDIT_ID).filter(|given| !given.is_empty()) {
        return HeaderValue::from_bytes(&given.as_bytes()[..given.len().min(AUDIT_ID_BYTES_MAX)])
            .expect("a part of a header's value is one");
    }
    let mut bytes = [0; 16];
    if let Some(server) = labkit_sim::current_component() {
        server.random(|rng| rng.fill_bytes(&mut bytes));
    }
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid().to_string();
    HeaderValue::from_str(&id).expect("a UUID is fit for a header")
}

/// The whole body; none if it is beyond the limit, or breaks off.
async fn read(body: impl Stream<Item = Result<impl Buf, warp::Error>> + Send) -> Option<BytesMut> {
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(part) = body.next().await {
        let mut part = part.ok()?;
        if whole.len() + part.remaining() > BODY_BYTES_MAX {
            return None;
        }
        while part.has_remaining() {
            let piece = part.chunk();
            whole.extend_from_slice(piece);
            part.advance(piece.len());
        }
    }
    Some(whole)
}

fn refused(status: &Status) -> warp::reply::Response {
    let code = http::StatusCode::from_u16(status.code).unwrap_or(http::StatusCode::BAD_REQUEST);
    warp::reply::with_status(warp::reply::json(status), code).into_response()
}

/// A stream that only its owner polls: safe to share, since sharing it gives nothing.
struct Exclusive<S>(Mutex<Pin<Box<S>>>);

impl<S: Stream> Stream for Exclusive<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let stream = self.0.get_mut().expect("no one locks it");
        stream.as_mut().poll_next(context)
    }
}
