//! Requests that come together share a message, where every member is a process of its own: proposals an entry of the
//! log, and so one sync of each disk (group commit), or a message to the leader; reads the question for the read index
//! (`linearizableReadLoop`).

#[cfg(feature = "grpc")]
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

#[cfg(feature = "grpc")]
use super::{Patience, Server, size_of, submit};
#[cfg(feature = "grpc")]
use crate::cluster::Cluster;
use crate::error::EtcdError;
#[cfg(feature = "grpc")]
use crate::member::Member;
#[cfg(feature = "grpc")]
use crate::peer::Call;
use crate::raft::Proposal;

/// What a message of shared proposals takes at most.
#[cfg(feature = "grpc")]
const BYTES: usize = 1 << 20;
#[cfg(feature = "grpc")]
const PROPOSALS_MAX: usize = 1024;

/// Who waits for the read index.
type Reader = oneshot::Sender<Result<u64, EtcdError>>;

/// Where a member's requests wait for those that they share a message with.
#[derive(Debug)]
pub(crate) struct Queues {
    entries: mpsc::UnboundedSender<Proposal>,
    forwards: mpsc::UnboundedSender<Proposal>,
    readers: mpsc::UnboundedSender<Reader>,
}

impl Queues {
    /// Appends a proposal at this member, the leader. What goes wrong is not told, as ever with proposals.
    pub fn append(&self, proposal: Proposal) {
        let _ = self.entries.send(proposal);
    }

    /// Gives a proposal to the leader, another member.
    pub fn hand_over(&self, proposal: Proposal) {
        let _ = self.forwards.send(proposal);
    }

    /// Up to where the log was committed anywhere when this was called.
    pub async fn read_index(&self) -> Result<u64, EtcdError> {
        let (reader, index) = oneshot::channel();
        // Its end is the member's.
        let _ = self.readers.send(reader);
        index.await.unwrap_or(Err(EtcdError::ConnectionLost))
    }
}

/// Makes a member's requests share messages from now on.
#[cfg(feature = "grpc")]
pub(crate) fn share(cluster: &Arc<Cluster>, member: &Arc<Member>) {
    let (entries, to_append) = mpsc::unbounded_channel();
    let (forwards, to_forward) = mpsc::unbounded_channel();
    let (readers, to_read) = mpsc::unbounded_channel();
    member.queues.set(Queues { entries, forwards, readers }).expect("set once, here");
    let component = &member.component;
    component.spawn(append(member.clone(), to_append));
    component.spawn(forward(cluster.clone(), member.clone(), to_forward));
    component.spawn(read(cluster.clone(), member.clone(), to_read));
}

/// The proposals that wait, as far as one message takes them.
#[cfg(feature = "grpc")]
async fn batch(queue: &mut mpsc::UnboundedReceiver<Proposal>) -> Option<Vec<Proposal>> {
    let first = queue.recv().await?;
    let mut bytes = size_of(&first.command);
    let mut proposals = vec![first];
    while bytes < BYTES
        && proposals.len() < PROPOSALS_MAX
        && let Ok(next) = queue.try_recv()
    {
        bytes += size_of(&next.command);
        proposals.push(next);
    }
    Some(proposals)
}

/// Group commit: the proposals that come while an entry is on its way share the next one. Two at a time would halve
/// them, and cost more syncs: the engine waits for its own disk before it takes the next entry.
#[cfg(feature = "grpc")]
async fn append(member: Arc<Member>, mut queue: mpsc::UnboundedReceiver<Proposal>) {
    while let Some(proposals) = batch(&mut queue).await {
        // The outcome comes with the log, to whoever waits for the proposals' ids.
        let _ = member.raft().client_write(Arc::new(proposals)).await;
    }
}

#[cfg(feature = "grpc")]
async fn forward(cluster: Arc<Cluster>, member: Arc<Member>, mut queue: mpsc::UnboundedReceiver<Proposal>) {
    while let Some(proposals) = batch(&mut queue).await {
        let leader = member.wait_leader().await;
        if leader == member.id {
            for proposal in proposals {
                submit(&cluster, &member, proposal).await;
            }
            continue;
        }
        let mut leaders = member.watch_leader();
        tokio::select! {
            biased;
            _ = cluster.ask(&member, leader, Call::Propose(proposals)) => {}
            // One that does not answer must not hold up what the next one is told.
            _ = leaders.wait_for(|now| now.id != Some(leader)) => {}
        }
    }
}

#[cfg(feature = "grpc")]
async fn read(cluster: Arc<Cluster>, member: Arc<Member>, mut queue: mpsc::UnboundedReceiver<Reader>) {
    let server = Server { cluster, member, patience: Patience::Endless, asker: None };
    while let Some(first) = queue.recv().await {
        let mut readers = vec![first];
        while let Ok(next) = queue.try_recv() {
            readers.push(next);
        }
        let index = server.read_index().await;
        for reader in readers {
            // It may have given up.
            let _ = reader.send(index.clone());
        }
    }
}
