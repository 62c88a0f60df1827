//! What the store's messages look like in the trace.
//!
//! | kind | fields |
//! |---|---|
//! | `AppendEntries` | `term` `prevIndex` `entries` (how many) `commit` `heartbeat` (it tells nothing new) |
//! | `AppendEntriesResponse` | `term` `success` `heartbeat` |
//! | `PreVote` `Vote` | `term` `lastIndex`; their `...Response`: `term` `granted` |
//! | `BecomeLeader` | `term`; a member to itself |
//! | `InstallSnapshot` | `term` `lastIndex` `offset` `bytes`; its `...Response`: `term` |
//! | `Propose` | `request` `key`: a follower hands a change to the leader |
//! | `ReadIndex` | none; its `...Response`: `index` |
//! | `Range` `Put` `DeleteRange` `Txn` `Compact` `Watch` | `key` and more; from a client to a member |
//! | `LeaseGrant` `LeaseRevoke` `LeaseKeepAlive` `LeaseTimeToLive` `LeaseLeases` `Status` `MemberList` | `id` |
//! | `...Response` of these | `revision` and more, or `error` with etcd's text |
//! | `WatchResponse` | `revision` `events`: `[{type, key, revision}]` |

use std::time::Duration;

use bytes::Bytes;
use labkit_sim::{LinkError, Network, Payload, RecordId};
use serde_json::{Value, json};

use crate::api::{Answer, EventKind, Request, RequestOp, Response, TxnRequest, WatchRequest, WatchResponse};
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
        fields: Value,
    },
    Response {
        kind: &'static str,
        fields: Value,
    },
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
            Message::Propose { .. } => "Propose",
            Message::ReadIndex => "ReadIndex",
            Message::ReadIndexResponse { .. } => "ReadIndexResponse",
            Message::Request { kind, .. } | Message::Response { kind, .. } => kind,
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
            Message::InstallSnapshotResponse { term } | Message::BecomeLeader { term } => {
                json!({"term": term})
            }
            Message::Propose { request, key } => json!({"request": request, "key": key}),
            Message::ReadIndex => json!({}),
            Message::ReadIndexResponse { index } => json!({"index": index}),
            Message::Request { fields, .. } | Message::Response { fields, .. } => fields.clone(),
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

fn keys(key: &Bytes, range_end: &Bytes) -> Value {
    if range_end.is_empty() {
        json!({"key": text(key)})
    } else {
        json!({"key": text(key), "rangeEnd": text(range_end)})
    }
}

fn with(mut fields: Value, name: &str, value: impl Into<Value>) -> Value {
    fields[name] = value.into();
    fields
}

/// What a client sends.
pub(crate) fn request(request: &Request) -> Message {
    let (kind, fields) = match request {
        Request::Range(range) => {
            let mut fields = keys(&range.key, &range.range_end);
            if range.revision != 0 {
                fields = with(fields, "revision", range.revision);
            }
            ("Range", with(fields, "serializable", range.serializable))
        }
        Request::Put(put) if put.lease != 0 => {
            ("Put", json!({"key": text(&put.key), "lease": lease_id(put.lease)}))
        }
        Request::Put(put) => ("Put", json!({"key": text(&put.key)})),
        Request::DeleteRange(delete) => ("DeleteRange", keys(&delete.key, &delete.range_end)),
        Request::Txn(txn) => {
            ("Txn", json!({"key": first_key(txn), "compares": txn.compare.len(), "writes": writes(txn)}))
        }
        Request::Compact { revision } => ("Compact", json!({"revision": revision})),
        Request::LeaseGrant { id, ttl } => ("LeaseGrant", json!({"id": lease_id(*id), "ttl": ttl})),
        Request::LeaseRevoke { id } => ("LeaseRevoke", json!({"id": lease_id(*id)})),
        Request::LeaseKeepAlive { id } => ("LeaseKeepAlive", json!({"id": lease_id(*id)})),
        Request::LeaseTimeToLive { id, .. } => ("LeaseTimeToLive", json!({"id": lease_id(*id)})),
        Request::LeaseLeases => ("LeaseLeases", json!({})),
        Request::Status => ("Status", json!({})),
        Request::MemberList { .. } => ("MemberList", json!({})),
    };
    Message::Request { kind, fields }
}

