//! Between the store's own requests and answers and the wire's, for [`super::client`]: the other way round than
//! [`super::wire`]. A server's answer that leaves something out counts as protobuf's defaults.

use super::{etcdserverpb as pb, mvccpb};
use crate::api;

impl From<api::RangeRequest> for pb::RangeRequest {
    fn from(range: api::RangeRequest) -> pb::RangeRequest {
        use pb::range_request::{SortOrder, SortTarget};
        let sort_order = match range.sort_order {
            api::SortOrder::None => SortOrder::None,
            api::SortOrder::Ascend => SortOrder::Ascend,
            api::SortOrder::Descend => SortOrder::Descend,
        };
        let sort_target = match range.sort_target {
            api::SortTarget::Key => SortTarget::Key,
            api::SortTarget::Version => SortTarget::Version,
            api::SortTarget::Create => SortTarget::Create,
            api::SortTarget::Mod => SortTarget::Mod,
            api::SortTarget::Value => SortTarget::Value,
        };
        pb::RangeRequest {
            key: range.key,
            range_end: range.range_end,
            limit: range.limit,
            revision: range.revision,
            sort_order: sort_order.into(),
            sort_target: sort_target.into(),
            serializable: range.serializable,
            keys_only: range.keys_only,
            count_only: range.count_only,
            min_mod_revision: range.min_mod_revision,
            max_mod_revision: range.max_mod_revision,
            min_create_revision: range.min_create_revision,
            max_create_revision: range.max_create_revision,
        }
    }
}

impl From<api::PutRequest> for pb::PutRequest {
    fn from(put: api::PutRequest) -> pb::PutRequest {
        let api::PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease } = put;
        pb::PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease }
    }
}

impl From<api::DeleteRangeRequest> for pb::DeleteRangeRequest {
    fn from(delete: api::DeleteRangeRequest) -> pb::DeleteRangeRequest {
        let api::DeleteRangeRequest { key, range_end, prev_kv } = delete;
        pb::DeleteRangeRequest { key, range_end, prev_kv }
    }
}

impl From<api::TxnRequest> for pb::TxnRequest {
    fn from(txn: api::TxnRequest) -> pb::TxnRequest {
        let operations =
            |operations: Vec<api::RequestOp>| operations.into_iter().map(pb::RequestOp::from).collect();
        pb::TxnRequest {
            compare: txn.compare.into_iter().map(pb::Compare::from).collect(),
            success: operations(txn.success),
            failure: operations(txn.failure),
        }
    }
}

impl From<api::RequestOp> for pb::RequestOp {
    fn from(operation: api::RequestOp) -> pb::RequestOp {
        use pb::request_op::Request;
        let request = match operation {
            api::RequestOp::Range(range) => Request::RequestRange(range.into()),
            api::RequestOp::Put(put) => Request::RequestPut(put.into()),
            api::RequestOp::DeleteRange(delete) => Request::RequestDeleteRange(delete.into()),
            api::RequestOp::Txn(txn) => Request::RequestTxn(txn.into()),
        };
        pb::RequestOp { request: Some(request) }
    }
}

impl From<api::Compare> for pb::Compare {
    fn from(compare: api::Compare) -> pb::Compare {
        use pb::compare::{CompareResult, CompareTarget, TargetUnion};
        let result = match compare.result {
            api::CompareResult::Equal => CompareResult::Equal,
            api::CompareResult::Greater => CompareResult::Greater,
            api::CompareResult::Less => CompareResult::Less,
            api::CompareResult::NotEqual => CompareResult::NotEqual,
        };
        let (target, operand) = match compare.target {
            api::CompareTarget::Version(version) => (CompareTarget::Version, TargetUnion::Version(version)),
            api::CompareTarget::Create(revision) => {
                (CompareTarget::Create, TargetUnion::CreateRevision(revision))
            }
            api::CompareTarget::Mod(revision) => (CompareTarget::Mod, TargetUnion::ModRevision(revision)),
            api::CompareTarget::Value(value) => (CompareTarget::Value, TargetUnion::Value(value)),
            api::CompareTarget::Lease(lease) => (CompareTarget::Lease, TargetUnion::Lease(lease)),
        };
        pb::Compare {
            result: result.into(),
            target: target.into(),
            key: compare.key,
            range_end: compare.range_end,
            target_union: Some(operand),
        }
    }
}

