//! openraft's messages over the world's links.

use std::sync::Arc;
use std::time::Duration;

use labkit_sim::caused_by;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{CommittedLeaderId, EntryPayload};

use super::{Entry, LogId, Node, TypeConfig};
use crate::cluster::Cluster;
use crate::error::EtcdError;
use crate::member::Member;
use crate::payload::{Message, index_of};
use crate::peer::{Call, Reply};
use crate::server;

/// An AppendEntries to another process takes no more entries once it carries that much.
const APPEND_BYTES: usize = 1 << 20;

/// Makes a member's links to its peers.
pub(crate) struct Links {
    pub cluster: Arc<Cluster>,
    pub member: Arc<Member>,
}

impl RaftNetworkFactory<TypeConfig> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _: &Node) -> Link {
        Link { cluster: self.cluster.clone(), member: self.member.clone(), target }
    }
}

/// A member's link to one peer.
pub(crate) struct Link {
    cluster: Arc<Cluster>,
    member: Arc<Member>,
    target: u64,
}

type Failed<E> = RPCError<u64, Node, E>;

impl Link {
    /// Calls the peer: the request goes over the link, `call` runs at the peer, the answer comes back.
    async fn call<T, E, Fut>(
        &self,
        request: Message,
        call: impl FnOnce(Arc<Member>) -> Fut,
        answer: impl FnOnce(&T) -> Message,
    ) -> Result<T, Failed<E>>
    where
        E: std::error::Error,
        Fut: Future<Output = Result<T, E>>,
    {
        let network = self.cluster.world.network();
        let name = self.cluster.name_of(self.target);
        let unreachable = |error: &(dyn std::error::Error + 'static)| {
            RPCError::Network(NetworkError::new(&std::io::Error::other(error.to_string())))
        };
        let sent =
            network.transmit(&self.member.name, &name, request).await.map_err(|error| unreachable(&error))?;
        let peer =
            self.cluster.running(self.target).ok_or_else(|| unreachable(&EtcdError::ConnectionLost))?;
        let response =
            call(peer).await.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error)))?;
        let back = network.transmit(&name, &self.member.name, answer(&response));
        caused_by(Some(sent), back).await.map_err(|error| unreachable(&error))?;
        Ok(response)
    }

    /// openraft would try again at once, for ever, while no time passes: wait as a failed dial does.
    async fn back_off(&self) {
        tokio::time::sleep(self.cluster.config.heartbeat_interval).await;
    }
}

impl RaftNetwork<TypeConfig> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failed<RaftError<u64>>> {
        let term = rpc.vote.leader_id.term;
        let commit = index_of(rpc.leader_commit);
        let heartbeat = rpc.entries.is_empty() && self.member.commit_told(self.target) == Some(commit);
        let request = Message::AppendEntries {
            term,
            prev_index: index_of(rpc.prev_log_id),
            entries: rpc.entries.len(),
            commit,
            heartbeat,
        };
        let cause = rpc.entries.iter().find_map(cause_of);
        let began = self.member.now();
        let leader = self.member.id;
        let last = rpc.entries.last().map(|entry| entry.log_id).or(rpc.prev_log_id);
        if self.cluster.is_distributed() {
            let response = self.append_elsewhere(rpc).await;
            return self.appended(response, commit, last, began).await;
        }
        let append = |peer: Arc<Member>| async move { append_at(&peer, leader, rpc).await };
        let answer = |response: &AppendEntriesResponse<u64>| match response {
            AppendEntriesResponse::HigherVote(vote) => {
                Message::AppendEntriesResponse { term: vote.leader_id.term, success: false, heartbeat }
            }
            response => Message::AppendEntriesResponse { term, success: !response.is_conflict(), heartbeat },
        };
        let response = caused_by(cause, self.call(request, append, answer)).await;
        self.appended(response, commit, last, began).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failed<RaftError<u64, InstallSnapshotError>>> {
        let request = Message::InstallSnapshot {
            term: rpc.vote.leader_id.term,
            last_index: index_of(rpc.meta.last_log_id),
            offset: rpc.offset,
            bytes: rpc.data.len(),
        };
        let leader = self.member.id;
        if self.cluster.is_distributed() {
            let response = self.install_elsewhere(rpc).await;
            return self.installed(response).await;
        }
        let install = |peer: Arc<Member>| async move { install_at(&peer, leader, rpc).await };
        let answer = |response: &InstallSnapshotResponse<u64>| Message::InstallSnapshotResponse {
            term: response.vote.leader_id.term,
        };
        let response = self.call(request, install, answer).await;
        self.installed(response).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, Failed<RaftError<u64>>> {
        let request = Message::Vote { term: rpc.vote.leader_id.term, last_index: index_of(rpc.last_log_id) };
        let transfer = self.member.is_transfer(rpc.vote.leader_id.term);
        if self.cluster.is_distributed() {
            let call = if transfer { Call::TransferVote(rpc) } else { Call::Vote(rpc) };
            return match self.cluster.ask(&self.member, self.target, call).await {
                Some(Reply::Vote(response)) => Ok(response),
                _ => Err(unreachable()),
            };
        }
        let vote = |peer: Arc<Member>| async move { vote_at(&peer, rpc, transfer).await };
        let answer = |response: &VoteResponse<u64>| Message::VoteResponse {
            term: response.vote.leader_id.term,
            granted: response.vote_granted,
        };
        self.call(request, vote, answer).await
    }
}

/// Members of other processes.
impl Link {
    /// Sends as many of the entries as one message should carry.
    async fn append_elsewhere(
        &self,
        mut rpc: AppendEntriesRequest<TypeConfig>,
    ) -> Result<AppendEntriesResponse<u64>, Failed<RaftError<u64>>> {
        let count = rpc.entries.len();
        let mut bytes = 0;
        let fits = rpc.entries.iter().take_while(|entry| {
            let room = bytes < APPEND_BYTES;
            bytes += size_of(entry);
            room
        });
        let fits = fits.count();
        rpc.entries.truncate(fits);
        let last = rpc.entries.last().map(|entry| entry.log_id);
        match self.cluster.ask(&self.member, self.target, Call::AppendEntries(rpc)).await {
            Some(Reply::AppendEntries(AppendEntriesResponse::Success)) if fits < count => {
                Ok(AppendEntriesResponse::PartialSuccess(last))
            }
            Some(Reply::AppendEntries(response)) => Ok(response),
            _ => Err(unreachable()),
        }
    }

