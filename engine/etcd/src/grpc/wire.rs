//! Between the wire's messages and the store's own. What comes from a client is checked here; what goes out
//! cannot fail.

use bytes::BytesMut;

use super::{etcdserverpb as pb, mvccpb};
use crate::admin::{Alarm, AlarmKind, AlarmResponse, HashKvResponse, MemberChangeResponse};
use crate::api;
use crate::error::EtcdError;

pub(super) fn range(range: pb::RangeRequest) -> Result<api::RangeRequest, EtcdError> {
    use pb::range_request::{SortOrder, SortTarget};
    let sort_order = match SortOrder::try_from(range.sort_order) {
        Ok(SortOrder::None) => api::SortOrder::None,
        Ok(SortOrder::Ascend) => api::SortOrder::Ascend,
        Ok(SortOrder::Descend) => api::SortOrder::Descend,
        Err(_) => return Err(EtcdError::InvalidSortOption),
    };
    let sort_target = match SortTarget::try_from(range.sort_target) {
        Ok(SortTarget::Key) => api::SortTarget::Key,
        Ok(SortTarget::Version) => api::SortTarget::Version,
        Ok(SortTarget::Create) => api::SortTarget::Create,
        Ok(SortTarget::Mod) => api::SortTarget::Mod,
        Ok(SortTarget::Value) => api::SortTarget::Value,
        Err(_) => return Err(EtcdError::InvalidSortOption),
    };
    Ok(api::RangeRequest {
        key: range.key,
        range_end: range.range_end,
        limit: range.limit,
        revision: range.revision,
        sort_order,
        sort_target,
        serializable: range.serializable,
        keys_only: range.keys_only,
        count_only: range.count_only,
        min_mod_revision: range.min_mod_revision,
        max_mod_revision: range.max_mod_revision,
        min_create_revision: range.min_create_revision,
        max_create_revision: range.max_create_revision,
    })
}

pub(super) fn txn(txn: pb::TxnRequest) -> Result<api::TxnRequest, EtcdError> {
    Ok(api::TxnRequest {
        compare: txn.compare.into_iter().map(api::Compare::from).collect(),
        success: operations(txn.success)?,
        failure: operations(txn.failure)?,
    })
}

/// An operation without a content is none, as upstream has it.
fn operations(operations: Vec<pb::RequestOp>) -> Result<Vec<api::RequestOp>, EtcdError> {
    use pb::request_op::Request;
    operations
        .into_iter()
        .filter_map(|operation| operation.request)
        .map(|request| {
            Ok(match request {
                Request::RequestRange(request) => api::RequestOp::Range(range(request)?),
                Request::RequestPut(put) => api::RequestOp::Put(put.into()),
                Request::RequestDeleteRange(delete) => api::RequestOp::DeleteRange(delete.into()),
                Request::RequestTxn(request) => api::RequestOp::Txn(txn(request)?),
            })
        })
        .collect()
}

impl From<pb::Compare> for api::Compare {
    fn from(compare: pb::Compare) -> api::Compare {
        use pb::compare::{CompareResult, CompareTarget, TargetUnion};
        let result = match compare.result() {
            CompareResult::Equal => api::CompareResult::Equal,
            CompareResult::Greater => api::CompareResult::Greater,
            CompareResult::Less => api::CompareResult::Less,
            CompareResult::NotEqual => api::CompareResult::NotEqual,
        };
        // The target says what is compared; an absent or other operand counts as nothing.
        let target = match (compare.target(), compare.target_union) {
            (CompareTarget::Version, Some(TargetUnion::Version(version))) => {
                api::CompareTarget::Version(version)
            }
            (CompareTarget::Version, _) => api::CompareTarget::Version(0),
            (CompareTarget::Create, Some(TargetUnion::CreateRevision(revision))) => {
                api::CompareTarget::Create(revision)
            }
            (CompareTarget::Create, _) => api::CompareTarget::Create(0),
            (CompareTarget::Mod, Some(TargetUnion::ModRevision(revision))) => {
                api::CompareTarget::Mod(revision)
            }
            (CompareTarget::Mod, _) => api::CompareTarget::Mod(0),
            (CompareTarget::Value, Some(TargetUnion::Value(value))) => api::CompareTarget::Value(value),
            (CompareTarget::Value, _) => api::CompareTarget::Value(Default::default()),
            (CompareTarget::Lease, Some(TargetUnion::Lease(lease))) => api::CompareTarget::Lease(lease),
            (CompareTarget::Lease, _) => api::CompareTarget::Lease(0),
        };
        api::Compare { key: compare.key, range_end: compare.range_end, result, target }
    }
}

/// What is put stays for long, so it is copied out of the buffer that it was read into, which is many times as large.
impl From<pb::PutRequest> for api::PutRequest {
    fn from(put: pb::PutRequest) -> api::PutRequest {
        let pb::PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease } = put;
        let mut both = BytesMut::with_capacity(key.len() + value.len());
        both.extend_from_slice(&key);
        both.extend_from_slice(&value);
        let mut value = both.freeze();
        let key = value.split_to(key.len());
        api::PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease }
    }
}

