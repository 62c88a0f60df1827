//! A client.
#![expect(clippy::todo, unused_variables, reason = "signatures first")]
use std::time::Duration;
use crate::api::*;
use crate::error::EtcdError;
use crate::watch::Watcher;

/// A client of the store.
#[derive(Debug, Clone)]
pub struct Client {}

impl Client {
    pub async fn range(&self, r: RangeRequest) -> Result<RangeResponse, EtcdError> { todo!() }
    pub async fn put(&self, r: PutRequest) -> Result<PutResponse, EtcdError> { todo!() }
    pub async fn delete_range(&self, r: DeleteRangeRequest) -> Result<DeleteRangeResponse, EtcdError> { todo!() }
    pub async fn txn(&self, r: TxnRequest) -> Result<TxnResponse, EtcdError> { todo!() }
    pub async fn compact(&self, revision: i64) -> Result<(), EtcdError> { todo!() }
    pub async fn lease_grant(&self, id: i64, ttl: i64) -> Result<LeaseGrantResponse, EtcdError> { todo!() }
    pub async fn lease_revoke(&self, id: i64) -> Result<LeaseRevokeResponse, EtcdError> { todo!() }
    pub async fn lease_keep_alive(&self, id: i64) -> Result<LeaseKeepAliveResponse, EtcdError> { todo!() }
    pub async fn lease_time_to_live(&self, id: i64, keys: bool) -> Result<LeaseTimeToLiveResponse, EtcdError> { todo!() }
    pub async fn leases(&self) -> Result<LeaseLeasesResponse, EtcdError> { todo!() }
    pub async fn watch(&self, r: WatchRequest) -> Result<Watcher, EtcdError> { todo!() }
    pub async fn status(&self) -> Result<StatusResponse, EtcdError> { todo!() }
    pub async fn member_list(&self) -> Result<MemberListResponse, EtcdError> { todo!() }
    pub fn with_deadline(self, deadline: Duration) -> Client { todo!() }
}
