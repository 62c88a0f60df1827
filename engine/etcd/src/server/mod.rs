//! What a member does with a request of a client. Counterpart of `etcdserver/v3_server.go`.

use std::sync::Arc;
use std::time::Duration;

use labkit_sim::{RecordId, caused_by, current_cause};

use crate::api::{
    Answer, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseTimeToLiveResponse, MemberListResponse,
    RangeRequest, Request, Response, ResponseHeader, StatusResponse, TxnRequest,
};
use crate::cluster::Cluster;
use crate::error::EtcdError;
use crate::lease::EXPIRY_SCAN;
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

/// Answers one request of a client of `member`. Runs in the member's scope.
pub(crate) async fn handle(cluster: Arc<Cluster>, member: Arc<Member>, request: Request) -> Answer {
    let answer = match request {
        Request::Range(range) => read(&cluster, &member, range).await,
        Request::Put(put) => match check_put(&put) {
            Ok(()) => propose(&cluster, &member, Command::Put(put)).await,
            Err(error) => Err(error),
        },
        Request::DeleteRange(delete) => match check_key(&delete.key) {
            Ok(()) => propose(&cluster, &member, Command::DeleteRange(delete)).await,
            Err(error) => Err(error),
        },
        Request::Txn(txn) => self::txn(&cluster, &member, txn).await,
        Request::Compact { revision } => propose(&cluster, &member, Command::Compact { revision }).await,
        Request::LeaseGrant { id, ttl } => {
            let chosen = i64::try_from(member.next_request_id() & (u64::MAX >> 1)).unwrap_or(i64::MAX);
            let id = if id == 0 { chosen } else { id };
            propose(&cluster, &member, Command::LeaseGrant { id, ttl }).await
        }
        Request::LeaseRevoke { id } => propose(&cluster, &member, Command::LeaseRevoke { id }).await,
        Request::LeaseKeepAlive { .. } | Request::LeaseTimeToLive { .. } => {
            ask_countdown(&cluster, &member, request).await
        }
        Request::LeaseLeases => Ok(leases(&member)),
        Request::Status => Ok(Response::Status(status(&member))),
        Request::MemberList { linearizable: false } => Ok(members(&cluster)),
        Request::MemberList { linearizable: true } => {
            linearize(&cluster, &member).await.map(|()| members(&cluster))
        }
    };
    answer.map(|response| response.with_header(member.header()))
}

async fn read(cluster: &Arc<Cluster>, member: &Arc<Member>, range: RangeRequest) -> Answer {
    check_key(&range.key)?;
    if !range.serializable {
        linearize(cluster, member).await?;
    }
    member.locked().store.range_response(&range).map(Response::Range)
}

async fn txn(cluster: &Arc<Cluster>, member: &Arc<Member>, txn: TxnRequest) -> Answer {
    check_txn(&txn)?;
    if !is_read_only(&txn) {
        return propose(cluster, member, Command::Txn(txn)).await;
    }
    linearize(cluster, member).await?;
    let mut state = member.locked();
    let response = state.store.write(None).txn_request(txn)?;
    Ok(Response::Txn(response))
}

/// Brings a change before the leader, and waits until this member has applied it.
async fn propose(cluster: &Arc<Cluster>, member: &Arc<Member>, command: Command) -> Answer {
    if size_of(&command) > REQUEST_BYTES_MAX {
        return Err(EtcdError::RequestTooLarge);
    }
    let started = member.now();
    let (id, outcome) = member.await_proposal();
    let wait = async {
        let leader = member.wait_leader().await;
        let proposal = Proposal { id, command, cause: current_cause() };
        hand_over(cluster, member, leader, proposal).await;
        outcome.await.unwrap_or(Err(EtcdError::ConnectionLost))
    };
    match tokio::time::timeout(cluster.request_timeout(), wait).await {
        Ok(answer) => answer,
        Err(_elapsed) => {
            member.forget_proposal(id);
            Err(timed_out(started, member.leader(), cluster.config.election_timeout))
        }
    }
}

