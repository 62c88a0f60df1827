//! The requests and responses of etcd's v3 API as plain values. Counterpart of `api/etcdserverpb/rpc.proto`,
//! whose field names they carry; the wire types live in `grpc` only.

use bytes::Bytes;
use labkit_sim::RecordId;
use serde::{Deserialize, Serialize};

use crate::admin::{
    AlarmRequest, AlarmResponse, AuthRequest, AuthResponse, HashKvResponse, MemberChange,
    MemberChangeResponse,
};
use crate::error::EtcdError;

/// One key as it stood at some revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    pub key: Bytes,
    /// The revision at which the key came into being, since it was last deleted.
    pub create_revision: i64,
    pub mod_revision: i64,
    /// How often the key was written since it was last created; the first put gives 1.
    pub version: i64,
    pub value: Bytes,
    /// The lease that the key is attached to; 0 for none.
    pub lease: i64,
}

/// What every response begins with: who answered, and how far it had come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    pub cluster_id: u64,
    pub member_id: u64,
    pub revision: i64,
    pub raft_term: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortOrder {
    #[default]
    None,
    Ascend,
    Descend,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortTarget {
    #[default]
    Key,
    Version,
    Create,
    Mod,
    Value,
}

/// Reads a key or a range of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRequest {
    pub key: Bytes,
    /// Empty: the one key. `\0`: every key from `key` on. Else the first key that is no longer meant.
    pub range_end: Bytes,
    /// At most that many keys; 0 for all.
    pub limit: i64,
    /// Reads the store as of that revision; 0 for the present.
    pub revision: i64,
    pub sort_order: SortOrder,
    pub sort_target: SortTarget,
    /// Answers from the member's own store, which may lag; else the answer is linearizable.
    pub serializable: bool,
    pub keys_only: bool,
    pub count_only: bool,
    pub min_mod_revision: i64,
    pub max_mod_revision: i64,
    pub min_create_revision: i64,
    pub max_create_revision: i64,
}

impl RangeRequest {
    /// The one key.
    pub fn key(key: impl Into<Bytes>) -> RangeRequest {
        RangeRequest { key: key.into(), ..RangeRequest::default() }
    }

    /// Every key that begins with `prefix`; with an empty prefix, every key.
    pub fn prefix(prefix: impl Into<Bytes>) -> RangeRequest {
        let (key, range_end) = prefix_range(prefix.into());
        RangeRequest { key, range_end, ..RangeRequest::default() }
    }
}

