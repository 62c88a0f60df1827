//! The Watch service: several watches on one stream.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::etcdserverpb::watch_request::RequestUnion;
use super::etcdserverpb::watch_server::Watch;
use super::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use super::{CLIENT, Endpoint, requires_leader};
use crate::payload::{self, deliver};
use crate::watch::{self, Command};

#[tonic::async_trait]
impl Watch for Endpoint {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let require_leader = requires_leader(&request);
        let client: Arc<str> = CLIENT.into();
        let watch::Stream { commands, mut responses, .. } =
            watch::Stream::open(&self.cluster, &self.member, &client, require_leader);
        let (refusals, mut refused) = mpsc::unbounded_channel();
        labkit_sim::spawn(self.clone().listen(request.into_inner(), commands, refusals));
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
                yield response?;
            }
        })))
    }
}

impl Endpoint {
    /// Takes the client's requests of one stream until it hangs up, which ends the stream.
    async fn listen(
        self,
        mut requests: Streaming<WatchRequest>,
        commands: mpsc::UnboundedSender<Command>,
        refusals: mpsc::UnboundedSender<WatchResponse>,
    ) {
        let mut used = BTreeSet::new();
        while let Ok(Some(WatchRequest { request_union })) = requests.message().await {
            let command = match request_union {
                None => continue,
                Some(RequestUnion::ProgressRequest(_)) => Command::Progress,
                Some(RequestUnion::CancelRequest(cancel)) => {
                    used.remove(&cancel.watch_id);
                    Command::Cancel { watch_id: cancel.watch_id }
                }
                Some(RequestUnion::CreateRequest(create)) => {
                    let Some(watch_id) = choose_id(&create, &used) else {
                        let header = Some(self.member.header().into());
                        // As upstream answers for an id that is in use.
                        let _ = refusals.send(WatchResponse {
                            header,
                            watch_id: -1,
                            created: true,
                            canceled: true,
                            cancel_reason: "mvcc: watch already exists".to_owned(),
                            ..WatchResponse::default()
                        });
                        continue;
                    };
                    used.insert(watch_id);
                    self.created(watch_id, create).await
                }
            };
            if commands.send(command).is_err() {
                return;
            }
        }
    }

    /// Records the request in the trace, as one that came over a link.
    async fn created(&self, watch_id: i64, create: WatchCreateRequest) -> Command {
        let request = create.into();
        let message = payload::watch(&request);
        // Who speaks on this connection is the member itself: it cannot refuse.
        let _ = deliver(self.cluster.world.network(), CLIENT, &self.member.name, &message).await;
        Command::Create { watch_id, request }
    }
}

/// The id that the client asks for, or else the smallest that is free. `None` when it is in use.
fn choose_id(create: &WatchCreateRequest, used: &BTreeSet<i64>) -> Option<i64> {
    match create.watch_id {
        0 => (0..).find(|id| !used.contains(id)),
        id => (!used.contains(&id)).then_some(id),
    }
}
