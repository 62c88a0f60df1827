//! Compaction by itself. Counterpart of `etcdserver/api/v3compactor`: the leader forgets what is older than some time,
//! or than so many revisions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Patience, Server};
use crate::cluster::{AutoCompaction, Cluster};
use crate::error::EtcdError;
use crate::member::Member;
use crate::raft::Command;

/// How often the mode `revision` looks (`revInterval`).
const REVISION_INTERVAL: Duration = Duration::from_secs(300);
/// The mode `periodic` compacts no less often than that, and looks ten times as often.
const PERIODIC_INTERVAL_MAX: Duration = Duration::from_secs(3600);
const LOOKS: u32 = 10;

pub(crate) async fn compact_by_itself(cluster: Arc<Cluster>, member: Arc<Member>) {
    let Some(mode) = cluster.config.auto_compaction else { return };
    let server = Server { cluster, member, patience: Patience::Endless, asker: None };
    match mode {
        AutoCompaction::Periodic(period) => periodic(&server, period).await,
        AutoCompaction::Revision(kept) => revision(&server, kept).await,
    }
}

async fn periodic(server: &Server, period: Duration) {
    let interval = period.min(PERIODIC_INTERVAL_MAX);
    let look = interval / LOOKS;
    let kept = usize::try_from(period.as_nanos() / look.as_nanos().max(1)).unwrap_or(usize::MAX) + 1;
    let mut revisions = VecDeque::new();
    let mut compacted = (server.member.now(), None);
    loop {
        revisions.push_back(server.member.header().revision);
        if revisions.len() > kept {
            revisions.pop_front();
        }
        tokio::time::sleep(look).await;
        let (at, last) = compacted;
        let Some(revision) = revisions.front().copied().filter(|revision| Some(*revision) != last) else {
            continue;
        };
        let now = server.member.now();
        if leads(server) && now - at >= interval && compact(server, revision).await {
            compacted = (now, Some(revision));
        }
    }
}

async fn revision(server: &Server, kept: i64) {
    let mut last = 0;
    loop {
        tokio::time::sleep(REVISION_INTERVAL).await;
        let revision = server.member.header().revision - kept;
        if leads(server) && revision > 0 && revision != last && compact(server, revision).await {
            last = revision;
        }
    }
}

fn leads(server: &Server) -> bool {
    server.member.leader().id == Some(server.member.id)
}

/// Whether the store is compacted up to there now.
async fn compact(server: &Server, revision: i64) -> bool {
    let compacted = server.propose(Command::Compact { revision }).await;
    matches!(compacted, Ok(_) | Err(EtcdError::Compacted))
}
