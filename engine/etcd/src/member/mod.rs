//! One run of one member: its store, who waits for what, and whom it takes for the leader. Counterpart of
//! `etcdserver/server.go`; a restart makes a new one from the disk.

mod apply;
mod counters;
mod leadership;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use labkit_sim::{Component, World};
use openraft::metrics::RaftServerMetrics;
use openraft::{RaftMetrics, ServerState};
use rand::RngCore;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use counters::{Counters, Histogram, of_syncs};
pub(crate) use leadership::{Leader, timed_out};
pub(crate) use tokens::Tokens;

use crate::api::{Answer, MemberInfo, Response, ResponseHeader, WatchRequest};
use crate::cluster::{EtcdConfig, Exit, ExitReason};
use crate::election::Timer;
use crate::lease::Countdown;
use crate::mvcc::store::Dump;
use crate::mvcc::{Listener, Store, WatchId, Watchers};
use crate::raft::log::Gauges;
use crate::raft::machine::Applied;
use crate::raft::{LogId, Membership, Node, Proposal, Raft};
use crate::server::sharing::Queues;

/// See the module.
#[derive(Debug)]
pub(crate) struct Member {
    pub id: u64,
    pub name: Arc<str>,
    pub component: Component,
    world: World,
    cluster_id: u64,
    election_timeout: Duration,
    pub started_at: Duration,
    /// Set while leadership is handed over: no new entry.
    hands_over: watch::Sender<bool>,
    /// The term in which this member stands because the leader hands over to it; 0 for none.
    transfer_term: AtomicU64,
    exits: mpsc::UnboundedSender<Exit>,
    pub counters: Counters,
    /// Set as soon as Raft has read the disk.
    raft: OnceLock<Engine>,
    /// How the member's log is.
    log: OnceLock<Arc<Gauges>>,
    /// Set where requests share messages.
    pub queues: OnceLock<Queues>,
    state: Mutex<State>,
    timer: Mutex<Timer>,
    /// The index up to which the log is applied.
    applied: watch::Sender<u64>,
    /// The leader as this member sees it, and since when.
    leader: watch::Sender<Leader>,
    last_request: AtomicU64,
}

struct Engine {
    raft: Raft,
    server: watch::Receiver<RaftServerMetrics<u64, Node>>,
    all: watch::Receiver<RaftMetrics<u64, Node>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("server", &self.server).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub store: Store,
    pub watchers: Watchers,
    pub countdown: Countdown,
    pub tokens: Tokens,
    /// Requests of clients of this member that are in the log, or on the way there.
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
    applied: Applied,
}

impl Member {
    pub fn new(
        world: &World,
        component: Component,
        id: u64,
        cluster_id: u64,
        config: &EtcdConfig,
        exits: mpsc::UnboundedSender<Exit>,
    ) -> Member {
        let ticks = config.election_timeout.as_millis() / config.heartbeat_interval.as_millis().max(1);
        let timer = component
            .random(|rng| Timer::new(u32::try_from(ticks).unwrap_or(u32::MAX), config.members.into(), rng));
        let state = State {
            store: Store::new(lease_ttl_min(config)),
            watchers: Watchers::default(),
            countdown: Countdown::default(),
            tokens: Tokens::default(),
            waiting: BTreeMap::new(),
            applied: Applied::default(),
        };
        Member {
            id,
            name: component.name().into(),
            world: world.clone(),
            cluster_id,
            election_timeout: config.election_timeout,
            started_at: world.clock().elapsed(),
            hands_over: watch::Sender::new(false),
            transfer_term: AtomicU64::new(0),
            exits,
            counters: Counters::default(),
            raft: OnceLock::new(),
            log: OnceLock::new(),
            queues: OnceLock::new(),
            state: Mutex::new(state),
            timer: Mutex::new(timer),
            applied: watch::Sender::new(0),
            leader: watch::Sender::new(Leader::default()),
            // As etcd's: the member in the upper bits, then a number that no earlier run has used.
            last_request: AtomicU64::new(id << 48 | component.random(RngCore::next_u64) >> 16),
            component,
        }
    }

    pub fn set_raft(&self, raft: Raft, log: Arc<Gauges>) {
        self.log.set(log).expect("a member's Raft is started once");
        let engine = Engine { server: raft.server_metrics(), all: raft.metrics(), raft };
        self.raft.set(engine).expect("a member's Raft is started once");
    }

    pub fn raft(&self) -> &Raft {
        &self.engine().raft
    }

