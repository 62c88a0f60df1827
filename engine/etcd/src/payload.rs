//! What the store's messages look like in the trace.
//!
//! | kind | fields |
//! |---|---|
//! | `AppendEntries` | `term` `prevIndex` `entries` (how many) `commit` `heartbeat` (it tells nothing new) |
//! | `AppendEntriesResponse` | `term` `success` `heartbeat` |
//! | `PreVote` `Vote` | `term` `lastIndex`; their `...Response`: `term` `granted` |
//! | `BecomeLeader` | `term`; a member to itself |
//! | `InstallSnapshot` | `term` `lastIndex` `offset` `bytes`; its `...Response`: `term` |
//! | `TimeoutNow` | `term`: the leader asks a follower to stand for election at once |
//! | `Exit` | `reason`; a member to itself, when it cannot go on |
//! | `ClockDrift` | `peer` `driftMs` `warning`; a member to itself, when its date and a peer's differ by more than a second |
//! | `Repair` | `file` `offset` `bytes`; a member to itself, when the last record of its log was cut short |
//! | `Propose` | `request` `key`: a follower hands a change to the leader |
//! | `ReadIndex` | none; its `...Response`: `index` |
//! | `Range` `Put` `DeleteRange` `Txn` `Compact` `Watch` | `key` and more; from a client to a member |
//! | `LeaseGrant` `LeaseRevoke` `LeaseKeepAlive` `LeaseTimeToLive` `LeaseLeases` `Status` `MemberList` | `id` |
//! | `MemberAdd` `MemberPromote` `MemberRemove` `MemberUpdate` `MoveLeader` | `id`, or `peerURLs` |
//! | `Alarm` `Defragment` `HashKV` `Snapshot` | none |
//! | `AuthEnable` `UserAdd` `RoleAdd` and the like | `name`, never a secret |
//! | `...Response` of these | `revision` and more, or `error` with etcd's text |
//! | `WatchResponse` | `revision` `events`: `[{type, key, revision}]` |

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use labkit_sim::{LinkError, Network, Payload, RecordId};
use serde_json::{Value, json};

use crate::admin::{AuthRequest, MemberChange};
use crate::api::{
    Answer, EventKind, Request, RequestOp, Response, ResponseHeader, TxnRequest, WatchRequest, WatchResponse,
};
use crate::raft::{Command, LogId};

/// A message between members, or between a client and a member. Revisions, terms and indexes are numbers;
/// keys are text.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    AppendEntries {
        term: u64,
        prev_index: u64,
        entries: usize,
        commit: u64,
        heartbeat: bool,
    },
    AppendEntriesResponse {
        term: u64,
        success: bool,
        heartbeat: bool,
    },
    InstallSnapshot {
        term: u64,
        last_index: u64,
        offset: u64,
        bytes: usize,
    },
    InstallSnapshotResponse {
        term: u64,
    },
    PreVote {
        term: u64,
        last_index: u64,
    },
    PreVoteResponse {
        term: u64,
        granted: bool,
    },
    Vote {
        term: u64,
        last_index: u64,
    },
    VoteResponse {
        term: u64,
        granted: bool,
    },
    /// At a member, to itself: it won an election.
    BecomeLeader {
        term: u64,
    },
    /// From the leader: stand for election at once.
    TimeoutNow {
        term: u64,
    },
    /// At a member, to itself: it cannot go on.
    Exit {
        reason: String,
    },
    /// At a member, to itself: its date and a peer's differ by more than a second.
    ClockDrift {
        peer: Arc<str>,
        drift_ms: i64,
    },
    /// At a member, to itself: it has cut a record off that was not written to its end.
    Repair {
        file: String,
        offset: u64,
        bytes: u64,
    },
    /// A follower hands a change to the leader.
    Propose {
        request: &'static str,
        key: String,
    },
    /// A follower asks the leader up to where it must have applied the log before it may answer a read.
    ReadIndex,
    ReadIndexResponse {
        index: u64,
    },
    Request {
        kind: &'static str,
        fields: Fields,
    },
    Response {
        kind: &'static str,
        fields: Fields,
    },
}

