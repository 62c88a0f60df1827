//! When a member that is a process of its own makes a snapshot, and how much of its log it keeps then. An entry there has
//! many proposals, and it is proposals that etcd's `--snapshot-count` counts: openraft, which counts entries, would keep
//! a thousand times more in memory. In a lab an entry has one proposal, and openraft does it.

use std::sync::Arc;

use super::CATCH_UP_ENTRIES;
use super::log::Log;
use crate::member::Member;

/// Makes a snapshot whenever `count` proposals were applied since the last one, until Raft ends.
pub(crate) async fn make(member: Arc<Member>, log: Log, count: u64) {
    let mut progress = member.raft().data_metrics();
    let mut covered = 0;
    loop {
        let applied = member.proposals_applied();
        if applied - covered >= count {
            covered = applied;
            let before = progress.borrow().snapshot;
            let made = async {
                member.raft().trigger().snapshot().await.ok()?;
                progress.wait_for(|now| now.snapshot > before).await.ok()?;
                let Some(index) = log.last_before(CATCH_UP_ENTRIES.min(count)) else { return Some(()) };
                member.raft().trigger().purge_log(index).await.ok()
            };
            if made.await.is_none() {
                return;
            }
        }
        if progress.changed().await.is_err() {
            return;
        }
    }
}