    fn engine(&self) -> &Engine {
        self.raft.get().expect("a member is reachable only after its Raft was started")
    }

    pub fn metrics(&self) -> RaftMetrics<u64, Node> {
        self.engine().all.borrow().clone()
    }

    pub fn term(&self) -> u64 {
        self.raft.get().map_or(0, |engine| engine.server.borrow().vote.leader_id.term)
    }

    /// The index up to which this member knows the log to be committed.
    pub fn commit_index(&self) -> u64 {
        self.log.get().map_or(0, |log| log.commit_index())
    }

    /// Waits until this member's own log is on stable storage up to that index.
    pub async fn wait_durable(&self, index: u64) {
        if let Some(log) = self.log.get() {
            log.wait_durable(index).await;
        }
    }

    /// How long the syncs of its log took.
    #[cfg(feature = "grpc")]
    pub fn syncs(&self) -> Option<&Histogram> {
        self.log.get().map(|log| &log.syncs)
    }

    pub fn last_log_id(&self) -> Option<LogId> {
        self.raft().data_metrics().borrow().last_log
    }

    /// The voters of the newest membership that this member has heard of.
    pub fn voters(&self) -> BTreeSet<u64> {
        self.engine().all.borrow().membership_config.membership().voter_ids().collect()
    }

    /// Whether the cluster has no other member, learners included.
    pub fn is_alone(&self) -> bool {
        self.engine().all.borrow().membership_config.membership().nodes().nth(1).is_none()
    }

    pub fn is_learner(&self) -> bool {
        let membership = &self.engine().all.borrow().membership_config;
        membership.membership().learner_ids().any(|id| id == self.id)
    }

    /// Where a member's peers reach it, as the newest membership has it.
    pub fn peer_urls(&self, id: u64) -> Vec<String> {
        let all = self.engine().all.borrow();
        let node = all.membership_config.membership().get_node(&id);
        node.map(|node| node.peer_urls.clone()).unwrap_or_default()
    }

    /// The members as of what is applied, sorted by id, with the client URLs that they have published.
    pub fn members(&self) -> Vec<MemberInfo> {
        let state = self.locked();
        let membership = state.applied.membership.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let info = |(id, node): (&u64, &Node)| {
            let published = state.store.admin.published.get(id);
            MemberInfo {
                id: *id,
                name: published.map_or(&node.name, |published| &published.name).clone(),
                peer_urls: node.peer_urls.clone(),
                client_urls: published.map(|published| published.client_urls.clone()).unwrap_or_default(),
                is_learner: !voters.contains(id),
            }
        };
        membership.nodes().map(info).collect()
    }

    /// Whether Raft has ended, as it does when the disk fails.
    pub fn has_ended(&self) -> bool {
        self.engine().server.has_changed().is_err()
    }

    /// Whether Raft has elected this member, be it cut off since or not.
    pub fn is_elected(&self) -> bool {
        self.raft.get().is_some_and(|engine| engine.server.borrow().state == ServerState::Leader)
    }

    /// What Raft has this member for.
    pub fn role(&self) -> &'static str {
        match self.metrics().state {
            ServerState::Leader => "leader",
            ServerState::Candidate => "candidate",
            ServerState::Learner => "learner",
            ServerState::Follower => "follower",
            ServerState::Shutdown => "down",
        }
    }

    pub fn header(&self) -> ResponseHeader {
        self.header_at(self.locked().store.revision())
    }

    fn header_at(&self, revision: i64) -> ResponseHeader {
        ResponseHeader { cluster_id: self.cluster_id, member_id: self.id, revision, raft_term: self.term() }
    }

    pub fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic happens under this lock")
    }

    pub fn now(&self) -> Duration {
        self.world.clock().elapsed()
    }

    /// A number that no other request of this member has, ever.
    pub fn next_request_id(&self) -> u64 {
        self.last_request.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A request that waits for the log. Dropping it forgets it.
#[derive(Debug)]
pub(crate) struct Awaited<'a> {
    member: &'a Member,
    pub id: u64,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.member.locked().waiting.remove(&self.id);
    }
}

/// What Raft does to the store.
impl Member {
    /// Applies one committed proposal; answers who waits for it, and tells the watchers.
    pub fn apply(&self, proposal: &Proposal) {
        let mut guard = self.locked();
        let state = &mut *guard;
        let before = state.store.revision();
        let answer = state
            .permit(proposal)
            .and_then(|()| state.execute(proposal.command.clone(), proposal.cause, self.now()));
        let after = state.store.revision();
        let header = self.header_at(after);
        if after > before {
            state.watchers.notify(&state.store, after, header);
        }
        if let Some(waiting) = state.waiting.remove(&proposal.id) {
            // The client may have given up.
            let _ = waiting.send(answer.map(|response| response.with_header(header)));
        }
    }