fn first_key(txn: &TxnRequest) -> String {
    let of_operation = |operation: &RequestOp| match operation {
        RequestOp::Range(range) => text(&range.key),
        RequestOp::Put(put) => text(&put.key),
        RequestOp::DeleteRange(delete) => text(&delete.key),
        RequestOp::Txn(txn) => first_key(txn),
    };
    match (txn.compare.first(), txn.success.first().or(txn.failure.first())) {
        (Some(compare), _) => text(&compare.key),
        (None, Some(operation)) => of_operation(operation),
        (None, None) => String::new(),
    }
}

/// What a transaction does if its comparisons hold: `Put /a`, `DeleteRange /b`.
fn writes(txn: &TxnRequest) -> Vec<String> {
    txn.success
        .iter()
        .filter_map(|operation| match operation {
            RequestOp::Put(put) => Some(format!("Put {}", text(&put.key))),
            RequestOp::DeleteRange(delete) => Some(format!("DeleteRange {}", text(&delete.key))),
            RequestOp::Range(_) | RequestOp::Txn(_) => None,
        })
        .collect()
}

/// What a member answers. An error has the field `error` with etcd's text.
pub(crate) fn answer(request: &'static str, answer: &Answer) -> Message {
    let fields = match answer {
        Err(error) => json!({"error": error.to_string()}),
        Ok(response) => match response {
            Response::Range(r) => json!({"revision": r.header.revision, "count": r.count}),
            Response::Put(r) => json!({"revision": r.header.revision}),
            Response::DeleteRange(r) => json!({"revision": r.header.revision, "deleted": r.deleted}),
            Response::Txn(r) => json!({"revision": r.header.revision, "succeeded": r.succeeded}),
            Response::Compact(r) => json!({"revision": r.header.revision}),
            Response::LeaseGrant(r) => json!({"id": lease_id(r.id), "ttl": r.ttl}),
            Response::LeaseRevoke(r) => json!({"revision": r.header.revision}),
            Response::LeaseKeepAlive(r) => json!({"id": lease_id(r.id), "ttl": r.ttl}),
            Response::LeaseTimeToLive(r) => json!({"id": lease_id(r.id), "ttl": r.ttl}),
            Response::LeaseLeases(r) => json!({"leases": r.leases.len()}),
            Response::Status(r) => json!({"term": r.raft_term, "index": r.raft_index}),
            Response::MemberList(r) => json!({"members": r.members.len()}),
        },
    };
    Message::Response { kind: request, fields }
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
    }
}

pub(crate) fn propose(command: &Command) -> Message {
    let (request, key) = match command {
        Command::Put(put) => ("Put", text(&put.key)),
        Command::DeleteRange(delete) => ("DeleteRange", text(&delete.key)),
        Command::Txn(txn) => ("Txn", first_key(txn)),
        Command::Compact { revision } => ("Compact", revision.to_string()),
        Command::LeaseGrant { id, .. } => ("LeaseGrant", lease_id(*id)),
        Command::LeaseRevoke { id } => ("LeaseRevoke", lease_id(*id)),
    };
    Message::Propose { request, key }
}

pub(crate) fn watch(request: &WatchRequest) -> Message {
    let fields = with(keys(&request.key, &request.range_end), "startRevision", request.start_revision);
    Message::Request { kind: "Watch", fields }
}

pub(crate) fn watch_response(response: &WatchResponse) -> Message {
    let mut fields = json!({"revision": response.header.revision});
    if response.created {
        fields = with(fields, "created", true);
    }
    if response.compact_revision != 0 {
        fields = with(fields, "compactRevision", response.compact_revision);
    }
    if !response.events.is_empty() {
        let events: Vec<Value> = response.events.iter().map(event).collect();
        fields = with(fields, "events", events);
    }
    Message::Response { kind: "WatchResponse", fields }
}

fn event(event: &crate::api::Event) -> Value {
    let kind = match event.kind {
        EventKind::Put => "PUT",
        EventKind::Delete => "DELETE",
    };
    json!({"type": kind, "key": text(&event.kv.key), "revision": event.kv.mod_revision})
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