/// Named fields, kept as they are until somebody asks for them.
type Fields = Arc<[(&'static str, Field)]>;

#[derive(Debug)]
pub(crate) enum Field {
    Key(Bytes),
    Number(i64),
    Flag(bool),
    Lease(i64),
    Text(String),
    /// What a transaction writes: the operation and its key.
    Writes(Vec<(&'static str, Bytes)>),
    /// What a watch tells: kind, key, revision.
    Events(Vec<(&'static str, Bytes, i64)>),
}

impl Field {
    fn json(&self) -> Value {
        match self {
            Field::Key(key) => json!(text(key)),
            Field::Number(number) => json!(number),
            Field::Flag(flag) => json!(flag),
            Field::Lease(id) => json!(lease_id(*id)),
            Field::Text(text) => json!(text),
            Field::Writes(writes) => {
                writes.iter().map(|(operation, key)| format!("{operation} {}", text(key))).collect()
            }
            Field::Events(events) => events
                .iter()
                .map(|(kind, key, revision)| json!({"type": kind, "key": text(key), "revision": revision}))
                .collect(),
        }
    }
}

/// A count as a field.
fn count(number: impl TryInto<i64>) -> Field {
    Field::Number(number.try_into().unwrap_or(i64::MAX))
}

pub(crate) fn index_of(log_id: Option<LogId>) -> u64 {
    log_id.map_or(0, |id| id.index)
}

impl Payload for Message {
    fn kind(&self) -> &str {
        match self {
            Message::AppendEntries { .. } => "AppendEntries",
            Message::AppendEntriesResponse { .. } => "AppendEntriesResponse",
            Message::InstallSnapshot { .. } => "InstallSnapshot",
            Message::InstallSnapshotResponse { .. } => "InstallSnapshotResponse",
            Message::PreVote { .. } => "PreVote",
            Message::PreVoteResponse { .. } => "PreVoteResponse",
            Message::Vote { .. } => "Vote",
            Message::VoteResponse { .. } => "VoteResponse",
            Message::BecomeLeader { .. } => "BecomeLeader",
            Message::TimeoutNow { .. } => "TimeoutNow",
            Message::Exit { .. } => "Exit",
            Message::ClockDrift { .. } => "ClockDrift",
            Message::Repair { .. } => "Repair",
            Message::Propose { .. } => "Propose",
            Message::ReadIndex => "ReadIndex",
            Message::ReadIndexResponse { .. } => "ReadIndexResponse",
            Message::Request { kind, .. } | Message::Response { kind, .. } => kind,
        }
    }

    /// Heartbeats, and the word to a watcher that there is nothing to tell.
    fn is_routine(&self) -> bool {
        match self {
            Message::AppendEntries { heartbeat, .. } | Message::AppendEntriesResponse { heartbeat, .. } => {
                *heartbeat
            }
            Message::Response { kind: "WatchResponse", fields } => fields.len() == 1,
            _ => false,
        }
    }

    fn fields(&self) -> Value {
        match self {
            Message::AppendEntries { term, prev_index, entries, commit, heartbeat } => json!({
                "term": term, "prevIndex": prev_index, "entries": entries, "commit": commit, "heartbeat": heartbeat,
            }),
            Message::AppendEntriesResponse { term, success, heartbeat } => {
                json!({"term": term, "success": success, "heartbeat": heartbeat})
            }
            Message::InstallSnapshot { term, last_index, offset, bytes } => {
                json!({"term": term, "lastIndex": last_index, "offset": offset, "bytes": bytes})
            }
            Message::PreVote { term, last_index } | Message::Vote { term, last_index } => {
                json!({"term": term, "lastIndex": last_index})
            }
            Message::PreVoteResponse { term, granted } | Message::VoteResponse { term, granted } => {
                json!({"term": term, "granted": granted})
            }
            Message::InstallSnapshotResponse { term }
            | Message::BecomeLeader { term }
            | Message::TimeoutNow { term } => json!({"term": term}),
            Message::Exit { reason } => json!({"reason": reason}),
            Message::ClockDrift { peer, drift_ms } => {
                json!({"peer": **peer, "driftMs": drift_ms, "warning": "prober found high clock drift"})
            }
            Message::Repair { file, offset, bytes } => {
                json!({"file": file, "offset": offset, "bytes": bytes})
            }
            Message::Propose { request, key } => json!({"request": request, "key": key}),
            Message::ReadIndex => json!({}),
            Message::ReadIndexResponse { index } => json!({"index": index}),
            Message::Request { fields, .. } | Message::Response { fields, .. } => {
                let named = fields.iter().map(|(name, field)| ((*name).to_owned(), field.json()));
                Value::Object(named.collect())
            }
        }
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// As etcdctl writes it: sixteen hexadecimal digits.
pub(crate) fn lease_id(id: i64) -> String {
    format!("{id:016x}")
}

fn keys(key: &Bytes, range_end: &Bytes) -> Vec<(&'static str, Field)> {
    let mut fields = vec![("key", Field::Key(key.clone()))];
    if !range_end.is_empty() {
        fields.push(("rangeEnd", Field::Key(range_end.clone())));
    }
    fields
}

/// What a client sends.
pub(crate) fn request(request: &Request) -> Message {
    use Field::{Key, Lease, Number};
    let (kind, _) = names(request);
    let fields = match request {
        Request::Range(range) => {
            let mut fields = keys(&range.key, &range.range_end);
            if range.revision != 0 {
                fields.push(("revision", Number(range.revision)));
            }
            fields.push(("serializable", Field::Flag(range.serializable)));
            fields
        }
        Request::Put(put) if put.lease != 0 => {
            vec![("key", Key(put.key.clone())), ("lease", Lease(put.lease))]
        }
        Request::Put(put) => vec![("key", Key(put.key.clone()))],
        Request::DeleteRange(delete) => keys(&delete.key, &delete.range_end),
        Request::Txn(txn) => vec![
            ("key", Key(first_key(txn))),
            ("compares", count(txn.compare.len())),
            ("writes", Field::Writes(writes(txn))),
        ],
        Request::Compact { revision } => vec![("revision", Number(*revision))],
        Request::LeaseGrant { id, ttl } => vec![("id", Lease(*id)), ("ttl", Number(*ttl))],
        Request::LeaseRevoke { id }
        | Request::LeaseKeepAlive { id }
        | Request::LeaseTimeToLive { id, .. } => vec![("id", Lease(*id))],
        Request::Member(MemberChange::Add { peer_urls, .. }) => {
            vec![("peerURLs", Field::Text(peer_urls.join(",")))]
        }
        Request::Member(
            MemberChange::Promote { id } | MemberChange::Remove { id } | MemberChange::Update { id, .. },
        )
        | Request::MoveLeader { target: id } => vec![("id", Field::Text(format!("{id:x}")))],
        Request::HashKv { revision } => vec![("revision", Number(*revision))],
        Request::Auth(request) => {
            auth_name(request).map(|name| ("name", Field::Text(name))).into_iter().collect()
        }
        Request::LeaseLeases
        | Request::Status
        | Request::MemberList { .. }
        | Request::Alarm(_)
        | Request::Defragment
        | Request::Snapshot => Vec::new(),
    };
    Message::Request { kind, fields: fields.into() }
}

fn first_key(txn: &TxnRequest) -> Bytes {
    let of_operation = |operation: &RequestOp| match operation {
        RequestOp::Range(range) => range.key.clone(),
        RequestOp::Put(put) => put.key.clone(),
        RequestOp::DeleteRange(delete) => delete.key.clone(),
        RequestOp::Txn(txn) => first_key(txn),
    };
    match (txn.compare.first(), txn.success.first().or(txn.failure.first())) {
        (Some(compare), _) => compare.key.clone(),
        (None, Some(operation)) => of_operation(operation),
        (None, None) => Bytes::new(),
    }
}

/// What a transaction does if its comparisons hold.
fn writes(txn: &TxnRequest) -> Vec<(&'static str, Bytes)> {
    txn.success
        .iter()
        .filter_map(|operation| match operation {
            RequestOp::Put(put) => Some(("Put", put.key.clone())),
            RequestOp::DeleteRange(delete) => Some(("DeleteRange", delete.key.clone())),
            RequestOp::Range(_) | RequestOp::Txn(_) => None,
        })
        .collect()
}

/// What a member answers. An error has the field `error` with etcd's text.
pub(crate) fn answer(request: &'static str, answer: &Answer) -> Message {
    use Field::{Flag, Lease, Number};
    let revision = |header: &ResponseHeader| ("revision", Number(header.revision));
    let fields = match answer {
        Err(error) => vec![("error", Field::Text(error.to_string()))],
        Ok(response) => match response {
            Response::Range(r) => vec![revision(&r.header), ("count", count(r.count))],
            Response::Put(r) => vec![revision(&r.header)],
            Response::DeleteRange(r) => vec![revision(&r.header), ("deleted", count(r.deleted))],
            Response::Txn(r) => vec![revision(&r.header), ("succeeded", Flag(r.succeeded))],
            Response::Compact(r) => vec![revision(&r.header)],
            Response::LeaseGrant(r) => vec![("id", Lease(r.id)), ("ttl", Number(r.ttl))],
            Response::LeaseRevoke(r) => vec![revision(&r.header)],
            Response::LeaseKeepAlive(r) => vec![("id", Lease(r.id)), ("ttl", Number(r.ttl))],
            Response::LeaseTimeToLive(r) => vec![("id", Lease(r.id)), ("ttl", Number(r.ttl))],
            Response::LeaseLeases(r) => vec![("leases", count(r.leases.len()))],
            Response::Status(r) => vec![("term", count(r.raft_term)), ("index", count(r.raft_index))],
            Response::MemberList(r) => vec![("members", count(r.members.len()))],
            Response::Member(r) => vec![("members", count(r.members.len()))],
            Response::Alarm(r) => vec![("alarms", count(r.alarms.len()))],
            Response::HashKv(r) => vec![revision(&r.header), ("hash", count(r.hash))],
            Response::Auth(r) => vec![revision(&r.header)],
            Response::Done(r) => vec![revision(r)],
            Response::Snapshot(r) => vec![revision(&r.header), ("bytes", count(r.file.len()))],
        },
    };
    Message::Response { kind: request, fields: fields.into() }
}

/// The names of a request and of its response.
pub(crate) fn names(request: &Request) -> (&'static str, &'static str) {
    match request {
        Request::Range(_) => ("Range", "RangeResponse"),
        Request::Put(_) => ("Put", "PutResponse"),
        Request::DeleteRange(_) => ("DeleteRange", "DeleteRangeResponse"),
        Request::Txn(_) => ("Txn", "TxnResponse"),
        Request::Compact { .. } => ("Compact", "CompactionResponse"),
        Request::LeaseGrant { .. } => ("LeaseGrant", "LeaseGrantResponse"),
        Request::LeaseRevoke { .. } => ("LeaseRevoke", "LeaseRevokeResponse"),
        Request::LeaseKeepAlive { .. } => ("LeaseKeepAlive", "LeaseKeepAliveResponse"),
        Request::LeaseTimeToLive { .. } => ("LeaseTimeToLive", "LeaseTimeToLiveResponse"),
        Request::LeaseLeases => ("LeaseLeases", "LeaseLeasesResponse"),
        Request::Status => ("Status", "StatusResponse"),
        Request::MemberList { .. } => ("MemberList", "MemberListResponse"),
        Request::Member(MemberChange::Add { .. }) => ("MemberAdd", "MemberAddResponse"),
        Request::Member(MemberChange::Promote { .. }) => ("MemberPromote", "MemberPromoteResponse"),
        Request::Member(MemberChange::Remove { .. }) => ("MemberRemove", "MemberRemoveResponse"),
        Request::Member(MemberChange::Update { .. }) => ("MemberUpdate", "MemberUpdateResponse"),
        Request::MoveLeader { .. } => ("MoveLeader", "MoveLeaderResponse"),
        Request::Alarm(_) => ("Alarm", "AlarmResponse"),
        Request::Defragment => ("Defragment", "DefragmentResponse"),
        Request::HashKv { .. } => ("HashKV", "HashKVResponse"),
        Request::Snapshot => ("Snapshot", "SnapshotResponse"),
        Request::Auth(request) => auth_names(request),
    }
}

fn auth_names(request: &AuthRequest) -> (&'static str, &'static str) {
    match request {
        AuthRequest::Enable => ("AuthEnable", "AuthEnableResponse"),
        AuthRequest::Disable => ("AuthDisable", "AuthDisableResponse"),
        AuthRequest::Status => ("AuthStatus", "AuthStatusResponse"),
        AuthRequest::Authenticate { .. } => ("Authenticate", "AuthenticateResponse"),
        AuthRequest::UserAdd { .. } => ("UserAdd", "UserAddResponse"),
        AuthRequest::UserGet { .. } => ("UserGet", "UserGetResponse"),
        AuthRequest::UserList => ("UserList", "UserListResponse"),
        AuthRequest::UserDelete { .. } => ("UserDelete", "UserDeleteResponse"),
        AuthRequest::UserChangePassword { .. } => ("UserChangePassword", "UserChangePasswordResponse"),
        AuthRequest::UserGrantRole { .. } => ("UserGrantRole", "UserGrantRoleResponse"),
        AuthRequest::UserRevokeRole { .. } => ("UserRevokeRole", "UserRevokeRoleResponse"),
        AuthRequest::RoleAdd { .. } => ("RoleAdd", "RoleAddResponse"),
        AuthRequest::RoleGet { .. } => ("RoleGet", "RoleGetResponse"),
        AuthRequest::RoleList => ("RoleList", "RoleListResponse"),
        AuthRequest::RoleDelete { .. } => ("RoleDelete", "RoleDeleteResponse"),
        AuthRequest::RoleGrantPermission { .. } => ("RoleGrantPermission", "RoleGrantPermissionResponse"),
        AuthRequest::RoleRevokePermission { .. } => ("RoleRevokePermission", "RoleRevokePermissionResponse"),
    }
}

/// The user or role that a request is about.
fn auth_name(request: &AuthRequest) -> Option<String> {
    use AuthRequest::*;
    match request {
        Enable | Disable | Status | UserList | RoleList => None,
        Authenticate { name, .. }
        | UserAdd { name, .. }
        | UserGet { name }
        | UserDelete { name }
        | UserChangePassword { name, .. }
        | RoleAdd { name }
        | RoleGet { name }
        | RoleDelete { name } => Some(name.clone()),
        UserGrantRole { user, .. } | UserRevokeRole { user, .. } => Some(user.clone()),
        RoleGrantPermission { role, .. } | RoleRevokePermission { role, .. } => Some(role.clone()),
    }
}

pub(crate) fn propose(command: &Command) -> Message {
    let (request, key) = match command {
        Command::Put(put) => ("Put", text(&put.key)),
        Command::DeleteRange(delete) => ("DeleteRange", text(&delete.key)),
        Command::Txn(txn) => ("Txn", text(&first_key(txn))),
        Command::Compact { revision } => ("Compact", revision.to_string()),
        Command::LeaseGrant { id, .. } => ("LeaseGrant", lease_id(*id)),
        Command::LeaseRevoke { id } => ("LeaseRevoke", lease_id(*id)),
        Command::Alarm(_) => ("Alarm", String::new()),
        Command::Auth(request) => (auth_names(request).0, auth_name(request).unwrap_or_default()),
        Command::Publish { name, .. } => ("Publish", name.clone()),
    };
    Message::Propose { request, key }
}

pub(crate) fn watch(request: &WatchRequest) -> Message {
    let mut fields = keys(&request.key, &request.range_end);
    fields.push(("startRevision", Field::Number(request.start_revision)));
    Message::Request { kind: "Watch", fields: fields.into() }
}

pub(crate) fn watch_response(response: &WatchResponse) -> Message {
    let mut fields = vec![("revision", Field::Number(response.header.revision))];
    if response.created {
        fields.push(("created", Field::Flag(true)));
    }
    if response.compact_revision != 0 {
        fields.push(("compactRevision", Field::Number(response.compact_revision)));
    }
    if !response.events.is_empty() {
        fields.push(("events", Field::Events(response.events.iter().map(event).collect())));
    }
    Message::Response { kind: "WatchResponse", fields: fields.into() }
}

fn event(event: &crate::api::Event) -> (&'static str, Bytes, i64) {
    let kind = match event.kind {
        EventKind::Put => "PUT",
        EventKind::Delete => "DELETE",
    };
    (kind, event.kv.key.clone(), event.kv.mod_revision)
}

/// How long a lost segment takes to be sent again: at first, and at most; each time twice as long. After the
/// last attempt, half a minute after the first, the connection counts as dead.
const RETRANSMIT_AFTER: Duration = Duration::from_millis(250);
const RETRANSMIT_AFTER_MAX: Duration = Duration::from_secs(4);
const ATTEMPTS_MAX: u32 = 11;

/// Why a message on a connection did not get through.
#[derive(Debug)]
pub(crate) enum Undelivered {
    Refused,
    /// Nothing got through for long.
    Dead,
}

/// Sends over a connection: what the link loses is sent again, as TCP does. Each attempt is a record.
pub(crate) async fn deliver(
    network: &Network,
    from: &str,
    to: &str,
    message: &Message,
) -> Result<RecordId, Undelivered> {
    for attempt in 0..ATTEMPTS_MAX {
        let patience = (RETRANSMIT_AFTER * 2_u32.pow(attempt)).min(RETRANSMIT_AFTER_MAX);
        match tokio::time::timeout(patience, network.transmit(from, to, message.clone())).await {
            Ok(Ok(id)) => return Ok(id),
            Ok(Err(LinkError::Refused { .. })) => return Err(Undelivered::Refused),
            Err(_lost) => {}
        }
    }
    Err(Undelivered::Dead)
}
