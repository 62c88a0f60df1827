//! What a member does with a request of a client. Counterpart of `etcdserver/v3_server.go`.

mod auth;
mod compactor;
mod leases;
mod maintenance;
mod members;
mod prober;
pub(crate) mod sharing;

use std::sync::Arc;
use std::time::Duration;

use labkit_sim::{caused_by, current_cause};

pub(crate) use auth::asker;
pub(crate) use compactor::compact_by_itself;
pub(crate) use leases::expire_leases;
#[cfg(feature = "grpc")]
pub(crate) use leases::lease_at;
pub(crate) use maintenance::status;
#[cfg(feature = "grpc")]
pub(crate) use members::change_as_leader;
pub(crate) use members::publish;
pub(crate) use prober::compare_clocks;

use crate::admin::AuthRequest;
use crate::api::{
    Answer, MemberListResponse, RangeRequest, Request, RequestOp, Response, ResponseHeader, TxnRequest,
};
use crate::auth::Asker;
use crate::cluster::Cluster;
use crate::error::EtcdError;
use crate::member::{Member, timed_out};
use crate::mvcc::txn::{check_key, check_put, check_txn, is_read_only};
use crate::payload::{self, Message, Undelivered, deliver};
use crate::peer::{Call, Reply};
use crate::raft::{Command, Proposal};

/// The version that the members report.
pub const VERSION: &str = "3.5.16";

/// Largest request (`--max-request-bytes`).
const REQUEST_BYTES_MAX: usize = 1_572_864;
/// How long after an unanswered question for the read index it is asked again (`readIndexRetryTime`).
const READ_INDEX_RETRY: Duration = Duration::from_millis(500);
/// How often watches that ask for it hear of progress (`--experimental-watch-progress-notify-interval`).
const PROGRESS_INTERVAL: Duration = Duration::from_secs(600);
/// A member that knows of no leader for that many election timeouts sends those away who have patience for one
/// election only (`maxNoLeaderCnt` in `v3rpc/interceptor.go`).
const LEADERLESS_MAX: u32 = 3;

/// What a client without a leader does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It waits as long as its deadline lets it.
    Endless,
    /// It can ask another member, and does so when no election brings a leader: this one may be cut off.
    OneElection,
}

/// A member at work for one of its clients.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub cluster: Arc<Cluster>,
    pub member: Arc<Member>,
    pub patience: Patience,
    /// Who stands behind the request, where authentication is on.
    pub asker: Option<Asker>,
}

/// One call of a client: the request goes over the link, the member handles it, the answer comes back.
pub(crate) async fn call(
    cluster: &Arc<Cluster>,
    from: &str,
    endpoint: u64,
    request: Request,
    patience: Patience,
    token: Option<String>,
) -> Answer {
    if cluster.is_distributed() && is_brief(&request) {
        // It came over a real link, and nobody reads a trace.
        let member = cluster.running(endpoint).ok_or(EtcdError::ConnectionLost)?;
        let server = Server { cluster: cluster.clone(), member, patience, asker: None };
        return server.handle(request, token).await;
    }
    // In a box, as all that is rare: most futures need not be as large as this one.
    Box::pin(call_over_link(cluster, from, endpoint, request, patience, token)).await
}

async fn call_over_link(
    cluster: &Arc<Cluster>,
    from: &str,
    endpoint: u64,
    request: Request,
    patience: Patience,
    token: Option<String>,
) -> Answer {
    let network = cluster.world.network();
    let name = cluster.name_of(endpoint);
    let refused = || EtcdError::Refused { member: name.to_string() };
    let (_, response) = payload::names(&request);
    let sent =
        deliver(network, from, &name, &payload::request(&request)).await.map_err(|error| match error {
            Undelivered::Refused => refused(),
            Undelivered::Dead => EtcdError::ConnectionLost,
        })?;
    let member = cluster.running(endpoint).ok_or_else(refused)?;
    let server = Server { cluster: cluster.clone(), member: member.clone(), patience, asker: None };
    let handled = member.component.spawn(caused_by(Some(sent), server.handle(request, token)));
    // A member that is killed meanwhile takes its connections along.
    let answer = handled.await.unwrap_or(Err(EtcdError::ConnectionLost));
    let message = payload::answer(response, &answer);
    let back = caused_by(Some(sent), deliver(network, &name, from, &message));
    back.await.map_err(|_| EtcdError::ConnectionLost)?;
    answer
}

