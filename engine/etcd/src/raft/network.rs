//! openraft's messages over the world's links.

use std::sync::Arc;

use labkit_sim::caused_by;
use openraft::EntryPayload;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};

use super::{Entry, Node, TypeConfig};
use crate::cluster::Cluster;
use crate::error::EtcdError;
use crate::member::Member;
use crate::payload::{Message, index_of};

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
        let leader = self.member.id;
        let append = |peer: Arc<Member>| async move {
            let response = peer.raft().append_entries(rpc).await?;
            if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
                peer.heard_from_leader(leader);
            }
            Ok(response)
        };
        let answer = |response: &AppendEntriesResponse<u64>| match response {
            AppendEntriesResponse::HigherVote(vote) => {
                Message::AppendEntriesResponse { term: vote.leader_id.term, success: false, heartbeat }
            }
            response => Message::AppendEntriesResponse { term, success: !response.is_conflict(), heartbeat },
        };
        let response = caused_by(cause, self.call(request, append, answer)).await;
        match &response {
            Ok(AppendEntriesResponse::HigherVote(_)) => {}
            Ok(_) => self.member.heard_from_follower(self.target, Some(commit)),
            Err(_) => self.back_off().await,
        }
        response
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
        let install = |peer: Arc<Member>| async move {
            let response = peer.raft().install_snapshot(rpc).await?;
            peer.heard_from_leader(leader);
            Ok(response)
        };
        let answer = |response: &InstallSnapshotResponse<u64>| Message::InstallSnapshotResponse {
            term: response.vote.leader_id.term,
        };
        let response = self.call(request, install, answer).await;
        match &response {
            Ok(_) => self.member.heard_from_follower(self.target, None),
            Err(_) => self.back_off().await,
        }
        response
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, Failed<RaftError<u64>>> {
        let request = Message::Vote { term: rpc.vote.leader_id.term, last_index: index_of(rpc.last_log_id) };
        let vote = |peer: Arc<Member>| async move {
            let response = peer.raft().vote(rpc).await?;
            if response.vote_granted {
                peer.granted_a_vote();
            }
            Ok(response)
        };
        let answer = |response: &VoteResponse<u64>| Message::VoteResponse {
            term: response.vote.leader_id.term,
            granted: response.vote_granted,
        };
        self.call(request, vote, answer).await
    }
}

fn cause_of(entry: &Entry) -> Option<labkit_sim::RecordId> {
    match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.cause,
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    }
}
