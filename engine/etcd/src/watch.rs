//! Watches: at the member, a pump from the store's watchers to the client's stream; at the client, a stream
//! that goes on at another member when its own is gone. Counterpart of `v3rpc/watch.go` and `clientv3/watch.go`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use labkit_sim::caused_by;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::api::{WatchRequest, WatchResponse};
use crate::client::{BackOff, Client};
use crate::cluster::Cluster;
use crate::error::EtcdError;
use crate::member::Member;
use crate::payload::{self, deliver};
use crate::server;

/// How long a stream is silent before its client asks whether the member is still there, and how long the
/// member has to answer (the API server's keepalive of its connection to etcd).
pub(crate) const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many responses wait for a client that does not read. Then the store is told nothing more to say, and when
/// the client has read all, its watches go on from the store's history, as upstream's unsynced ones do.
const BACKLOG_MAX: usize = 1024;

/// The watch id of a response to a request for progress (`clientv3.InvalidWatchID`).
pub(crate) const ALL_WATCHES: i64 = -1;

/// The receiving end of a watch. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {
    client: Client,
    /// Begins where what was received ends.
    request: WatchRequest,
    stream: Stream,
    turn: usize,
    /// When the member last gave a sign of life, since the world began.
    heard_at: Duration,
    /// The first response, until it was handed out.
    created: Option<WatchResponse>,
    ended: bool,
}

impl Watcher {
    pub(crate) async fn begin(client: Client, mut request: WatchRequest) -> Watcher {
        let (stream, turn, created) = open(&client, &request).await;
        if request.start_revision == 0 {
            request.start_revision = created.header.revision + 1;
        }
        let heard_at = client.now();
        Watcher { client, request, stream, turn, heard_at, created: Some(created), ended: false }
    }

    /// The next response; the first one says `created`. When the member is gone, the watch goes on at the next
    /// one where it was broken off. `None` after a response that says `canceled`. Dropping the future loses nothing.
    #[expect(clippy::should_implement_trait, reason = "it is an async function, boxed where the crate ends")]
    pub fn next(&mut self) -> BoxFuture<'_, Option<Result<WatchResponse, EtcdError>>> {
        Box::pin(async move {
            if let Some(created) = self.created.take() {
                return Some(Ok(created));
            }
            if self.ended {
                return None;
            }
            loop {
                let received = tokio::select! {
                    biased;
                    response = self.stream.responses.recv() => response,
                    () = member_lost(&self.client, &self.stream.member, &mut self.heard_at) => None,
                };
                self.heard_at = self.client.now();
                let Some(Ok(response)) = received else {
                    self.client.next_endpoint(self.turn, &mut BackOff::default()).await;
                    (self.stream, self.turn, _) = open(&self.client, &self.request).await;
                    continue;
                };
                if let Some(last) = response.events.last() {
                    self.request.start_revision = last.kv.mod_revision + 1;
                }
                self.ended = response.canceled;
                return Some(Ok(response));
            }
        })
    }

    /// Asks how far the watch is: a response without events, whose header's revision it has reached, follows.
    pub fn request_progress(&self) {
        // A broken stream is noticed by `next`.
        let _ = self.stream.commands.send(Command::Progress);
    }
}

/// Returns when the stream was silent for long, and the member did not answer.
async fn member_lost(client: &Client, member: &Member, heard_at: &mut Duration) {
    loop {
        tokio::time::sleep((*heard_at + KEEPALIVE_TIME).saturating_sub(client.now())).await;
        let Ok(true) = tokio::time::timeout(KEEPALIVE_TIMEOUT, answers(client, member)).await else { return };
        *heard_at = client.now();
    }
}

/// Whether the member answers a ping, which leaves no record.
async fn answers(client: &Client, member: &Member) -> bool {
    let network = client.cluster().world.network();
    network.pass(client.from(), &member.name).await.is_ok()
        && member.component.spawn(async {}).await.is_ok()
        && network.pass(&member.name, client.from()).await.is_ok()
}

/// Opens the watch at the first member that takes it.
async fn open(client: &Client, request: &WatchRequest) -> (Stream, usize, WatchResponse) {
    let mut back_off = BackOff::default();
    loop {
        let (turn, endpoint) = client.endpoint();
        let opened = open_at(client, endpoint, request);
        if let Ok(Some((stream, created))) = tokio::time::timeout(KEEPALIVE_TIMEOUT, opened).await {
            return (stream, turn, created);
        }
        client.next_endpoint(turn, &mut back_off).await;
    }
}

async fn open_at(client: &Client, endpoint: u64, request: &WatchRequest) -> Option<(Stream, WatchResponse)> {
    let cluster = client.cluster();
    let name = cluster.name_of(endpoint);
    let sent = deliver(cluster.world.network(), client.from(), &name, &payload::watch(request)).await.ok()?;
    let member = cluster.running(endpoint)?;
    let mut stream =
        caused_by(Some(sent), async { Stream::open(cluster, &member, client.from(), true) }).await;
    stream.commands.send(Command::Create { watch_id: 0, request: request.clone() }).ok()?;
    let created = stream.responses.recv().await?.ok()?;
    Some((stream, created))
}

/// What a client says on a stream of watches.
#[derive(Debug)]
pub(crate) enum Command {
    Create {
        watch_id: i64,
        request: WatchRequest,
    },
    #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "in process, a watch ends with its stream"))]
    Cancel {
        watch_id: i64,
    },
    Progress,
}