/// Whether nothing is left half done when the client goes away in the midst of it.
fn is_brief(request: &Request) -> bool {
    matches!(
        request,
        Request::Range(_)
            | Request::Put(_)
            | Request::DeleteRange(_)
            | Request::Txn(_)
            | Request::Compact { .. }
    )
}

impl Server {
    /// Answers one request. Runs in the member's scope.
    async fn handle(mut self, request: Request, token: Option<String>) -> Answer {
        if self.member.is_learner() && !is_for_learners(&request) {
            return Err(EtcdError::NotSupportedForLearner);
        }
        if !matches!(request, Request::Auth(AuthRequest::Authenticate { .. })) {
            self.asker = asker(&self.member, token.as_deref())?;
        }
        self.count(&request);
        self.check_quota(&request).await?;
        let answer = match request {
            Request::Range(range) => self.read(range).await,
            Request::Put(put) => {
                check_put(&put)?;
                self.propose(Command::Put(put)).await
            }
            Request::Txn(txn) => self.txn(txn).await,
            other => Box::pin(self.handle_rare(other)).await,
        };
        answer.map(|response| response.with_header(self.member.header()))
    }

    /// What is not most of a server's work.
    async fn handle_rare(&self, request: Request) -> Answer {
        match request {
            Request::Range(_) | Request::Put(_) | Request::Txn(_) => unreachable!("these are not rare"),
            Request::DeleteRange(delete) => {
                check_key(&delete.key)?;
                self.propose(Command::DeleteRange(delete)).await
            }
            Request::Compact { revision } => self.propose(Command::Compact { revision }).await,
            Request::LeaseGrant { id, ttl } => {
                let chosen =
                    i64::try_from(self.member.next_request_id() & (u64::MAX >> 1)).unwrap_or(i64::MAX);
                let id = if id == 0 { chosen } else { id };
                self.propose(Command::LeaseGrant { id, ttl }).await
            }
            Request::LeaseRevoke { id } => {
                self.check_lease(id)?;
                self.propose(Command::LeaseRevoke { id }).await
            }
            Request::LeaseTimeToLive { id, keys } => {
                if keys {
                    self.check_lease(id)?;
                }
                self.ask_countdown(request).await
            }
            Request::LeaseKeepAlive { .. } => self.ask_countdown(request).await,
            Request::LeaseLeases => Ok(self.leases()),
            Request::Status => Ok(Response::Status(status(&self.member))),
            Request::MemberList { linearizable } => {
                if linearizable {
                    self.linearize().await?;
                }
                let (header, members) = (ResponseHeader::default(), self.member_infos());
                Ok(Response::MemberList(MemberListResponse { header, members }))
            }
            Request::Member(change) => {
                self.check_admin()?;
                self.change_members(change).await
            }
            Request::MoveLeader { target } => self.move_leader(target).await,
            Request::Alarm(request) => self.alarm(request).await,
            Request::Defragment => self.check_admin().and_then(|()| self.defragment()),
            Request::HashKv { revision } => self.check_admin().and_then(|()| self.hash_kv(revision)),
            Request::Snapshot => self.check_admin().and_then(|()| self.snapshot()),
            Request::Auth(request) => self.auth(request).await,
        }
    }

    fn count(&self, request: &Request) {
        let counters = &self.member.counters;
        match request {
            Request::Range(_) => counters.ranges.add(),
            Request::Put(_) => counters.puts.add(),
            Request::DeleteRange(_) => counters.deletes.add(),
            Request::Txn(_) => counters.txns.add(),
            _ => {}
        }
    }

    fn check_admin(&self) -> Result<(), EtcdError> {
        self.member.locked().store.admin.auth.check_admin(self.asker.as_ref())
    }

    fn check_lease(&self, id: i64) -> Result<(), EtcdError> {
        let state = self.member.locked();
        let keys = state.store.leases.get(id).into_iter().flat_map(|lease| &lease.keys);
        state.store.admin.auth.check_lease(self.asker.as_ref(), keys)
    }

    async fn read(&self, range: RangeRequest) -> Answer {
        check_key(&range.key)?;
        if !range.serializable {
            self.linearize().await?;
        }
        let state = self.member.locked();
        state.store.admin.auth.check_range(self.asker.as_ref(), &range)?;
        state.store.range_response(&range).map(Response::Range)
    }

    async fn txn(&self, txn: TxnRequest) -> Answer {
        check_txn(&txn)?;
        if !is_read_only(&txn) {
            return self.propose(Command::Txn(txn)).await;
        }
        self.linearize().await?;
        let mut state = self.member.locked();
        state.store.admin.auth.check_txn(self.asker.as_ref(), &txn)?;
        let response = state.store.write(None).txn_request(txn)?;
        Ok(Response::Txn(response))
    }