impl From<pb::DeleteRangeRequest> for api::DeleteRangeRequest {
    fn from(delete: pb::DeleteRangeRequest) -> api::DeleteRangeRequest {
        let pb::DeleteRangeRequest { key, range_end, prev_kv } = delete;
        api::DeleteRangeRequest { key, range_end, prev_kv }
    }
}

impl From<pb::WatchCreateRequest> for api::WatchRequest {
    fn from(create: pb::WatchCreateRequest) -> api::WatchRequest {
        use pb::watch_create_request::FilterType;
        let filters = create.filters().map(|filter| match filter {
            FilterType::Noput => api::WatchFilter::NoPut,
            FilterType::Nodelete => api::WatchFilter::NoDelete,
        });
        api::WatchRequest {
            filters: filters.collect(),
            key: create.key,
            range_end: create.range_end,
            start_revision: create.start_revision,
            prev_kv: create.prev_kv,
            progress_notify: create.progress_notify,
        }
    }
}

impl From<api::ResponseHeader> for pb::ResponseHeader {
    fn from(header: api::ResponseHeader) -> pb::ResponseHeader {
        let api::ResponseHeader { cluster_id, member_id, revision, raft_term } = header;
        pb::ResponseHeader { cluster_id, member_id, revision, raft_term }
    }
}

impl From<api::KeyValue> for mvccpb::KeyValue {
    fn from(kv: api::KeyValue) -> mvccpb::KeyValue {
        let api::KeyValue { key, create_revision, mod_revision, version, value, lease } = kv;
        mvccpb::KeyValue { key, create_revision, mod_revision, version, value, lease }
    }
}

fn kvs(kvs: Vec<api::KeyValue>) -> Vec<mvccpb::KeyValue> {
    kvs.into_iter().map(mvccpb::KeyValue::from).collect()
}

impl From<api::RangeResponse> for pb::RangeResponse {
    fn from(r: api::RangeResponse) -> pb::RangeResponse {
        pb::RangeResponse { header: Some(r.header.into()), kvs: kvs(r.kvs), more: r.more, count: r.count }
    }
}

impl From<api::PutResponse> for pb::PutResponse {
    fn from(r: api::PutResponse) -> pb::PutResponse {
        pb::PutResponse { header: Some(r.header.into()), prev_kv: r.prev_kv.map(mvccpb::KeyValue::from) }
    }
}

impl From<api::DeleteRangeResponse> for pb::DeleteRangeResponse {
    fn from(r: api::DeleteRangeResponse) -> pb::DeleteRangeResponse {
        pb::DeleteRangeResponse {
            header: Some(r.header.into()),
            deleted: r.deleted,
            prev_kvs: kvs(r.prev_kvs),
        }
    }
}

impl From<api::TxnResponse> for pb::TxnResponse {
    fn from(r: api::TxnResponse) -> pb::TxnResponse {
        let responses = r.responses.into_iter().map(pb::ResponseOp::from).collect();
        pb::TxnResponse { header: Some(r.header.into()), succeeded: r.succeeded, responses }
    }
}

impl From<api::ResponseOp> for pb::ResponseOp {
    fn from(response: api::ResponseOp) -> pb::ResponseOp {
        use pb::response_op::Response;
        let response = match response {
            api::ResponseOp::Range(range) => Response::ResponseRange(range.into()),
            api::ResponseOp::Put(put) => Response::ResponsePut(put.into()),
            api::ResponseOp::DeleteRange(delete) => Response::ResponseDeleteRange(delete.into()),
            api::ResponseOp::Txn(txn) => Response::ResponseTxn(txn.into()),
        };
        pb::ResponseOp { response: Some(response) }
    }
}

impl From<api::CompactionResponse> for pb::CompactionResponse {
    fn from(r: api::CompactionResponse) -> pb::CompactionResponse {
        pb::CompactionResponse { header: Some(r.header.into()) }
    }
}

impl From<api::WatchResponse> for pb::WatchResponse {
    fn from(r: api::WatchResponse) -> pb::WatchResponse {
        pb::WatchResponse {
            header: Some(r.header.into()),
            watch_id: r.watch_id,
            created: r.created,
            canceled: r.canceled,
            compact_revision: r.compact_revision,
            cancel_reason: String::new(),
            fragment: false,
            events: r.events.into_iter().map(mvccpb::Event::from).collect(),
        }
    }
}

