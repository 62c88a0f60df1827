//! The Watch service: several watches on one stream. Where the member is a process of its own, events go to the stream
//! from where the store is changed, encoded once for all watches that see the same; in a world, over its links.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use hyper::Request;
use prost::Message as _;
use tokio::sync::Notify;
use tonic::codec::Codec as _;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use super::calls::Call;
use super::etcdserverpb::watch_request::RequestUnion;
use super::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use super::http2::{Piece, Received, framed, framed_with, head, trailers};
use super::{CLIENT, Endpoint, MESSAGE_BYTES_MAX, mvccpb, requires_leader, token_in};
use crate::api;
use crate::error::EtcdError;
use crate::mvcc::{Heard, Listener, Told, WatchId};
use crate::payload::{self, deliver};
use crate::server;
use crate::watch::{self, ALL_WATCHES, Command};

/// Above this size a response goes in pieces, to who asks for that (`maxRequestBytes` and gRPC's overhead).
const FRAGMENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// How much waits for a client that does not read. Then nothing more is said, and when the client has read all, its
/// watches go on from the store's history, as upstream's unsynced ones do.
const BACKLOG_BYTES_MAX: usize = 1 << 20;
/// What a message that waits takes besides its own bytes.
const WAITING_BYTES: usize = 256;

/// Serves one stream of watches until its client hangs up.
pub(super) async fn serve(
    endpoint: Endpoint,
    request: Request<RecvStream>,
    mut respond: SendResponse<Piece>,
) {
    let (parts, body) = request.into_parts();
    let call = Call::begin(&endpoint.member, &parts.uri, &parts.headers);
    let Ok(stream) = respond.send_response(head(), false) else { return };
    let decoder = ProstCodec::<WatchResponse, WatchRequest>::default().decoder();
    let requests = Streaming::new_request(decoder, Received::from(body), None, Some(MESSAGE_BYTES_MAX));
    let require_leader = requires_leader(&parts.headers);
    let outlet = Arc::new(Outlet::new(stream));
    let way = if endpoint.cluster.is_distributed() {
        Way::Direct(BTreeMap::new())
    } else {
        let client: Arc<str> = CLIENT.into();
        Way::Links(watch::Stream::open(&endpoint.cluster, &endpoint.member, &client, require_leader))
    };
    let token = token_in(&parts.headers);
    let mut server = Server { endpoint, token, outlet, way, used: BTreeSet::new(), next: 0 };
    let ended = server.run(requests, require_leader).await;
    server.outlet.end(&ended);
    // One that ends in the midst of a message, or is broken off, has no code.
    if let (Some(call), false) = (call, ended.code() == Code::Cancelled) {
        call.ended(ended.code());
    }
}

/// How events come to the stream.
enum Way {
    /// From the store. The watches by the ids that the client knows.
    Direct(BTreeMap<i64, (Option<WatchId>, api::WatchRequest)>),
    /// Over the world's links.
    Links(watch::Stream),
}

/// The member's end of a stream.
struct Server {
    endpoint: Endpoint,
    token: Option<String>,
    outlet: Arc<Outlet>,
    way: Way,
    used: BTreeSet<i64>,
    next: i64,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Way::Direct(watches) = &self.way {
            let mut state = self.endpoint.member.locked();
            watches.values().filter_map(|(id, _)| *id).for_each(|id| state.watchers.cancel(id));
        }
    }
}

