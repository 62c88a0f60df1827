//! What members of different processes ask of each other. Members of one process meet over the world's links
//! instead; what is asked of whom is the same.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use openraft::error::InstallSnapshotError;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use crate::admin::MemberChange;
use crate::cluster::Cluster;
use crate::error::EtcdError;
use crate::member::Member;
use crate::raft::{LogId, Proposal, TypeConfig};

/// A question to a member.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    AppendEntries(AppendEntriesRequest<TypeConfig>),
    InstallSnapshot(InstallSnapshotRequest<TypeConfig>),
    Vote(VoteRequest<u64>),
    /// From a candidate to whom the leader hands over.
    TransferVote(VoteRequest<u64>),
    PreVote {
        term: u64,
        last_log_id: Option<LogId>,
    },
    TimeoutNow,
    Propose(Vec<Proposal>),
    /// A proposal that was handed on already, by a leader that is one no more.
    Append(Proposal),
    ReadIndex,
    Change(MemberChange),
    /// Renew a lease, or tell what is left of it and, with `keys`, its keys.
    Lease {
        id: i64,
        renew: bool,
        keys: bool,
    },
    Ping,
    /// Who the members are: for one that joins, and does not know yet who it is.
    Members,
}

/// The answer to the question of the same name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    AppendEntries(AppendEntriesResponse<u64>),
    InstallSnapshot(Result<InstallSnapshotResponse<u64>, InstallSnapshotError>),
    Vote(VoteResponse<u64>),
    PreVote(bool),
    Taken,
    ReadIndex(Option<u64>),
    Change(Option<Result<(u64, u64), EtcdError>>),
    Lease(Option<LeaseReply>),
    /// For how long the member has been running.
    Pong(Duration),
    /// To any question: who asks was removed from the cluster.
    Removed,
    Members {
        cluster_id: u64,
        members: Vec<(u64, Vec<String>)>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeaseReply {
    pub ttl: i64,
    pub granted_ttl: i64,
    pub keys: Vec<bytes::Bytes>,
}

/// The way to members of other processes.
pub(crate) trait Peers: Debug + Send + Sync {
    /// Asks the member `to`, which is at one of `urls`. `None` when no answer came.
    fn ask(&self, from: u64, to: u64, urls: Vec<String>, call: Call) -> BoxFuture<'_, Option<Reply>>;
}

impl Cluster {
    /// Whether every member is a process of its own.
    pub fn is_distributed(&self) -> bool {
        self.peers_elsewhere.is_some()
    }

    /// Asks a member of another process.
    pub async fn ask(&self, member: &Member, to: u64, call: Call) -> Option<Reply> {
        let peers = self.peers_elsewhere.as_ref()?;
        match peers.ask(member.id, to, member.peer_urls(to), call).await? {
            Reply::Removed => {
                member.end_removed(member.id);
                None
            }
            reply => Some(reply),
        }
    }
}

/// What a member answers another one, `from`.
#[cfg(feature = "grpc")]
pub(crate) async fn answer(
    cluster: &Arc<Cluster>,
    member: &Arc<Member>,
    from: u64,
    call: Call,
) -> Option<Reply> {
    use crate::raft::network;
    use crate::{election, server};

    if member.locked().store.admin.removed.contains(&from) {
        return Some(Reply::Removed);
    }
    Some(match call {
        Call::AppendEntries(rpc) => Reply::AppendEntries(network::append_at(member, from, rpc).await.ok()?),
        Call::InstallSnapshot(rpc) => match network::install_at(member, from, rpc).await {
            Ok(response) => Reply::InstallSnapshot(Ok(response)),
            Err(error) => Reply::InstallSnapshot(Err(error.into_api_error()?)),
        },
        Call::Vote(rpc) => Reply::Vote(network::vote_at(member, rpc, false).await.ok()?),
        Call::TransferVote(rpc) => Reply::Vote(network::vote_at(member, rpc, true).await.ok()?),
        Call::PreVote { term, last_log_id } => {
            Reply::PreVote(election::would_vote_at(member, term, last_log_id))
        }
        Call::TimeoutNow => {
            member.campaign_for_transfer().await;
            Reply::Taken
        }
        Call::Propose(proposals) => {
            let (cluster, member) = (cluster.clone(), member.clone());
            drop(labkit_sim::spawn(async move {
                for proposal in proposals {
                    server::submit(&cluster, &member, proposal).await;
                }
            }));
            Reply::Taken
        }
        Call::Append(proposal) => {
            server::append(member, proposal).await;
            Reply::Taken
        }
        Call::ReadIndex => Reply::ReadIndex(server::confirmed_index(member).await),
        Call::Change(change) => Reply::Change(server::change_as_leader(cluster, member, change).await),
        Call::Lease { id, renew, keys } => Reply::Lease(server::lease_at(member, id, renew, keys)),
        Call::Ping => Reply::Pong(member.now().saturating_sub(member.started_at)),
        Call::Members => {
            let members = member.members().into_iter().map(|one| (one.id, one.peer_urls)).collect();
            Reply::Members { cluster_id: cluster.id, members }
        }
    })
}
