//! The gRPC port's HTTP/2, on `h2` itself: each call is a task that answers on its stream. Calls of the KV service, most
//! by far, need no router and no general body; watches write to their streams from where the store is changed, and so
//! need the streams in hand. All other calls go through tonic's router.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::future::{BoxFuture, Either, select};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Code, Extensions, Status};

use super::calls::Call;
use super::etcdserverpb::kv_server::Kv;
use super::watch::{self, Share};
use super::{Endpoint, MESSAGE_BYTES_MAX, answer};

/// What a client may send ahead, on one stream and on all of a connection (as `hyper` has it).
const WINDOW_BYTES: u32 = 1 << 20;
const HEADERS_BYTES_MAX: u32 = 16 * 1024;
/// What stands before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

type Answered<A> = Result<tonic::Response<A>, Status>;

/// What is sent on a stream.
#[derive(Debug, Default)]
pub(super) struct Piece {
    bytes: Bytes,
    _share: Option<Share>,
}

impl Piece {
    /// One that counts as its client's share of the memory until it is written.
    pub fn counted(bytes: Bytes, share: Share) -> Piece {
        Piece { bytes, _share: Some(share) }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Piece {
        Piece { bytes, _share: None }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// Serves a connection until its client goes.
pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, endpoint: Endpoint, routes: Routes) {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    // As upstream: what one client has under way at once is its own affair.
    builder.max_header_list_size(HEADERS_BYTES_MAX).max_concurrent_streams(u32::MAX);
    let Ok(mut connection) = builder.handshake::<_, Piece>(stream).await else { return };
    // An error is a client that went away.
    while let Some(Ok((request, respond))) = connection.accept().await {
        begin(&endpoint, &routes, request, respond);
    }
}

/// Begins a call.
fn begin(endpoint: &Endpoint, routes: &Routes, request: Request<RecvStream>, respond: SendResponse<Piece>) {
    let routed = Routed { endpoint: endpoint.clone(), routes: routes.clone(), respond };
    match request.uri().path() {
        "/etcdserverpb.KV/Put" => spawn(unary(routed, request, |kv, put| kv.put(put))),
        "/etcdserverpb.KV/Range" => spawn(unary(routed, request, |kv, range| kv.range(range))),
        "/etcdserverpb.KV/Txn" => spawn(unary(routed, request, |kv, txn| kv.txn(txn))),
        "/etcdserverpb.Watch/Watch" => spawn(watch::serve(routed.endpoint, request, routed.respond)),
        _ => spawn(routed.answer(request.map(Received::from))),
    }
}

fn spawn(call: impl Future<Output = ()> + Send + 'static) {
    drop(labkit_sim::spawn(call));
}

/// A call of one message that is answered by one.
async fn unary<Q: Message + Default, A: Message>(
    mut routed: Routed,
    request: Request<RecvStream>,
    method: for<'a> fn(&'a Endpoint, tonic::Request<Q>) -> BoxFuture<'a, Answered<A>>,
) {
    let (head, body) = request.into_parts();
    let mut body = Received::from(body);
    let decoded = body.message().await.and_then(|message| Q::decode(message).ok());
    let Some(message) = decoded else {
        // It is refused, or is compressed: tonic knows the words.
        return Box::pin(routed.answer(Request::from_parts(head, body))).await;
    };
    let Routed { endpoint, respond, .. } = &mut routed;
    let call = Call::begin(&endpoint.member, &head.uri, &head.headers);
    let metadata = MetadataMap::from_headers(head.headers);
    let request = tonic::Request::from_parts(metadata, Extensions::default(), message);
    let answered = unless_reset(respond, method(endpoint, request)).await;
    let Some(answered) = answered else { return };
    let code = match answered {
        Ok(answer) => {
            // A client that is gone needs no answer.
            let _ = reply(respond, framed(answer.get_ref()));
            Code::Ok
        }
        Err(status) => {
            let code = status.code();
            let _ = respond.send_response(status.into_http(), true);
            code
        }
    };
    if let Some(call) = call {
        call.ended(code);
    }
}

/// `None` when the client gives the call up before `work` is done.
async fn unless_reset<T>(respond: &mut SendResponse<Piece>, work: impl Future<Output = T>) -> Option<T> {
    let reset = std::future::poll_fn(|context| respond.poll_reset(context));
    match select(pin!(work), reset).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

fn reply(respond: &mut SendResponse<Piece>, message: Bytes) -> Result<(), h2::Error> {
    let mut stream = respond.send_response(head(), false)?;
    stream.send_data(message.into(), false)?;
    stream.send_trailers(trailers(&Status::new(Code::Ok, "")))
}

/// How an answer begins that is a stream of messages.
pub(super) fn head() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// How an answer ends.
pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.code() == Code::Ok {
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
    } else if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from_static("2"));
    }
    trailers
}