impl Server {
    /// Returns how the stream ends.
    async fn run(&mut self, mut requests: Streaming<WatchRequest>, require_leader: bool) -> Status {
        let Endpoint { cluster, member } = self.endpoint.clone();
        let is_direct = matches!(self.way, Way::Direct(_));
        if require_leader && is_direct && member.leader().id.is_none() {
            return super::status(EtcdError::NoLeader);
        }
        let outlet = self.outlet.clone();
        let mut leaderless = std::pin::pin!(server::given_up(&cluster, &member));
        loop {
            tokio::select! {
                biased;
                request = requests.message() => match request {
                    Ok(Some(request)) => self.obey(request).await,
                    Ok(None) => return Status::new(Code::Ok, ""),
                    Err(error) => return Status::cancelled(error.to_string()),
                },
                response = self.way.next(&outlet) => match response {
                    Some(Ok(response)) => outlet.send(response.into()),
                    Some(Err(error)) => return super::status(error),
                    None => return Status::new(Code::Ok, ""),
                },
                () = outlet.drained(), if is_direct => self.resume(),
                () = &mut leaderless, if require_leader && is_direct => {
                    return super::status(EtcdError::NoLeader);
                }
            }
        }
    }

    async fn obey(&mut self, WatchRequest { request_union }: WatchRequest) {
        let command = match request_union {
            None => return,
            Some(RequestUnion::ProgressRequest(_)) => Command::Progress,
            Some(RequestUnion::CancelRequest(cancel)) => {
                self.used.remove(&cancel.watch_id);
                Command::Cancel { watch_id: cancel.watch_id }
            }
            Some(RequestUnion::CreateRequest(create)) => {
                if let Err(error) = self.permit(&create) {
                    // As a gRPC error in Go writes itself.
                    return self.refuse(format!("rpc error: code = {:?} desc = {error}", error.code()));
                }
                let Some(watch_id) = choose_id(&create, &self.used, &mut self.next) else {
                    // As upstream answers for an id that is in use.
                    return self.refuse("mvcc: watch already exists".to_owned());
                };
                self.used.insert(watch_id);
                if create.fragment {
                    self.outlet.locked().fragmented.insert(watch_id);
                }
                Command::Create { watch_id, request: create.into() }
            }
        };
        match &mut self.way {
            Way::Links(stream) => {
                if let Command::Create { request, .. } = &command {
                    // It came over a link, as the trace has it. Who speaks on this connection is the member itself: it
                    // cannot refuse.
                    let Endpoint { cluster, member } = &self.endpoint;
                    let network = cluster.world.network();
                    let _ = deliver(network, CLIENT, &member.name, &payload::watch(request)).await;
                }
                // A member that is gone ends the stream.
                let _ = stream.commands.send(command);
            }
            Way::Direct(_) => self.obey_directly(command),
        }
    }

    fn obey_directly(&mut self, command: Command) {
        let (outlet, member) = (&self.outlet, &self.endpoint.member);
        let Way::Direct(watches) = &mut self.way else { return };
        let header = member.header();
        match command {
            Command::Create { watch_id, request } => {
                let id = member.watch(watch_id, request.clone(), outlet.clone(), true);
                watches.insert(watch_id, (id, request));
            }
            Command::Cancel { watch_id } => {
                let Some((id, _)) = watches.remove(&watch_id) else { return };
                if let Some(id) = id {
                    member.locked().watchers.cancel(id);
                }
                outlet.locked().behind.remove(&watch_id);
                outlet.note(api::WatchResponse { header, watch_id, canceled: true, ..Default::default() });
            }
            // As upstream: none of them is behind.
            Command::Progress if !outlet.locked().behind.is_empty() => {}
            Command::Progress => {
                outlet.note(api::WatchResponse { header, watch_id: ALL_WATCHES, ..Default::default() });
            }
        }
    }

    /// The client has read all: its watches go on where they stand.
    fn resume(&mut self) {
        let Way::Direct(watches) = &mut self.way else { return };
        let behind = std::mem::take(&mut self.outlet.locked().behind);
        for (watch_id, start_revision) in behind {
            if let Some((id, request)) = watches.get_mut(&watch_id) {
                let request = api::WatchRequest { start_revision, ..request.clone() };
                *id = self.endpoint.member.watch(watch_id, request, self.outlet.clone(), false);
            }
        }
    }

