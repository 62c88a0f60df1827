//! What keeps a member in order: its quota, alarms, hashes, snapshots. Counterpart of `v3rpc/maintenance.go` and
//! `v3rpc/quota.go`.

use super::{Server, VERSION};
use crate::admin::{AlarmKind, AlarmRequest, HashKvResponse};
use crate::api::{
    Answer, PutRequest, Request, RequestOp, Response, ResponseHeader, SnapshotResponse, StatusResponse,
    TxnRequest,
};
use crate::backend;
use crate::error::EtcdError;
use crate::member::Member;
use crate::raft::Command;

/// What a key, and what a lease is reckoned to cost beside its bytes (`kvOverhead`, `leaseOverhead`).
const KEY_COST: i64 = 256;
const LEASE_COST: i64 = 64;

impl Server {
    /// Refuses what does not fit the quota, and raises the alarm.
    pub(super) async fn check_quota(&self, request: &Request) -> Result<(), EtcdError> {
        let cost = match request {
            Request::Put(put) => cost_of_put(put),
            Request::Txn(txn) => cost_of_txn(txn),
            Request::LeaseGrant { .. } => LEASE_COST,
            _ => return Ok(()),
        };
        let size = self.member.locked().store.size_bytes();
        if size + cost < self.cluster.config.quota_backend_bytes {
            return Ok(());
        }
        let alarm = AlarmRequest::Activate { member_id: self.member.id, kind: AlarmKind::NoSpace };
        // The request fails all the same.
        let _ = Box::pin(self.propose(Command::Alarm(alarm))).await;
        Err(EtcdError::NoSpace)
    }

    pub(super) async fn alarm(&self, request: AlarmRequest) -> Answer {
        // Even listing goes through the log, as upstream.
        self.propose(Command::Alarm(request)).await
    }

    pub(super) fn defragment(&self) -> Answer {
        self.member.locked().store.defragment();
        Ok(Response::Done(ResponseHeader::default()))
    }

    pub(super) fn hash_kv(&self, revision: i64) -> Answer {
        let state = self.member.locked();
        let current = state.store.revision();
        let compact_revision = state.store.compact_revision();
        if revision > current {
            return Err(EtcdError::FutureRevision);
        }
        if revision > 0 && revision < compact_revision {
            return Err(EtcdError::Compacted);
        }
        let hash = backend::hash_kv(&state.store, if revision > 0 { revision } else { current });
        let header = ResponseHeader::default();
        Ok(Response::HashKv(HashKvResponse { header, hash, compact_revision }))
    }

    pub(super) fn snapshot(&self) -> Answer {
        let index = self.member.applied_index();
        let file = backend::snapshot(&self.member.locked().store, index);
        Ok(Response::Snapshot(SnapshotResponse { header: ResponseHeader::default(), file }))
    }
}

fn cost_of_put(put: &PutRequest) -> i64 {
    KEY_COST + i64::try_from(put.key.len() + put.value.len()).unwrap_or(i64::MAX - KEY_COST)
}

/// The dearer of the two branches.
fn cost_of_txn(txn: &TxnRequest) -> i64 {
    let cost = |operations: &[RequestOp]| {
        let costs = operations.iter().map(|operation| match operation {
            RequestOp::Put(put) => cost_of_put(put),
            RequestOp::Range(_) | RequestOp::DeleteRange(_) | RequestOp::Txn(_) => 0,
        });
        costs.sum::<i64>()
    };
    cost(&txn.success).max(cost(&txn.failure))
}

pub(crate) fn status(member: &Member) -> StatusResponse {
    let metrics = member.metrics();
    let leader = member.leader().id;
    let state = member.locked();
    let no_leader = leader.is_none().then(|| EtcdError::NoLeader.to_string());
    let alarms = state.store.admin.alarms.iter().map(ToString::to_string);
    let errors = no_leader.into_iter().chain(alarms).collect();
    let (db_size, db_size_in_use) = (state.store.size_bytes(), state.store.size_in_use_bytes());
    drop(state);
    StatusResponse {
        header: member.header(),
        version: VERSION.to_owned(),
        db_size,
        db_size_in_use,
        leader: leader.unwrap_or(0),
        raft_index: metrics.last_log_index.unwrap_or(0),
        raft_term: metrics.current_term,
        raft_applied_index: metrics.last_applied.map_or(0, |id| id.index),
        errors,
        is_learner: member.is_learner(),
    }
}