    async fn install_elsewhere(
        &self,
        rpc: InstallSnapshotRequest<TypeConfig>,
    ) -> Result<InstallSnapshotResponse<u64>, Failed<RaftError<u64, InstallSnapshotError>>> {
        match self.cluster.ask(&self.member, self.target, Call::InstallSnapshot(rpc)).await {
            Some(Reply::InstallSnapshot(Ok(response))) => Ok(response),
            Some(Reply::InstallSnapshot(Err(error))) => {
                Err(RPCError::RemoteError(RemoteError::new(self.target, RaftError::APIError(error))))
            }
            _ => Err(unreachable()),
        }
    }

    /// What an answer to InstallSnapshot tells.
    async fn installed(
        &self,
        response: Result<InstallSnapshotResponse<u64>, Failed<RaftError<u64, InstallSnapshotError>>>,
    ) -> Result<InstallSnapshotResponse<u64>, Failed<RaftError<u64, InstallSnapshotError>>> {
        match &response {
            Ok(_) => self.member.heard_from_follower(self.target, None),
            Err(_) => self.back_off().await,
        }
        response
    }

    /// What an answer to AppendEntries tells.
    async fn appended(
        &self,
        response: Result<AppendEntriesResponse<u64>, Failed<RaftError<u64>>>,
        commit: u64,
        last: Option<LogId>,
        began: Duration,
    ) -> Result<AppendEntriesResponse<u64>, Failed<RaftError<u64>>> {
        match &response {
            Ok(AppendEntriesResponse::HigherVote(_)) => {}
            Ok(_) => {
                let took = self.member.now().saturating_sub(began);
                self.member.counters.round_trips.observe(self.target, took);
                self.member.heard_from_follower(self.target, Some(commit));
                // With this answer Raft may find a quorum, itself included.
                if let Some(last) = last {
                    self.member.wait_durable(last.index).await;
                }
            }
            Err(_) => self.back_off().await,
        }
        response
    }
}

fn unreachable<E: std::error::Error>() -> Failed<E> {
    RPCError::Network(NetworkError::new(&std::io::Error::other(EtcdError::ConnectionLost.to_string())))
}

/// At a follower: takes entries from `leader`.
pub(crate) async fn append_at(
    member: &Member,
    leader: u64,
    rpc: AppendEntriesRequest<TypeConfig>,
) -> Result<AppendEntriesResponse<u64>, RaftError<u64>> {
    let response = member.raft().append_entries(rpc).await?;
    if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
        member.heard_from_leader(leader);
    }
    Ok(response)
}

/// At a follower: takes a piece of a snapshot from `leader`.
pub(crate) async fn install_at(
    member: &Member,
    leader: u64,
    rpc: InstallSnapshotRequest<TypeConfig>,
) -> Result<InstallSnapshotResponse<u64>, RaftError<u64, InstallSnapshotError>> {
    let response = member.raft().install_snapshot(rpc).await?;
    member.heard_from_leader(leader);
    Ok(response)
}

/// At a voter: gives its vote, or not. The leader's lease does not stand in the way of one to whom the leader hands
/// over (`campaignTransfer`).
pub(crate) async fn vote_at(
    member: &Member,
    rpc: VoteRequest<u64>,
    transfer: bool,
) -> Result<VoteResponse<u64>, RaftError<u64>> {
    if transfer {
        // openraft knows no such votes. But a leader that is not known to have won has no lease: so the voter learns of
        // the new term first, and then judges the candidate's log as ever. What tells it is an AppendEntries that it
        // refuses once it has taken note of the term, because it follows on an entry that nobody has.
        let nowhere = LogId::new(CommittedLeaderId::new(rpc.vote.leader_id.term, 0), u64::MAX - 1);
        let news = AppendEntriesRequest {
            vote: rpc.vote,
            prev_log_id: Some(nowhere),
            entries: Vec::new(),
            leader_commit: None,
        };
        member.raft().append_entries(news).await?;
    }
    let response = member.raft().vote(rpc).await?;
    if response.vote_granted {
        member.granted_a_vote();
    }
    Ok(response)
}

fn size_of(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(proposals) => {
            proposals.iter().map(|proposal| server::size_of(&proposal.command)).sum()
        }
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}

fn cause_of(entry: &Entry) -> Option<labkit_sim::RecordId> {
    match &entry.payload {
        EntryPayload::Normal(proposals) => proposals.iter().find_map(|proposal| proposal.cause),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    }
}