    /// The leader as this member sees it; waits for one as long as the client has patience.
    async fn leader(&self) -> Result<u64, EtcdError> {
        if let Some(leader) = self.member.leader().id {
            return Ok(leader);
        }
        tokio::select! {
            biased;
            leader = self.member.wait_leader() => Ok(leader),
            () = given_up(&self.cluster, &self.member), if self.patience == Patience::OneElection => {
                Err(EtcdError::NoLeader)
            }
        }
    }

    /// Waits for `work` as long as a member waits for the others.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, EtcdError>>) -> Result<T, EtcdError> {
        let started = self.member.now();
        match tokio::time::timeout(self.cluster.request_timeout(), work).await {
            Ok(done) => done,
            Err(_elapsed) => {
                Err(timed_out(started, self.member.leader(), self.cluster.config.election_timeout))
            }
        }
    }

    /// Brings a change before the leader, and waits until this member has applied it.
    async fn propose(&self, command: Command) -> Answer {
        if size_of(&command) > REQUEST_BYTES_MAX {
            return Err(EtcdError::RequestTooLarge);
        }
        let started = self.member.now();
        let leader = match self.member.leader().id {
            Some(leader) => leader,
            None => {
                let found = tokio::time::timeout(self.cluster.request_timeout(), self.leader());
                let Ok(leader) = Box::pin(found).await else {
                    self.member.counters.proposals_failed.add();
                    return Err(EtcdError::NotProposed);
                };
                leader?
            }
        };
        let (awaited, outcome) = self.member.await_proposal();
        let left = self.cluster.request_timeout().saturating_sub(self.member.now() - started);
        let answer = tokio::time::timeout(left, async {
            let proposal =
                Proposal { id: awaited.id, command, asker: self.asker.clone(), cause: current_cause() };
            match self.member.queues.get() {
                Some(queues) if leader != self.member.id => queues.hand_over(proposal),
                Some(queues) if !self.member.hands_over() => queues.append(proposal),
                _ => Box::pin(self.hand_over(leader, proposal)).await,
            }
            outcome.await.unwrap_or(Err(EtcdError::ConnectionLost))
        });
        answer.await.unwrap_or_else(|_elapsed| {
            self.member.counters.proposals_failed.add();
            Err(timed_out(started, self.member.leader(), self.cluster.config.election_timeout))
        })
    }

    /// Gives a proposal to the leader. What goes wrong is not told: a lost proposal shows as a time-out, in
    /// etcd too.
    async fn hand_over(&self, leader: u64, mut proposal: Proposal) {
        if leader == self.member.id {
            return submit(&self.cluster, &self.member, proposal).await;
        }
        let name = self.cluster.name_of(leader);
        let message = payload::propose(&proposal.command);
        let Ok(sent) = deliver(self.cluster.world.network(), &self.member.name, &name, &message).await else {
            return;
        };
        let Some(leader) = self.cluster.running(leader) else { return };
        proposal.cause = Some(sent);
        let (cluster, at_leader) = (self.cluster.clone(), leader.clone());
        drop(leader.component.spawn(async move { submit(&cluster, &at_leader, proposal).await }));
    }

    /// Waits until this member has applied all that was committed anywhere when this was called.
    async fn linearize(&self) -> Result<(), EtcdError> {
        self.in_time(async {
            let index = match self.member.queues.get() {
                None => self.read_index().await?,
                Some(queues) => tokio::select! {
                    biased;
                    index = queues.read_index() => index?,
                    () = given_up(&self.cluster, &self.member), if self.patience == Patience::OneElection => {
                        return Err(EtcdError::NoLeader);
                    }
                },
            };
            self.member.wait_applied(index).await;
            Ok(())
        })
        .await
    }

    /// Asks the leader up to where the log was committed.
    async fn read_index(&self) -> Result<u64, EtcdError> {
        let leader = self.leader().await?;
        let mut leaders = self.member.watch_leader();
        let changed = leaders.wait_for(|now| now.id.is_some_and(|now| now != leader));
        let ask = async {
            loop {
                if let Some(index) = self.ask_read_index(leader).await {
                    return index;
                }
                tokio::time::sleep(READ_INDEX_RETRY).await;
            }
        };
        tokio::select! {
            biased;
            index = ask => Ok(index),
            _ = changed => Err(EtcdError::LeaderChanged),
        }
    }

    async fn ask_read_index(&self, leader: u64) -> Option<u64> {
        if leader == self.member.id {
            return confirmed_index(&self.member).await;
        }
        if self.cluster.is_distributed() {
            let asked = self.cluster.ask(&self.member, leader, Call::ReadIndex);
            return match tokio::time::timeout(READ_INDEX_RETRY, asked).await.ok()?? {
                Reply::ReadIndex(index) => index,
                _ => None,
            };
        }
        let network = self.cluster.world.network();
        let name = self.cluster.name_of(leader);
        let sent = deliver(network, &self.member.name, &name, &Message::ReadIndex).await.ok()?;
        let leader = self.cluster.running(leader)?;
        let at_leader = leader.clone();
        let asked = async move { confirmed_index(&at_leader).await };
        let index = leader.component.spawn(caused_by(Some(sent), asked)).await.ok()??;
        let answer = Message::ReadIndexResponse { index };
        caused_by(Some(sent), deliver(network, &name, &self.member.name, &answer)).await.ok()?;
        Some(index)
    }
}