    fn permit(&self, create: &WatchCreateRequest) -> Result<(), EtcdError> {
        let member = &self.endpoint.member;
        if member.is_learner() {
            return Err(EtcdError::NotSupportedForLearner);
        }
        let asker = server::asker(member, self.token.as_deref())?;
        let (key, range_end) = (create.key.clone(), create.range_end.clone());
        let range = api::RangeRequest { key, range_end, ..api::RangeRequest::default() };
        member.locked().store.admin.auth.check_range(asker.as_ref(), &range)
    }

    /// Answers what never becomes a watch.
    fn refuse(&self, cancel_reason: String) {
        self.outlet.send(WatchResponse {
            header: Some(self.endpoint.member.header().into()),
            watch_id: ALL_WATCHES,
            created: true,
            canceled: true,
            cancel_reason,
            ..WatchResponse::default()
        });
    }
}

impl Way {
    /// The next response that comes over a link, when the client has room for it.
    async fn next(&mut self, outlet: &Outlet) -> Option<Result<api::WatchResponse, EtcdError>> {
        match self {
            Way::Direct(_) => std::future::pending().await,
            Way::Links(stream) => {
                while outlet.backlog.is_full() {
                    outlet.drained().await;
                }
                stream.responses.recv().await
            }
        }
    }
}

/// The stream to the client.
#[derive(Debug)]
struct Outlet {
    backlog: Arc<Backlog>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stream: SendStream<Piece>,
    /// The watches that take large responses in pieces.
    fragmented: BTreeSet<i64>,
    /// The watches that were not told of something, and the first revision of that. As long as there are any, nothing
    /// is told, so that the stream keeps the store's order.
    behind: BTreeMap<i64, i64>,
}

impl Outlet {
    fn new(stream: SendStream<Piece>) -> Outlet {
        let state = State { stream, fragmented: BTreeSet::new(), behind: BTreeMap::new() };
        Outlet { backlog: Arc::default(), state: Mutex::new(state) }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic happens under this lock")
    }

    /// Sends a response, room or not; in pieces if it is large and its client asked for that.
    fn send(&self, response: WatchResponse) {
        let mut state = self.locked();
        let in_pieces = state.fragmented.contains(&response.watch_id);
        for piece in fragments(response, if in_pieces { FRAGMENT_BYTES_MAX } else { usize::MAX }) {
            self.write(&mut state, framed(&piece));
        }
    }

    /// `false` when the client has gone.
    fn write(&self, state: &mut State, message: Bytes) -> bool {
        let share = Share::of(&self.backlog, message.len());
        state.stream.send_data(Piece::counted(message, share), false).is_ok()
    }

    fn end(&self, status: &Status) {
        // A client that is gone needs no answer.
        let _ = self.locked().stream.send_trailers(trailers(status));
    }

    /// Waits until the client has read all, after it was found that it had not.
    async fn drained(&self) {
        self.backlog.drained.notified().await;
    }
}

impl Listener for Outlet {
    fn hear(&self, header: api::ResponseHeader, watch_id: i64, told: &Told) -> Heard {
        let mut state = self.locked();
        if !state.behind.is_empty() || self.backlog.is_full() {
            let first = told.events.first().map_or(header.revision, |event| event.kv.mod_revision);
            state.behind.entry(watch_id).or_insert(first);
            return Heard::Full;
        }
        let events = told.encoded.get_or_init(|| encoded(&told.events));
        let beginning = WatchResponse { header: Some(header.into()), watch_id, ..WatchResponse::default() };
        if events.len() >= FRAGMENT_BYTES_MAX && state.fragmented.contains(&watch_id) {
            drop(state);
            let events = told.events.iter().cloned().map(mvccpb::Event::from).collect();
            self.send(WatchResponse { events, ..beginning });
            return Heard::Taken;
        }
        let (of, message) = told.message.get_or_init(|| (watch_id, framed_with(&beginning, events)));
        let message = if *of == watch_id { message.clone() } else { framed_with(&beginning, events) };
        match self.write(&mut state, message) {
            true => Heard::Taken,
            false => Heard::Gone,
        }
    }