impl From<api::WatchRequest> for pb::WatchCreateRequest {
    fn from(watch: api::WatchRequest) -> pb::WatchCreateRequest {
        use pb::watch_create_request::FilterType;
        let filters = watch.filters.iter().map(|filter| match filter {
            api::WatchFilter::NoPut => FilterType::Noput.into(),
            api::WatchFilter::NoDelete => FilterType::Nodelete.into(),
        });
        pb::WatchCreateRequest {
            filters: filters.collect(),
            key: watch.key,
            range_end: watch.range_end,
            start_revision: watch.start_revision,
            prev_kv: watch.prev_kv,
            progress_notify: watch.progress_notify,
            ..pb::WatchCreateRequest::default()
        }
    }
}

pub(super) fn header(header: Option<pb::ResponseHeader>) -> api::ResponseHeader {
    let pb::ResponseHeader { cluster_id, member_id, revision, raft_term } = header.unwrap_or_default();
    api::ResponseHeader { cluster_id, member_id, revision, raft_term }
}

impl From<mvccpb::KeyValue> for api::KeyValue {
    fn from(kv: mvccpb::KeyValue) -> api::KeyValue {
        let mvccpb::KeyValue { key, create_revision, mod_revision, version, value, lease } = kv;
        api::KeyValue { key, create_revision, mod_revision, version, value, lease }
    }
}

fn kvs(kvs: Vec<mvccpb::KeyValue>) -> Vec<api::KeyValue> {
    kvs.into_iter().map(api::KeyValue::from).collect()
}

impl From<pb::RangeResponse> for api::RangeResponse {
    fn from(r: pb::RangeResponse) -> api::RangeResponse {
        api::RangeResponse { header: header(r.header), kvs: kvs(r.kvs), more: r.more, count: r.count }
    }
}

impl From<pb::PutResponse> for api::PutResponse {
    fn from(r: pb::PutResponse) -> api::PutResponse {
        api::PutResponse { header: header(r.header), prev_kv: r.prev_kv.map(api::KeyValue::from) }
    }
}

impl From<pb::DeleteRangeResponse> for api::DeleteRangeResponse {
    fn from(r: pb::DeleteRangeResponse) -> api::DeleteRangeResponse {
        api::DeleteRangeResponse { header: header(r.header), deleted: r.deleted, prev_kvs: kvs(r.prev_kvs) }
    }
}

impl From<pb::TxnResponse> for api::TxnResponse {
    fn from(r: pb::TxnResponse) -> api::TxnResponse {
        use pb::response_op::Response;
        let responses = r.responses.into_iter().filter_map(|operation| operation.response);
        let response = |response| match response {
            Response::ResponseRange(range) => api::ResponseOp::Range(range.into()),
            Response::ResponsePut(put) => api::ResponseOp::Put(put.into()),
            Response::ResponseDeleteRange(delete) => api::ResponseOp::DeleteRange(delete.into()),
            Response::ResponseTxn(txn) => api::ResponseOp::Txn(txn.into()),
        };
        api::TxnResponse {
            header: header(r.header),
            succeeded: r.succeeded,
            responses: responses.map(response).collect(),
        }
    }
}

impl From<pb::LeaseGrantResponse> for api::LeaseGrantResponse {
    fn from(r: pb::LeaseGrantResponse) -> api::LeaseGrantResponse {
        api::LeaseGrantResponse { header: header(r.header), id: r.id, ttl: r.ttl }
    }
}

impl From<pb::LeaseKeepAliveResponse> for api::LeaseKeepAliveResponse {
    fn from(r: pb::LeaseKeepAliveResponse) -> api::LeaseKeepAliveResponse {
        api::LeaseKeepAliveResponse { header: header(r.header), id: r.id, ttl: r.ttl }
    }
}

impl From<pb::CompactionResponse> for api::CompactionResponse {
    fn from(r: pb::CompactionResponse) -> api::CompactionResponse {
        api::CompactionResponse { header: header(r.header) }
    }
}

impl From<pb::WatchResponse> for api::WatchResponse {
    fn from(r: pb::WatchResponse) -> api::WatchResponse {
        api::WatchResponse {
            header: header(r.header),
            watch_id: r.watch_id,
            events: r.events.into_iter().map(api::Event::from).collect(),
            compact_revision: r.compact_revision,
            canceled: r.canceled,
            created: r.created,
        }
    }
}

impl From<mvccpb::Event> for api::Event {
    fn from(event: mvccpb::Event) -> api::Event {
        let kind = match event.r#type() {
            mvccpb::event::EventType::Put => api::EventKind::Put,
            mvccpb::event::EventType::Delete => api::EventKind::Delete,
        };
        let prev_kv = event.prev_kv.map(api::KeyValue::from);
        api::Event { kind, kv: event.kv.unwrap_or_default().into(), prev_kv, cause: None }
    }
}
