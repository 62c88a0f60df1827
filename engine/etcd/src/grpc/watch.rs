//! The Watch service: several watches on one stream.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::Stream;
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::etcdserverpb::watch_request::RequestUnion;
use super::etcdserverpb::watch_server::Watch;
use super::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use super::{CLIENT, Endpoint, MESSAGE_BYTES_MAX, requires_leader};
use crate::api;
use crate::error::EtcdError;
use crate::payload::{self, deliver};
use crate::server;
use crate::watch::{self, Command};

/// Above this size a response goes in pieces, to who asks for that (`maxRequestBytes` and gRPC's overhead).
const FRAGMENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

#[tonic::async_trait]
impl Watch for Endpoint {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let require_leader = requires_leader(&request);
        let token = super::token(&request);
        let fragmented = Arc::new(Mutex::new(BTreeSet::new()));
        let client: Arc<str> = CLIENT.into();
        let watch::Stream { commands, mut responses, .. } =
            watch::Stream::open(&self.cluster, &self.member, &client, require_leader);
        let (refusals, mut refused) = mpsc::unbounded_channel();
        let listener = Listener { endpoint: self.clone(), token, refusals, fragmented: fragmented.clone() };
        labkit_sim::spawn(listener.listen(request.into_inner(), commands));
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            loop {
                let response = tokio::select! {
                    biased;
                    Some(refusal) = refused.recv() => Ok(refusal),
                    response = responses.recv() => match response {
                        Some(response) => response.map(WatchResponse::from).map_err(super::status),
                        None => break,
                    },
                };
                let response = response?;
                let wanted = fragmented.lock().expect("no panic happens under this lock").contains(&response.watch_id);
                for fragment in fragments(response, if wanted { FRAGMENT_BYTES_MAX } else { usize::MAX }) {
                    yield fragment;
                }
            }
        })))
    }
}

/// What is heard on one stream.
struct Listener {
    endpoint: Endpoint,
    token: Option<String>,
    /// Answers to what never becomes a watch.
    refusals: mpsc::UnboundedSender<WatchResponse>,
    /// The watches that take large responses in pieces.
    fragmented: Arc<Mutex<BTreeSet<i64>>>,
}

impl Listener {
    /// Takes the client's requests of one stream until it hangs up, which ends the stream.
    async fn listen(self, mut requests: Streaming<WatchRequest>, commands: mpsc::UnboundedSender<Command>) {
        let (mut used, mut next) = (BTreeSet::new(), 0);
        while let Ok(Some(WatchRequest { request_union })) = requests.message().await {
            let command = match request_union {
                None => continue,
                Some(RequestUnion::ProgressRequest(_)) => Command::Progress,
                Some(RequestUnion::CancelRequest(cancel)) => {
                    used.remove(&cancel.watch_id);
                    Command::Cancel { watch_id: cancel.watch_id }
                }
                Some(RequestUnion::CreateRequest(create)) => {
                    if let Err(error) = self.permit(&create) {
                        // As a gRPC error in Go writes itself.
                        self.refuse(format!("rpc error: code = {:?} desc = {error}", error.code()));
                        continue;
                    }
                    let Some(watch_id) = choose_id(&create, &used, &mut next) else {
                        // As upstream answers for an id that is in use.
                        self.refuse("mvcc: watch already exists".to_owned());
                        continue;
                    };
                    used.insert(watch_id);
                    if create.fragment {
                        self.fragmented.lock().expect("no panic happens under this lock").insert(watch_id);
                    }
                    self.created(watch_id, create).await
                }
            };
            if commands.send(command).is_err() {
                return;
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

    fn refuse(&self, cancel_reason: String) {
        // A client that is gone needs no answer.
        let _ = self.refusals.send(WatchResponse {
            header: Some(self.endpoint.member.header().into()),
            watch_id: -1,
            created: true,
            canceled: true,
            cancel_reason,
            ..WatchResponse::default()
        });
    }

    /// Records the request in the trace, as one that came over a link.
    async fn created(&self, watch_id: i64, create: WatchCreateRequest) -> Command {
        let request = create.into();
        let message = payload::watch(&request);
        let Endpoint { cluster, member } = &self.endpoint;
        // Who speaks on this connection is the member itself: it cannot refuse.
        let _ = deliver(cluster.world.network(), CLIENT, &member.name, &message).await;
        Command::Create { watch_id, request }
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
