//! Watches: at the member, a pump from the store's watchers to the client's link; at the client, a stream
//! that goes on at another member when its own is gone. Counterpart of `v3rpc/watch.go` and `clientv3/watch.go`.

use std::sync::Arc;
use std::time::Duration;

use labkit_sim::caused_by;
use tokio::sync::mpsc;

use crate::api::{WatchRequest, WatchResponse};
use crate::client::Client;
use crate::cluster::Cluster;
use crate::error::EtcdError;
use crate::member::Member;
use crate::mvcc::txn::check_key;
use crate::payload::{self, deliver};

/// A member that knows of no leader for that many election timeouts ends its watches
/// (`maxNoLeaderCnt` in `v3rpc/interceptor.go`).
const LEADERLESS_MAX: u32 = 3;

/// The receiving end of a watch. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {
    client: Client,
    /// Begins where what was received ends.
    request: WatchRequest,
    receiver: mpsc::UnboundedReceiver<WatchResponse>,
    turn: usize,
    /// The first response, until it was handed out.
    created: Option<WatchResponse>,
    ended: bool,
}

impl Watcher {
    pub(crate) async fn begin(client: Client, mut request: WatchRequest) -> Result<Watcher, EtcdError> {
        check_key(&request.key)?;
        let (receiver, turn, created) = open(&client, &request).await;
        if request.start_revision == 0 {
            request.start_revision = created.header.revision + 1;
        }
        Ok(Watcher { client, request, receiver, turn, created: Some(created), ended: false })
    }

    /// The next response; the first one says `created`. When the member is gone, the watch goes on at the next
    /// one where it was broken off. `None` after a response that says `canceled`.
    pub async fn next(&mut self) -> Option<Result<WatchResponse, EtcdError>> {
        if let Some(created) = self.created.take() {
            return Some(Ok(created));
        }
        if self.ended {
            return None;
        }
        loop {
            let Some(response) = self.receiver.recv().await else {
                self.client.next_endpoint(self.turn).await;
                (self.receiver, self.turn, _) = open(&self.client, &self.request).await;
                continue;
            };
            if let Some(last) = response.events.last() {
                self.request.start_revision = last.kv.mod_revision + 1;
            }
            self.ended = response.canceled;
            return Some(Ok(response));
        }
    }
}

/// Opens the watch at the first member that takes it.
async fn open(client: &Client, request: &WatchRequest) -> (mpsc::UnboundedReceiver<WatchResponse>, usize, WatchResponse) {
    loop {
        let (turn, endpoint) = client.endpoint();
        if let Some((receiver, created)) = open_at(client, endpoint, request).await {
            return (receiver, turn, created);
        }
        client.next_endpoint(turn).await;
    }
}

async fn open_at(
    client: &Client,
    endpoint: u64,
    request: &WatchRequest,
) -> Option<(mpsc::UnboundedReceiver<WatchResponse>, WatchResponse)> {
    let cluster = client.cluster();
    let name = cluster.name_of(endpoint);
    let sent = deliver(cluster.world.network(), client.from(), name, &payload::watch(request)).await.ok()?;
    let member = cluster.running(endpoint)?;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let pump = pump(cluster.clone(), member.clone(), client.from().clone(), request.clone(), sender);
    drop(member.component.spawn(caused_by(Some(sent), pump)));
    let created = receiver.recv().await?;
    Some((receiver, created))
}

/// Carries a watch's responses from the store to the client. Runs in the member's scope.
async fn pump(
    cluster: Arc<Cluster>,
    member: Arc<Member>,
    to: Arc<str>,
    request: WatchRequest,
    client: mpsc::UnboundedSender<WatchResponse>,
) {
    if member.leader().id.is_none() {
        return;
    }
    let (sender, mut responses) = mpsc::unbounded_channel();
    let Some(id) = member.watch(request, sender) else {
        while let Some(response) = responses.recv().await {
            pass_on(&cluster, &member, &to, response, &client).await;
        }
        return;
    };
    loop {
        tokio::select! {
            biased;
            () = client.closed() => break,
            response = responses.recv() => {
                let Some(response) = response else { break };
                if !pass_on(&cluster, &member, &to, response, &client).await {
                    break;
                }
            }
            () = leaderless(&member, LEADERLESS_MAX * cluster.config.election_timeout) => break,
        }
    }
    member.locked().watchers.cancel(id);
}

async fn pass_on(
    cluster: &Cluster,
    member: &Member,
    to: &str,
    response: WatchResponse,
    client: &mpsc::UnboundedSender<WatchResponse>,
) -> bool {
    let cause = response.events.iter().find_map(|event| event.cause);
    let message = payload::watch_response(&response);
    let delivered = caused_by(cause, deliver(cluster.world.network(), &member.name, to, &message)).await;
    delivered.is_ok() && client.send(response).is_ok()
}

/// Returns when the member has known of no leader for `long`.
async fn leaderless(member: &Member, long: Duration) {
    let mut leader = member.watch_leader();
    loop {
        // The member holds the sender, and outlives this.
        let _ = leader.wait_for(|leader| leader.id.is_none()).await;
        let found = leader.wait_for(|leader| leader.id.is_some());
        let Ok(_) = tokio::time::timeout(long, found).await else { return };
    }
}