impl From<api::Event> for mvccpb::Event {
    fn from(event: api::Event) -> mvccpb::Event {
        let kind = match event.kind {
            api::EventKind::Put => mvccpb::event::EventType::Put,
            api::EventKind::Delete => mvccpb::event::EventType::Delete,
        };
        let prev_kv = event.prev_kv.map(mvccpb::KeyValue::from);
        mvccpb::Event { r#type: kind.into(), kv: Some(event.kv.into()), prev_kv }
    }
}

impl From<api::LeaseGrantResponse> for pb::LeaseGrantResponse {
    fn from(r: api::LeaseGrantResponse) -> pb::LeaseGrantResponse {
        pb::LeaseGrantResponse { header: Some(r.header.into()), id: r.id, ttl: r.ttl, error: String::new() }
    }
}

impl From<api::LeaseRevokeResponse> for pb::LeaseRevokeResponse {
    fn from(r: api::LeaseRevokeResponse) -> pb::LeaseRevokeResponse {
        pb::LeaseRevokeResponse { header: Some(r.header.into()) }
    }
}

impl From<api::LeaseKeepAliveResponse> for pb::LeaseKeepAliveResponse {
    fn from(r: api::LeaseKeepAliveResponse) -> pb::LeaseKeepAliveResponse {
        pb::LeaseKeepAliveResponse { header: Some(r.header.into()), id: r.id, ttl: r.ttl }
    }
}

impl From<api::LeaseTimeToLiveResponse> for pb::LeaseTimeToLiveResponse {
    fn from(r: api::LeaseTimeToLiveResponse) -> pb::LeaseTimeToLiveResponse {
        let (header, granted_ttl) = (Some(r.header.into()), r.granted_ttl);
        pb::LeaseTimeToLiveResponse { header, id: r.id, ttl: r.ttl, granted_ttl, keys: r.keys }
    }
}

impl From<api::LeaseLeasesResponse> for pb::LeaseLeasesResponse {
    fn from(r: api::LeaseLeasesResponse) -> pb::LeaseLeasesResponse {
        let leases = r.leases.into_iter().map(|id| pb::LeaseStatus { id }).collect();
        pb::LeaseLeasesResponse { header: Some(r.header.into()), leases }
    }
}

impl From<api::MemberInfo> for pb::Member {
    fn from(member: api::MemberInfo) -> pb::Member {
        pb::Member {
            id: member.id,
            name: member.name,
            peer_ur_ls: member.peer_urls,
            client_ur_ls: member.client_urls,
            is_learner: member.is_learner,
        }
    }
}

fn members(members: Vec<api::MemberInfo>) -> Vec<pb::Member> {
    members.into_iter().map(pb::Member::from).collect()
}

impl From<api::MemberListResponse> for pb::MemberListResponse {
    fn from(r: api::MemberListResponse) -> pb::MemberListResponse {
        pb::MemberListResponse { header: Some(r.header.into()), members: members(r.members) }
    }
}

impl From<MemberChangeResponse> for pb::MemberAddResponse {
    fn from(r: MemberChangeResponse) -> pb::MemberAddResponse {
        let members = members(r.members);
        let member = members.iter().find(|member| member.id == r.id).cloned();
        pb::MemberAddResponse { header: Some(r.header.into()), member, members }
    }
}

macro_rules! members_after {
    ($($response:ident)*) => {
        $(impl From<MemberChangeResponse> for pb::$response {
            fn from(r: MemberChangeResponse) -> pb::$response {
                pb::$response { header: Some(r.header.into()), members: members(r.members) }
            }
        })*
    };
}

members_after! { MemberRemoveResponse MemberUpdateResponse MemberPromoteResponse }

macro_rules! done {
    ($($response:ident)*) => {
        $(impl From<api::ResponseHeader> for pb::$response {
            fn from(header: api::ResponseHeader) -> pb::$response {
                pb::$response { header: Some(header.into()) }
            }
        })*
    };
}

done! { DefragmentResponse MoveLeaderResponse }

impl From<HashKvResponse> for pb::HashKvResponse {
    fn from(r: HashKvResponse) -> pb::HashKvResponse {
        let HashKvResponse { header, hash, compact_revision } = r;
        pb::HashKvResponse { header: Some(header.into()), hash, compact_revision }
    }
}

impl From<HashKvResponse> for pb::HashResponse {
    fn from(r: HashKvResponse) -> pb::HashResponse {
        pb::HashResponse { header: Some(r.header.into()), hash: r.hash }
    }
}

impl From<AlarmResponse> for pb::AlarmResponse {
    fn from(r: AlarmResponse) -> pb::AlarmResponse {
        let alarm = |alarm: Alarm| pb::AlarmMember {
            member_id: alarm.member_id,
            alarm: match alarm.kind {
                AlarmKind::NoSpace => pb::AlarmType::Nospace,
                AlarmKind::Corrupt => pb::AlarmType::Corrupt,
            }
            .into(),
        };
        pb::AlarmResponse { header: Some(r.header.into()), alarms: r.alarms.into_iter().map(alarm).collect() }
    }
}

impl From<api::StatusResponse> for pb::StatusResponse {
    fn from(r: api::StatusResponse) -> pb::StatusResponse {
        pb::StatusResponse {
            header: Some(r.header.into()),
            version: r.version,
            db_size: r.db_size,
            leader: r.leader,
            raft_index: r.raft_index,
            raft_term: r.raft_term,
            raft_applied_index: r.raft_applied_index,
            errors: r.errors,
            db_size_in_use: r.db_size_in_use,
            is_learner: r.is_learner,
        }
    }
}
