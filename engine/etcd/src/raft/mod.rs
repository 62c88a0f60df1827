//! Raft: openraft's engine under our runtime, disks and links.
//!
//! - [`runtime`]: tasks and randomness from `sim`.
//! - [`log`]: the member's log and vote on its disk.
//! - [`machine`]: committed proposals into the member's store.
//! - [`network`]: openraft's messages over the world's links.
//!
//! Differences to etcd's Raft, which a reader of the trace can see: one message is under way to a peer at a
//! time (etcd pipelines), and heartbeats are empty `AppendEntries`. A leader that loses its quorum still calls
//! itself leader in messages until it hears of a newer term, but takes no more changes, and says that there is
//! no leader. Elections are etcd's own, see [`crate::election`]: openraft's timer is off.

pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod runtime;

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use labkit_sim::RecordId;
use openraft::{Config, SnapshotPolicy};
use serde::{Deserialize, Serialize};

use crate::admin::{AlarmRequest, AuthRequest};
use crate::api::{DeleteRangeRequest, PutRequest, TxnRequest};
use crate::auth::Asker;
use crate::cluster::EtcdConfig;

openraft::declare_raft_types!(
    /// openraft's types for this store. A node's id is its etcd member id. An entry has one proposal; where every
    /// member is a process of its own, those that came together share one, and one sync of the disk.
    pub(crate) TypeConfig:
        D = Arc<Vec<Proposal>>,
        R = (),
        NodeId = u64,
        Node = Node,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = runtime::SimRuntime,
);

pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type LogId = openraft::LogId<u64>;

pub(crate) type Membership = openraft::StoredMembership<u64, Node>;

/// What the membership says of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Empty for a member that was added: it says its name when it has started.
    pub name: String,
    pub peer_urls: Vec<String>,
}

/// A change that is to be made by every member. The member that took the request knows it again by `id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Proposal {
    pub id: u64,
    pub command: Command,
    /// Whom authentication found behind it; `None` without authentication, and for what members do of themselves.
    pub asker: Option<Asker>,
    /// The trace record that led to it: a hint that travels beside the log, never in its bytes.
    #[serde(skip)]
    pub cause: Option<RecordId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Command {
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact {
        revision: i64,
    },
    LeaseGrant {
        id: i64,
        ttl: i64,
    },
    LeaseRevoke {
        id: i64,
    },
    Alarm(AlarmRequest),
    Auth(AuthRequest),
    /// A member has started: one that was added, or a process of its own.
    Publish {
        id: u64,
        name: String,
        client_urls: Vec<String>,
    },
}

/// Entries that stay in the log behind a snapshot, for slow followers (`DefaultSnapshotCatchUpEntries`).
const CATCH_UP_ENTRIES: u64 = 5000;

/// How long openraft's followers grant no vote after they heard from the leader. It must be over when our timer
/// fires, which counts whole ticks, so it is a tick and a half shorter than etcd's.
pub(crate) fn lease(etcd: &EtcdConfig) -> Duration {
    let lease = etcd.election_timeout.saturating_sub(etcd.heartbeat_interval * 3 / 2);
    lease.max(etcd.heartbeat_interval + Duration::from_millis(2))
}

pub(crate) fn config(etcd: &EtcdConfig) -> Config {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let election = millis(etcd.election_timeout);
    // openraft's maximum is its leader lease. The minimum serves it as the deadline of a vote.
    let lease = millis(lease(etcd));
    Config {
        cluster_name: "etcd".to_owned(),
        election_timeout_min: lease - 1,
        election_timeout_max: lease,
        // The deadline of an AppendEntries. Heartbeats are sent by our own tick, more often.
        heartbeat_interval: (election / 2).min(lease - 2),
        enable_heartbeat: false,
        enable_elect: false,
        install_snapshot_timeout: election * 10,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(etcd.snapshot_count),
        max_in_snapshot_log_to_keep: CATCH_UP_ENTRIES.min(etcd.snapshot_count),
        purge_batch_size: CATCH_UP_ENTRIES.min(etcd.snapshot_count).max(1),
        ..Config::default()
    }
    .validate()
    .expect("an election takes several heartbeats")
}