    fn note(&self, response: api::WatchResponse) {
        self.send(response.into());
    }
}

/// Events as the last field of a response.
fn encoded(events: &[api::Event]) -> Bytes {
    let events = events.iter().cloned().map(mvccpb::Event::from).collect();
    WatchResponse { events, ..WatchResponse::default() }.encode_to_vec().into()
}

/// How much waits for a client.
#[derive(Debug, Default)]
struct Backlog {
    bytes: AtomicUsize,
    /// Somebody waits until there is nothing.
    is_awaited: AtomicBool,
    drained: Notify,
}

impl Backlog {
    /// If so, it is told when all has been read.
    fn is_full(&self) -> bool {
        let is_full = self.bytes.load(Ordering::SeqCst) >= BACKLOG_BYTES_MAX;
        if is_full {
            self.is_awaited.store(true, Ordering::SeqCst);
        }
        is_full
    }
}

/// What a message that waits takes of a client's backlog.
#[derive(Debug)]
pub(super) struct Share {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Share {
    fn of(backlog: &Arc<Backlog>, bytes: usize) -> Share {
        let bytes = bytes + WAITING_BYTES;
        backlog.bytes.fetch_add(bytes, Ordering::SeqCst);
        Share { backlog: backlog.clone(), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let left = self.backlog.bytes.fetch_sub(self.bytes, Ordering::SeqCst) - self.bytes;
        if left == 0 && self.backlog.is_awaited.swap(false, Ordering::SeqCst) {
            self.backlog.drained.notify_one();
        }
    }
}

/// Cuts a response whose events are too large for one message; all pieces but the last say so.
fn fragments(response: WatchResponse, bytes_max: usize) -> Vec<WatchResponse> {
    if response.events.len() < 2 || response.encoded_len() < bytes_max {
        return vec![response];
    }
    let empty = WatchResponse { events: Vec::new(), ..response.clone() };
    let mut pieces = vec![empty.clone()];
    let mut bytes = empty.encoded_len();
    for event in response.events {
        let size = event.encoded_len();
        let last = pieces.last_mut().expect("there is always one");
        if !last.events.is_empty() && bytes + size >= bytes_max {
            last.fragment = true;
            pieces.push(WatchResponse { events: vec![event], ..empty.clone() });
            bytes = empty.encoded_len() + size;
        } else {
            last.events.push(event);
            bytes += size;
        }
    }
    pieces
}

/// The id that the client asks for, or else the next that was not in use. `None` when it is in use.
fn choose_id(create: &WatchCreateRequest, used: &BTreeSet<i64>, next: &mut i64) -> Option<i64> {
    if create.watch_id != 0 {
        return (!used.contains(&create.watch_id)).then_some(create.watch_id);
    }
    let id = (*next..).find(|id| !used.contains(id))?;
    *next = id + 1;
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::mvccpb::{Event, KeyValue};

    #[test]
    fn a_large_response_is_cut_and_nothing_of_it_is_lost() {
        let event = |n: u8| {
            let kv = KeyValue { key: vec![n].into(), value: vec![n; 100].into(), ..KeyValue::default() };
            Event { kv: Some(kv), ..Event::default() }
        };
        let whole =
            WatchResponse { watch_id: 3, events: (0..10).map(event).collect(), ..WatchResponse::default() };
        assert_eq!(fragments(whole.clone(), usize::MAX), std::slice::from_ref(&whole));
        let pieces = fragments(whole.clone(), 300);
        assert_eq!(pieces.len(), 5);
        assert!(pieces.iter().all(|piece| piece.encoded_len() < 300 && piece.watch_id == 3));
        assert_eq!(
            pieces.iter().map(|piece| piece.fragment).collect::<Vec<_>>(),
            [true, true, true, true, false]
        );
        let events: Vec<Event> = pieces.into_iter().flat_map(|piece| piece.events).collect();
        assert_eq!(events, whole.events);
    }
}
