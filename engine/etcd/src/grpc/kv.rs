//! The KV service.

use tonic::{Request, Response, Status};

use super::etcdserverpb::kv_server::Kv;
use super::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use super::{Endpoint, answered, wire};
use crate::api;

#[tonic::async_trait]
impl Kv for Endpoint {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let range = wire::range(request.get_ref().clone()).map_err(super::status)?;
        answered!(self.call(&request, api::Request::Range(range)).await, Range)
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let put = request.get_ref().clone().into();
        answered!(self.call(&request, api::Request::Put(put)).await, Put)
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let delete = request.get_ref().clone().into();
        answered!(self.call(&request, api::Request::DeleteRange(delete)).await, DeleteRange)
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let txn = wire::txn(request.get_ref().clone()).map_err(super::status)?;
        answered!(self.call(&request, api::Request::Txn(txn)).await, Txn)
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        let revision = request.get_ref().revision;
        answered!(self.call(&request, api::Request::Compact { revision }).await, Compact)
    }
}
