//! What a member does with a request of a client. Counterpart of `etcdserver/v3_server.go`.

mod leases;

use std::sync::Arc;
use std::time::Duration;

use labkit_sim::{caused_by, current_cause};

pub(crate) use leases::expire_leases;

use crate::api::{
    Answer, MemberListResponse, RangeRequest, Request, RequestOp, Response, ResponseHeader, StatusResponse,
    TxnRequest,
};
use crate::cluster::Cluster;
use crate::error::EtcdError;
use crate::member::{Member, timed_out};
use crate::mvcc::txn::{check_key, check_put, check_txn, is_read_only};
use crate::payload::{self, Message, Undelivered, deliver};
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
}

/// One call of a client: the request goes over the link, the member handles it, the answer comes back.
pub(crate) async fn call(
    cluster: &Arc<Cluster>,
    from: &str,
    endpoint: u64,
    request: Request,
    patience: Patience,
) -> Answer {
    let network = cluster.world.network();
    let name = cluster.name_of(endpoint);
    let refused = || EtcdError::Refused { member: name.to_owned() };
    let (_, response) = payload::names(&request);
    let sent =
        deliver(network, from, name, &payload::request(&request)).await.map_err(|error| match error {
            Undelivered::Refused => refused(),
            Undelivered::Dead => EtcdError::ConnectionLost,
        })?;
    let member = cluster.running(endpoint).ok_or_else(refused)?;
    let server = Server { cluster: cluster.clone(), member: member.clone(), patience };
    let handled = member.component.spawn(caused_by(Some(sent), server.handle(request)));
    // A member that is killed meanwhile takes its connections along.
    let answer = handled.await.unwrap_or(Err(EtcdError::ConnectionLost));
    let message = payload::answer(response, &answer);
    let back = caused_by(Some(sent), deliver(network, name, from, &message));
    back.await.map_err(|_| EtcdError::ConnectionLost)?;
    answer
}

impl Server {
    /// Answers one request. Runs in the member's scope.
    async fn handle(self, request: Request) -> Answer {
        let header = ResponseHeader::default();
        let answer = match request {
            Request::Range(range) => self.read(range).await,
            Request::Put(put) => {
                check_put(&put)?;
                self.propose(Command::Put(put)).await
            }
            Request::DeleteRange(delete) => {
                check_key(&delete.key)?;
                self.propose(Command::DeleteRange(delete)).await
            }
            Request::Txn(txn) => self.txn(txn).await,
            Request::Compact { revision } => self.propose(Command::Compact { revision }).await,
            Request::LeaseGrant { id, ttl } => {
                let chosen =
                    i64::try_from(self.member.next_request_id() & (u64::MAX >> 1)).unwrap_or(i64::MAX);
                let id = if id == 0 { chosen } else { id };
                self.propose(Command::LeaseGrant { id, ttl }).await
            }
            Request::LeaseRevoke { id } => self.propose(Command::LeaseRevoke { id }).await,
            Request::LeaseKeepAlive { .. } | Request::LeaseTimeToLive { .. } => {
                self.ask_countdown(request).await
            }
            Request::LeaseLeases => Ok(self.leases()),
            Request::Status => Ok(Response::Status(status(&self.member))),
            Request::MemberList { linearizable } => {
                if linearizable {
                    self.linearize().await?;
                }
                Ok(Response::MemberList(MemberListResponse { header, members: self.cluster.member_infos() }))
            }
        };
        answer.map(|response| response.with_header(self.member.header()))
    }

    async fn read(&self, range: RangeRequest) -> Answer {
        check_key(&range.key)?;
        if !range.serializable {
            self.linearize().await?;
        }
        self.member.locked().store.range_response(&range).map(Response::Range)
    }

    async fn txn(&self, txn: TxnRequest) -> Answer {
        check_txn(&txn)?;
        if !is_read_only(&txn) {
            return self.propose(Command::Txn(txn)).await;
        }
        self.linearize().await?;
        let response = self.member.locked().store.write(None).txn_request(txn)?;
        Ok(Response::Txn(response))
    }

    /// The leader as this member sees it; waits for one as long as the client has patience.
    async fn leader(&self) -> Result<u64, EtcdError> {
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
        let (id, outcome) = self.member.await_proposal();
        let answer = self.in_time(async {
            let leader = self.leader().await?;
            self.hand_over(leader, Proposal { id, command, cause: current_cause() }).await;
            outcome.await.unwrap_or(Err(EtcdError::ConnectionLost))
        });
        let answer = answer.await;
        self.member.forget_proposal(id);
        answer
    }

    /// Gives a proposal to the leader. What goes wrong is not told: a lost proposal shows as a time-out, in
    /// etcd too.
    async fn hand_over(&self, leader: u64, mut proposal: Proposal) {
        if leader == self.member.id {
            return submit(&self.member, proposal).await;
        }
        let name = self.cluster.name_of(leader);
        let message = payload::propose(&proposal.command);
        let Ok(sent) = deliver(self.cluster.world.network(), &self.member.name, name, &message).await else {
            return;
        };
        let Some(leader) = self.cluster.running(leader) else { return };
        proposal.cause = Some(sent);
        let at_leader = leader.clone();
        drop(leader.component.spawn(async move { submit(&at_leader, proposal).await }));
    }

    /// Waits until this member has applied all that was committed anywhere when this was called.
    async fn linearize(&self) -> Result<(), EtcdError> {
        self.in_time(async {
            let index = self.read_index().await?;
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
        let network = self.cluster.world.network();
        let name = self.cluster.name_of(leader);
        let sent = deliver(network, &self.member.name, name, &Message::ReadIndex).await.ok()?;
        let leader = self.cluster.running(leader)?;
        let at_leader = leader.clone();
        let asked = async move { confirmed_index(&at_leader).await };
        let index = leader.component.spawn(caused_by(Some(sent), asked)).await.ok()??;
        let answer = Message::ReadIndexResponse { index };
        caused_by(Some(sent), deliver(network, name, &self.member.name, &answer)).await.ok()?;
        Some(index)
    }
}

async fn submit(member: &Member, proposal: Proposal) {
    // The outcome comes with the log, to whoever waits for the proposal's id.
    let _ = member.raft().client_write_ff(proposal).await;
}

/// The index up to which the log was committed, if a quorum still takes this member for the leader.
async fn confirmed_index(member: &Member) -> Option<u64> {
    let (read_log_id, _applied) = member.raft().get_read_log_id().await.ok()?;
    Some(read_log_id.map_or(0, |id| id.index))
}

/// Bytes in keys and values.
fn size_of(command: &Command) -> usize {
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
        Command::Compact { .. } | Command::LeaseGrant { .. } | Command::LeaseRevoke { .. } => 0,
    }
}

pub(crate) fn status(member: &Member) -> StatusResponse {
    let metrics = member.metrics();
    let leader = member.leader().id;
    let size = member.locked().store.size_bytes();
    StatusResponse {
        header: member.header(),
        version: VERSION.to_owned(),
        db_size: size,
        db_size_in_use: size,
        leader: leader.unwrap_or(0),
        raft_index: metrics.last_log_index.unwrap_or(0),
        raft_term: metrics.current_term,
        raft_applied_index: metrics.last_applied.map_or(0, |id| id.index),
        errors: if leader.is_none() { vec![EtcdError::NoLeader.to_string()] } else { Vec::new() },
        is_learner: false,
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