/// The client's end of a stream, on which several watches can run. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Stream {
    pub commands: mpsc::UnboundedSender<Command>,
    /// Ends when the member is gone; before, an error says why.
    pub responses: mpsc::Receiver<Result<WatchResponse, EtcdError>>,
    member: Arc<Member>,
}

impl Stream {
    /// Opens a stream from `member` to the client `to`.
    pub fn open(cluster: &Arc<Cluster>, member: &Arc<Member>, to: &Arc<str>, require_leader: bool) -> Stream {
        let (commands, received) = mpsc::unbounded_channel();
        let (sender, responses) = mpsc::channel(BACKLOG_MAX);
        let pump = Pump {
            cluster: cluster.clone(),
            member: member.clone(),
            to: to.clone(),
            require_leader,
            commands: received,
            client: sender,
            watches: BTreeMap::new(),
            is_suspended: false,
        };
        drop(member.component.spawn(pump.run()));
        Stream { commands, responses, member: member.clone() }
    }
}

/// The member's end of a stream.
struct Pump {
    cluster: Arc<Cluster>,
    member: Arc<Member>,
    to: Arc<str>,
    require_leader: bool,
    commands: mpsc::UnboundedReceiver<Command>,
    client: mpsc::Sender<Result<WatchResponse, EtcdError>>,
    /// By the ids that the client knows.
    watches: BTreeMap<i64, Watched>,
    /// The client does not read: the store tells nothing more for now.
    is_suspended: bool,
}

struct Watched {
    /// The watch at the store; `None` while the client does not read.
    id: Option<u64>,
    /// Begins where what was passed on ends.
    request: WatchRequest,
}

impl Pump {
    async fn run(mut self) {
        let (sender, mut responses) = mpsc::unbounded_channel();
        if self.require_leader && self.member.leader().id.is_none() {
            let _ = self.client.send(Err(EtcdError::NoLeader)).await;
            return;
        }
        let (cluster, member) = (self.cluster.clone(), self.member.clone());
        let mut leaderless = std::pin::pin!(server::given_up(&cluster, &member));
        loop {
            tokio::select! {
                biased;
                () = self.client.closed() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command, &sender),
                    None => break,
                },
                Some(response) = responses.recv() => {
                    if !self.pass_on(response).await {
                        break;
                    }
                    if self.is_suspended && responses.is_empty() {
                        self.resume(&sender);
                    }
                }
                () = &mut leaderless, if self.require_leader => {
                    let _ = self.client.send(Err(EtcdError::NoLeader)).await;
                    break;
                }
            }
        }
        self.suspend();
    }

    fn obey(&mut self, command: Command, sender: &mpsc::UnboundedSender<WatchResponse>) {
        let header = self.member.header();
        match command {
            Command::Create { watch_id, mut request } => {
                let listener = Arc::new(sender.clone());
                if let Some(id) = self.member.watch(watch_id, request.clone(), listener, true) {
                    if request.start_revision == 0 {
                        request.start_revision = header.revision + 1;
                    }
                    self.watches.insert(watch_id, Watched { id: Some(id), request });
                }
            }
            Command::Cancel { watch_id } => {
                let Some(watched) = self.watches.remove(&watch_id) else { return };
                if let Some(id) = watched.id {
                    self.member.locked().watchers.cancel(id);
                }
                let _ = sender.send(WatchResponse {
                    header,
                    watch_id,
                    canceled: true,
                    ..WatchResponse::default()
                });
            }
            Command::Progress => {
                let watch_id = ALL_WATCHES;
                let _ = sender.send(WatchResponse { header, watch_id, ..WatchResponse::default() });
            }
        }
    }

    async fn pass_on(&mut self, response: WatchResponse) -> bool {
        let watch_id = response.watch_id;
        // The store has ended it: its past was compacted away.
        if response.canceled && response.compact_revision > 0 {
            self.watches.remove(&watch_id);
        }
        if let (Some(last), Some(watched)) = (response.events.last(), self.watches.get_mut(&watch_id)) {
            watched.request.start_revision = last.kv.mod_revision + 1;
        }
        // Else it goes over a real link, and nobody reads a trace.
        if !self.cluster.is_distributed() && !self.deliver(&response).await {
            return false;
        }
        match self.client.try_send(Ok(response)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(response)) => {
                self.suspend();
                self.client.send(response).await.is_ok()
            }
        }
    }

    /// Sends it over the link; `false` when the link is dead.
    async fn deliver(&self, response: &WatchResponse) -> bool {
        let cause = response.events.iter().find_map(|event| event.cause);
        let message = payload::watch_response(response);
        let network = self.cluster.world.network();
        caused_by(cause, deliver(network, &self.member.name, &self.to, &message)).await.is_ok()
    }

    /// Ends the watches at the store.
    fn suspend(&mut self) {
        self.is_suspended = true;
        let mut state = self.member.locked();
        for id in self.watches.values_mut().filter_map(|watched| watched.id.take()) {
            state.watchers.cancel(id);
        }
    }

    /// Begins them again where they stood.
    fn resume(&mut self, sender: &mpsc::UnboundedSender<WatchResponse>) {
        self.is_suspended = false;
        for (watch_id, watched) in self.watches.iter_mut().filter(|(_, watched)| watched.id.is_none()) {
            let listener = Arc::new(sender.clone());
            // To its client, it never ended.
            watched.id = self.member.watch(*watch_id, watched.request.clone(), listener, false);
        }
    }
}