/// Appends a proposal at the leader. While that one hands leadership over, the proposal waits, and goes on to the
/// new leader.
pub(crate) async fn submit(cluster: &Arc<Cluster>, member: &Member, mut proposal: Proposal) {
    member.wait_handed_over().await;
    let leader = match member.leader().id {
        Some(leader) if leader != member.id && !member.is_elected() => leader,
        _ => return append(member, proposal).await,
    };
    if cluster.is_distributed() {
        cluster.ask(member, leader, Call::Append(proposal)).await;
        return;
    }
    let message = payload::propose(&proposal.command);
    let name = cluster.name_of(leader);
    let Ok(sent) = deliver(cluster.world.network(), &member.name, &name, &message).await else { return };
    let Some(leader) = cluster.running(leader) else { return };
    proposal.cause = Some(sent);
    let at_leader = leader.clone();
    drop(leader.component.spawn(async move { append(&at_leader, proposal).await }));
}

pub(crate) async fn append(member: &Member, proposal: Proposal) {
    // The outcome comes with the log, to whoever waits for the proposal's id.
    match member.queues.get() {
        None => drop(member.raft().client_write_ff(Arc::new(vec![proposal])).await),
        Some(queues) => queues.append(proposal),
    }
}

/// What a learner answers: how it is, and what it has itself.
fn is_for_learners(request: &Request) -> bool {
    matches!(request, Request::Status | Request::Range(RangeRequest { serializable: true, .. }))
}

/// The index up to which the log was committed, if a quorum still takes this member for the leader.
pub(crate) async fn confirmed_index(member: &Member) -> Option<u64> {
    let (read_log_id, _applied) = member.raft().get_read_log_id().await.ok()?;
    Some(read_log_id.map_or(0, |id| id.index))
}

/// Bytes in keys and values.
pub(crate) fn size_of(command: &Command) -> usize {
    fn of_operation(operation: &RequestOp) -> usize {
        match operation {
            RequestOp::Range(range) => range.key.len() + range.range_end.len(),
            RequestOp::Put(put) => put.key.len() + put.value.len(),
            RequestOp::DeleteRange(delete) => delete.key.len() + delete.range_end.len(),
            RequestOp::Txn(txn) => of_txn(txn),
        }
    }
    fn of_txn(txn: &TxnRequest) -> usize {
        let compares: usize = txn.compare.iter().map(|compare| compare.key.len()).sum();
        compares + txn.success.iter().chain(&txn.failure).map(of_operation).sum::<usize>()
    }
    match command {
        Command::Put(put) => put.key.len() + put.value.len(),
        Command::DeleteRange(delete) => delete.key.len() + delete.range_end.len(),
        Command::Txn(txn) => of_txn(txn),
        Command::Compact { .. }
        | Command::LeaseGrant { .. }
        | Command::LeaseRevoke { .. }
        | Command::Alarm(_)
        | Command::Auth(_)
        | Command::Publish { .. } => 0,
    }
}

/// Returns when the member has been without a leader for longer than an election takes.
pub(crate) async fn given_up(cluster: &Cluster, member: &Member) {
    member.wait_leaderless(LEADERLESS_MAX * cluster.config.election_timeout).await;
}

/// Tells quiet watches how far the store is.
pub(crate) async fn notify_progress(member: Arc<Member>) {
    loop {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        let header = member.header();
        member.locked().watchers.notify_progress(header);
    }
}