/// A message as it goes over a stream.
pub(super) fn framed(message: &impl Message) -> Bytes {
    framed_with(message, &[])
}

/// A message whose last fields are encoded already.
pub(super) fn framed_with(message: &impl Message, rest: &[u8]) -> Bytes {
    let length = message.encoded_len() + rest.len();
    let mut out = Vec::with_capacity(PREFIX_BYTES + length);
    out.push(0);
    out.extend_from_slice(&u32::try_from(length).expect("a message is far below 4 GiB").to_be_bytes());
    message.encode_raw(&mut out);
    out.extend_from_slice(rest);
    out.into()
}

/// A call as the router takes it.
struct Routed {
    endpoint: Endpoint,
    routes: Routes,
    respond: SendResponse<Piece>,
}

impl Routed {
    async fn answer(mut self, request: Request<Received>) {
        let answered = answer(self.endpoint, self.routes, request);
        let Some(Ok(response)) = unless_reset(&mut self.respond, answered).await else { return };
        let (head, body) = response.into_parts();
        let ends = hyper::body::Body::is_end_stream(&body);
        let Ok(stream) = self.respond.send_response(Response::from_parts(head, ()), ends) else { return };
        if !ends {
            // It ends early when its client goes.
            let _ = send(stream, body).await;
        }
    }
}

/// Sends a body, no faster than its client reads.
async fn send(mut stream: SendStream<Piece>, mut body: Body) -> Result<(), h2::Error> {
    loop {
        let next = {
            let reset = std::future::poll_fn(|context| stream.poll_reset(context));
            match select(body.frame(), reset).await {
                Either::Left((next, _)) => next,
                Either::Right(_) => return Ok(()),
            }
        };
        match next.map(|next| next.map(Frame::into_data)) {
            None => return stream.send_data(Piece::default(), true),
            Some(Err(_broken)) => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            Some(Ok(Ok(data))) => {
                stream.reserve_capacity(1);
                while stream.capacity() == 0 && !data.is_empty() {
                    match std::future::poll_fn(|context| stream.poll_capacity(context)).await {
                        Some(more) => more?,
                        None => return Ok(()),
                    };
                }
                stream.send_data(data.into(), false)?;
            }
            Some(Ok(Err(frame))) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return stream.send_trailers(trailers);
                }
            }
        }
    }
}

/// The body of a request: what was read of it already, and what is still to come.
pub(super) struct Received {
    read: VecDeque<Bytes>,
    rest: RecvStream,
}

impl From<RecvStream> for Received {
    fn from(rest: RecvStream) -> Received {
        Received { read: VecDeque::new(), rest }
    }
}

impl Received {
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let next = ready!(self.rest.poll_data(context));
        if let Some(Ok(next)) = &next {
            // What is read may be followed by more.
            let _ = self.rest.flow_control().release_capacity(next.len());
        }
        Poll::Ready(next)
    }

    /// The body's only message; `None` where anything is out of the way. The body is still there then.
    async fn message(&mut self) -> Option<Bytes> {
        let mut length = 0;
        while !self.rest.is_end_stream()
            && let Some(next) = std::future::poll_fn(|context| self.poll_rest(context)).await
        {
            let next = next.ok()?;
            length += next.len();
            self.read.push_back(next);
            if length > PREFIX_BYTES + MESSAGE_BYTES_MAX {
                return None;
            }
        }
        let whole = match &*self.read.make_contiguous() {
            [only] => only.clone(),
            pieces => pieces.concat().into(),
        };
        let ([0, prefix @ ..], message) = whole.split_first_chunk::<PREFIX_BYTES>()? else { return None };
        let is_whole =
            usize::try_from(u32::from_be_bytes(*prefix)).is_ok_and(|length| length == message.len());
        is_whole.then(|| whole.slice(PREFIX_BYTES..))
    }
}

impl hyper::body::Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if let Some(read) = self.read.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        let next = ready!(self.poll_rest(context));
        Poll::Ready(next.map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }
}