    pub fn applied_state(&self) -> Applied {
        self.locked().applied.clone()
    }

    /// Who is no member any more ends.
    pub fn set_membership(&self, membership: Membership) {
        let before = std::mem::replace(&mut self.locked().applied.membership, membership.clone());
        let gone =
            before.membership().nodes().filter(|(id, _)| membership.membership().get_node(id).is_none());
        for (id, _) in gone {
            self.locked().store.admin.removed.insert(*id);
            self.end_removed(*id);
        }
    }

    /// Ends a member that was removed.
    pub fn end_removed(&self, id: u64) {
        // Without a receiver the world is at its end.
        let _ = self.exits.send(Exit { id, why: ExitReason::Removed });
    }

    pub fn set_applied(&self, applied: Applied) {
        let index = applied.log_id.map_or(0, |id| id.index);
        self.locked().applied = applied;
        self.applied.send_replace(index);
    }

    pub fn dump(&self) -> (Applied, Dump) {
        let state = self.locked();
        (state.applied.clone(), state.store.dump())
    }

    /// Replaces the store by that of a snapshot. Watches go on with what the snapshot is ahead.
    pub fn restore(&self, store: Store, applied: Applied) {
        {
            let mut guard = self.locked();
            let state = &mut *guard;
            let before = state.store.revision();
            state.store = store;
            let header = self.header_at(state.store.revision());
            state.watchers.catch_up(&state.store, before + 1, header);
        }
        self.set_applied(applied);
    }

    /// Registers a request whose outcome the log will tell.
    pub fn await_proposal(&self) -> (Awaited<'_>, oneshot::Receiver<Answer>) {
        let id = self.next_request_id();
        let (sender, receiver) = oneshot::channel();
        self.locked().waiting.insert(id, sender);
        (Awaited { member: self, id }, receiver)
    }

    pub fn applied_index(&self) -> u64 {
        *self.applied.borrow()
    }

    pub async fn wait_applied(&self, index: u64) {
        if self.applied_index() >= index {
            return;
        }
        let mut applied = self.applied.subscribe();
        applied.wait_for(|applied| *applied >= index).await.expect("the member holds the sender");
    }

    /// Begins a watch; see [`Watchers::create`].
    pub fn watch(
        &self,
        watch_id: i64,
        request: WatchRequest,
        listener: Arc<dyn Listener>,
        new: bool,
    ) -> Option<WatchId> {
        let mut guard = self.locked();
        let state = &mut *guard;
        let header = self.header_at(state.store.revision());
        state.watchers.create(&state.store, watch_id, request, header, listener, new)
    }
}

#[cfg(feature = "grpc")]
impl State {
    /// How many requests of clients wait for the log.
    pub fn pending(&self) -> usize {
        self.waiting.len()
    }
}

/// One and a half election timeouts, in whole seconds, rounded up (`minTTL` in `etcdserver.NewServer`).
fn lease_ttl_min(config: &EtcdConfig) -> i64 {
    let seconds = (config.election_timeout * 3 / 2).as_millis().div_ceil(1000);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

impl Response {
    /// Completes the header of an answer; the revision stays where the answer has one.
    pub fn with_header(mut self, header: ResponseHeader) -> Response {
        let own = match &mut self {
            Response::Range(r) => &mut r.header,
            Response::Put(r) => &mut r.header,
            Response::DeleteRange(r) => &mut r.header,
            Response::Txn(r) => &mut r.header,
            Response::Compact(r) => &mut r.header,
            Response::LeaseGrant(r) => &mut r.header,
            Response::LeaseRevoke(r) => &mut r.header,
            Response::LeaseKeepAlive(r) => &mut r.header,
            Response::LeaseTimeToLive(r) => &mut r.header,
            Response::LeaseLeases(r) => &mut r.header,
            Response::Status(r) => &mut r.header,
            Response::MemberList(r) => &mut r.header,
            Response::Member(r) => &mut r.header,
            Response::Alarm(r) => &mut r.header,
            Response::HashKv(r) => &mut r.header,
            Response::Snapshot(r) => &mut r.header,
            Response::Auth(r) => &mut r.header,
            Response::Done(header) => header,
        };
        let revision = if own.revision == 0 { header.revision } else { own.revision };
        *own = ResponseHeader { revision, ..header };
        self
    }
}