/// Gives a proposal to the leader. What goes wrong is not told: a lost proposal shows as a time-out, in etcd
/// too.
async fn hand_over(cluster: &Arc<Cluster>, member: &Arc<Member>, leader: u64, mut proposal: Proposal) {
    if leader == member.id {
        return submit(member, proposal).await;
    }
    let name = cluster.name_of(leader);
    let message = payload::propose(&proposal.command);
    let Ok(sent) = deliver(cluster.world.network(), &member.name, name, &message).await else { return };
    let Some(leader) = cluster.running(leader) else { return };
    proposal.cause = Some(sent);
    let at_leader = leader.clone();
    drop(leader.component.spawn(caused_by(Some(sent), async move { submit(&at_leader, proposal).await })));
}

async fn submit(member: &Member, proposal: Proposal) {
    // The outcome comes with the log, to whoever waits for the proposal's id.
    let _ = member.raft().client_write_ff(proposal).await;
}

fn size_of(command: &Command) -> usize {
    use crate::api::RequestOp;
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

/// Waits until this member has applied all that was committed anywhere when this was called.
async fn linearize(cluster: &Arc<Cluster>, member: &Arc<Member>) -> Result<(), EtcdError> {
    let started = member.now();
    let wait = async {
        member.wait_applied(read_index(cluster, member).await?).await;
        Ok(())
    };
    match tokio::time::timeout(cluster.request_timeout(), wait).await {
        Ok(done) => done,
        Err(_elapsed) => Err(timed_out(started, member.leader(), cluster.config.election_timeout)),
    }
}

/// Asks the leader up to where the log was committed.
async fn read_index(cluster: &Arc<Cluster>, member: &Arc<Member>) -> Result<u64, EtcdError> {
    let leader = member.wait_leader().await;
    let mut leaders = member.watch_leader();
    let changed = leaders.wait_for(|now| now.id.is_some_and(|now| now != leader));
    let ask = async {
        loop {
            if let Some(index) = ask_read_index(cluster, member, leader).await {
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

async fn ask_read_index(cluster: &Arc<Cluster>, member: &Arc<Member>, leader: u64) -> Option<u64> {
    if leader == member.id {
        return confirmed_index(member).await;
    }
    let network = cluster.world.network();
    let name = cluster.name_of(leader);
    let sent = deliver(network, &member.name, name, &Message::ReadIndex).await.ok()?;
    let leader = cluster.running(leader)?;
    let at_leader = leader.clone();
    let asked =
        leader.component.spawn(caused_by(Some(sent), async move { confirmed_index(&at_leader).await }));
    let index = asked.await.ok()??;
    caused_by(Some(sent), network.transmit(name, &member.name, Message::ReadIndexResponse { index }))
        .await
        .ok()?;
    Some(index)
}

/// The index up to which the log was committed, if a quorum still takes this member for the leader.
async fn confirmed_index(member: &Member) -> Option<u64> {
    let (read_log_id, _applied) = member.raft().get_read_log_id().await.ok()?;
    Some(read_log_id.map_or(0, |id| id.index))
}

/// Renews or tells a lease's remaining time, which only the leader counts.
async fn ask_countdown(cluster: &Arc<Cluster>, member: &Arc<Member>, request: Request) -> Answer {
    let started = member.now();
    let wait = async {
        loop {
            let leader = member.wait_leader().await;
            if leader == member.id {
                if let Some(answer) = count_down(member, &request) {
                    return answer;
                }
            } else if let Some(answer) = ask_countdown_of(cluster, member, leader, &request).await {
                return answer;
            }
            tokio::time::sleep(cluster.config.heartbeat_interval / 2).await;
        }
    };
    match tokio::time::timeout(cluster.request_timeout(), wait).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(timed_out(started, member.leader(), cluster.config.election_timeout)),
    }
}

async fn ask_countdown_of(
    cluster: &Arc<Cluster>,
    member: &Arc<Member>,
    leader: u64,
    request: &Request,
) -> Option<Answer> {
    let network = cluster.world.network();
    let name = cluster.name_of(leader);
    let (kind, response) = payload::names(request);
    let sent = deliver(network, &member.name, name, &payload::request(request)).await.ok()?;
    let leader = cluster.running(leader)?;
    let (at_leader, asked) = (leader.clone(), request.clone());
    let answer = leader.component.spawn(async move { count_down(&at_leader, &asked) }).await.ok()??;
    debug_assert!(response.starts_with(kind));
    let message = payload::answer(response, &answer);
    caused_by(Some(sent), network.transmit(name, &member.name, message)).await.ok()?;
    Some(answer)
}

/// The leader's answer; `None` from a member that does not lead.
fn count_down(member: &Member, request: &Request) -> Option<Answer> {
    if member.leader().id != Some(member.id) {
        return None;
    }
    let now = member.now();
    let header = ResponseHeader::default();
    let mut guard = member.locked();
    let state = &mut *guard;
    Some(match request {
        Request::LeaseKeepAlive { id } => {
            let ttl = state.store.leases.get(*id).map_or(0, |lease| lease.ttl);
            if ttl > 0 {
                state.countdown.renew(*id, ttl, now);
            }
            Ok(Response::LeaseKeepAlive(LeaseKeepAliveResponse { header, id: *id, ttl }))
        }
        Request::LeaseTimeToLive { id, keys } => {
            let lease = state.store.leases.get(*id);
            let remaining = state.countdown.remaining(*id, now).unwrap_or_default().as_secs();
            let response = match lease {
                None => {
                    LeaseTimeToLiveResponse { header, id: *id, ttl: -1, granted_ttl: 0, keys: Vec::new() }
                }
                Some(lease) => LeaseTimeToLiveResponse {
                    header,
                    id: *id,
                    ttl: i64::try_from(remaining).unwrap_or(i64::MAX),
                    granted_ttl: lease.ttl,
                    keys: if *keys { lease.keys.iter().cloned().collect() } else { Vec::new() },
                },
            };
            Ok(Response::LeaseTimeToLive(response))
        }
        _ => return None,
    })
}

fn leases(member: &Member) -> Response {
    let leases = member.locked().store.leases.iter().map(|(id, _)| id).collect();
    Response::LeaseLeases(LeaseLeasesResponse { header: ResponseHeader::default(), leases })
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

fn members(cluster: &Cluster) -> Response {
    let header = ResponseHeader::default();
    Response::MemberList(MemberListResponse { header, members: cluster.member_infos() })
}

/// Revokes, at the leader, the leases whose time is over, through the log as any other change.
pub(crate) async fn expire_leases(cluster: Arc<Cluster>, member: Arc<Member>) {
    loop {
        tokio::time::sleep(EXPIRY_SCAN).await;
        let expired = member.locked().countdown.expired(member.now());
        for id in expired {
            let (cluster, member) = (cluster.clone(), member.clone());
            // Another member's revocation may come first; what fails is tried again at the next scan.
            labkit_sim::spawn(async move { propose(&cluster, &member, Command::LeaseRevoke { id }).await });
        }
    }
}

/// Tells quiet watches how far the store is.
pub(crate) async fn notify_progress(member: Arc<Member>) {
    loop {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        let header = member.header();
        member.locked().watchers.notify_progress(header);
    }
}

/// One call of a client: the request goes over the link, the member handles it, the answer comes back.
pub(crate) async fn call(cluster: &Arc<Cluster>, from: &str, endpoint: u64, request: Request) -> Answer {
    let network = cluster.world.network();
    let name = cluster.name_of(endpoint);
    let refused = || EtcdError::Refused { member: name.to_owned() };
    let (_, response_kind) = payload::names(&request);
    let sent =
        deliver(network, from, name, &payload::request(&request)).await.map_err(|error| match error {
            Undelivered::Refused => refused(),
            Undelivered::Dead => EtcdError::ConnectionLost,
        })?;
    let member = cluster.running(endpoint).ok_or_else(refused)?;
    let handled =
        member.component.spawn(caused_by(Some(sent), handle(cluster.clone(), member.clone(), request)));
    // A member that is killed meanwhile takes its connections along.
    let answer = handled.await.unwrap_or(Err(EtcdError::ConnectionLost));
    answered(cluster, name, from, sent, &payload::answer(response_kind, &answer)).await?;
    answer
}

async fn answered(
    cluster: &Cluster,
    name: &str,
    from: &str,
    sent: RecordId,
    message: &Message,
) -> Result<(), EtcdError> {
    let back = deliver(cluster.world.network(), name, from, message);
    caused_by(Some(sent), back).await.map(drop).map_err(|_| EtcdError::ConnectionLost)
}