/// The `key` and `range_end` that mean all keys beginning with `prefix`: `/a` gives `/a` and `/b`. The
/// empty prefix gives `\0` and `\0`, all keys.
pub fn prefix_range(prefix: Bytes) -> (Bytes, Bytes) {
    let everything = Bytes::from_static(b"\0");
    if prefix.is_empty() {
        return (everything.clone(), everything);
    }
    let end = match prefix.iter().rposition(|byte| *byte < 0xff) {
        None => everything,
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
    };
    (prefix, end)
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeResponse {
    pub header: ResponseHeader,
    pub kvs: Vec<KeyValue>,
    /// Whether `limit` cut the answer.
    pub more: bool,
    /// How many keys are in the range, whatever the limit.
    pub count: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRequest {
    pub key: Bytes,
    pub value: Bytes,
    pub lease: i64,
    pub prev_kv: bool,
    /// Keeps the key's value; the key must exist.
    pub ignore_value: bool,
    /// Keeps the key's lease; the key must exist.
    pub ignore_lease: bool,
}

impl PutRequest {
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> PutRequest {
        PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutResponse {
    pub header: ResponseHeader,
    pub prev_kv: Option<KeyValue>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRangeRequest {
    pub key: Bytes,
    /// As in [`RangeRequest`].
    pub range_end: Bytes,
    pub prev_kv: bool,
}

impl DeleteRangeRequest {
    /// The one key.
    pub fn key(key: impl Into<Bytes>) -> DeleteRangeRequest {
        DeleteRangeRequest { key: key.into(), ..DeleteRangeRequest::default() }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> DeleteRangeRequest {
        let (key, range_end) = prefix_range(prefix.into());
        DeleteRangeRequest { key, range_end, prev_kv: false }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteRangeResponse {
    pub header: ResponseHeader,
    pub deleted: i64,
    pub prev_kvs: Vec<KeyValue>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareResult {
    #[default]
    Equal,
    Greater,
    Less,
    NotEqual,
}

/// What of a key is compared, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareTarget {
    Version(i64),
    Create(i64),
    Mod(i64),
    Value(Bytes),
    Lease(i64),
}

/// A condition of a transaction. A key that does not exist compares as version, revisions and lease 0; its
/// value compares with nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    pub key: Bytes,
    /// As in [`RangeRequest`]: the condition must hold for every key of the range.
    pub range_end: Bytes,
    pub result: CompareResult,
    pub target: CompareTarget,
}

impl Compare {
    pub fn new(key: impl Into<Bytes>, result: CompareResult, target: CompareTarget) -> Compare {
        Compare { key: key.into(), range_end: Bytes::new(), result, target }
    }

    /// `mod(key) = revision`; revision 0 means that the key does not exist.
    pub fn mod_revision(key: impl Into<Bytes>, revision: i64) -> Compare {
        Compare::new(key, CompareResult::Equal, CompareTarget::Mod(revision))
    }

    /// `create(key) = revision`; revision 0 means that the key does not exist.
    pub fn create_revision(key: impl Into<Bytes>, revision: i64) -> Compare {
        Compare::new(key, CompareResult::Equal, CompareTarget::Create(revision))
    }

    /// `value(key) = value`.
    pub fn value(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Compare {
        Compare::new(key, CompareResult::Equal, CompareTarget::Value(value.into()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestOp {
    Range(RangeRequest),
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
}

/// If every comparison holds, `success` is done, else `failure`, in one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnRequest {
    pub compare: Vec<Compare>,
    pub success: Vec<RequestOp>,
    pub failure: Vec<RequestOp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseOp {
    Range(RangeResponse),
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxnResponse {
    pub header: ResponseHeader,
    /// Whether the comparisons held.
    pub succeeded: bool,
    pub responses: Vec<ResponseOp>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactionResponse {
    pub header: ResponseHeader,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseGrantResponse {
    pub header: ResponseHeader,
    pub id: i64,
    /// In seconds; at least the cluster's minimum, which is 2 s at the default election timeout.
    pub ttl: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseRevokeResponse {
    pub header: ResponseHeader,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeaseKeepAliveResponse {
    pub header: ResponseHeader,
    pub id: i64,
    /// In seconds; 0 when there is no such lease (any more).
    pub ttl: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseTimeToLiveResponse {
    pub header: ResponseHeader,
    pub id: i64,
    /// Whole seconds that remain; -1 when there is no such lease (any more).
    pub ttl: i64,
    pub granted_ttl: i64,
    /// The attached keys, where they were asked for.
    pub keys: Vec<Bytes>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseLeasesResponse {
    pub header: ResponseHeader,
    pub leases: Vec<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchFilter {
    NoPut,
    NoDelete,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchRequest {
    pub key: Bytes,
    /// As in [`RangeRequest`].
    pub range_end: Bytes,
    /// The first revision whose events are wanted, also past ones; 0 for from now on.
    pub start_revision: i64,
    pub prev_kv: bool,
    /// Sends an empty response every ten minutes in which nothing happened.
    pub progress_notify: bool,
    pub filters: Vec<WatchFilter>,
}

impl WatchRequest {
    /// The one key.
    pub fn key(key: impl Into<Bytes>) -> WatchRequest {
        WatchRequest { key: key.into(), ..WatchRequest::default() }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> WatchRequest {
        let (key, range_end) = prefix_range(prefix.into());
        WatchRequest { key, range_end, ..WatchRequest::default() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    Put,
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// Of a deletion: the key and the revision of the deletion.
    pub kv: KeyValue,
    pub prev_kv: Option<KeyValue>,
    /// The trace record whose message led to this revision. Not part of the protocol, and lost when the
    /// member that answers was restarted since.
    pub cause: Option<RecordId>,
}

/// Events of whole revisions, in order. The first response of a watch says `created` and has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchResponse {
    pub header: ResponseHeader,
    /// Tells the watches of one stream apart; 0 in a [`crate::Watcher`]. A response to a request for progress
    /// has -1: all watches of the stream are as far as the header's revision.
    pub watch_id: i64,
    pub events: Vec<Event>,
    /// Not 0: the watch asked for a revision that was compacted away; the oldest that is still there.
    pub compact_revision: i64,
    pub canceled: bool,
    pub created: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberInfo {
    pub id: u64,
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberListResponse {
    pub header: ResponseHeader,
    /// Sorted by id.
    pub members: Vec<MemberInfo>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusResponse {
    pub header: ResponseHeader,
    pub version: String,
    pub db_size: i64,
    pub db_size_in_use: i64,
    /// The leader's id; 0 when the member knows of none.
    pub leader: u64,
    pub raft_index: u64,
    pub raft_term: u64,
    pub raft_applied_index: u64,
    pub errors: Vec<String>,
    pub is_learner: bool,
}

/// The store as the file of etcd's backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotResponse {
    pub header: ResponseHeader,
    /// A bbolt file, with its SHA-256 behind it.
    pub file: Bytes,
}

/// What is asked of one member, whichever the way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Range(RangeRequest),
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact { revision: i64 },
    LeaseGrant { id: i64, ttl: i64 },
    LeaseRevoke { id: i64 },
    LeaseKeepAlive { id: i64 },
    LeaseTimeToLive { id: i64, keys: bool },
    LeaseLeases,
    Status,
    MemberList { linearizable: bool },
    Member(MemberChange),
    MoveLeader { target: u64 },
    Alarm(AlarmRequest),
    Defragment,
    HashKv { revision: i64 },
    Snapshot,
    Auth(AuthRequest),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    Range(RangeResponse),
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
    Compact(CompactionResponse),
    LeaseGrant(LeaseGrantResponse),
    LeaseRevoke(LeaseRevokeResponse),
    LeaseKeepAlive(LeaseKeepAliveResponse),
    LeaseTimeToLive(LeaseTimeToLiveResponse),
    LeaseLeases(LeaseLeasesResponse),
    Status(StatusResponse),
    MemberList(MemberListResponse),
    Member(MemberChangeResponse),
    Alarm(AlarmResponse),
    HashKv(HashKvResponse),
    Snapshot(SnapshotResponse),
    Auth(AuthResponse),
    /// There is nothing to say but that it was done.
    Done(ResponseHeader),
}

pub(crate) type Answer = Result<Response, EtcdError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_prefix(prefix: &'static [u8], key: &'static [u8], end: &'static [u8]) {
        let range = prefix_range(Bytes::from_static(prefix));
        assert_eq!(range, (Bytes::from_static(key), Bytes::from_static(end)));
    }

    #[test]
    fn a_prefix_is_a_range() {
        check_prefix(b"/a/", b"/a/", b"/a0");
        check_prefix(b"a\xff", b"a\xff", b"b");
        check_prefix(b"\xff\xff", b"\xff\xff", b"\0");
        check_prefix(b"", b"\0", b"\0");
    }
}
