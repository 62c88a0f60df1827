//! The Lease service.

use std::pin::Pin;

use futures::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::etcdserverpb::lease_server::Lease;
use super::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
use super::{CLIENT, Endpoint, answered};
use crate::api;
use crate::server::{self, Patience};

#[tonic::async_trait]
impl Lease for Endpoint {
    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        let LeaseGrantRequest { id, ttl } = *request.get_ref();
        answered!(self.call(&request, api::Request::LeaseGrant { id, ttl }).await, LeaseGrant)
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let id = request.get_ref().id;
        answered!(self.call(&request, api::Request::LeaseRevoke { id }).await, LeaseRevoke)
    }

    type LeaseKeepAliveStream = Pin<Box<dyn Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let (cluster, member) = (self.cluster.clone(), self.member.id);
        let token = super::token(&request);
        let mut requests = request.into_inner();
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            while let Some(LeaseKeepAliveRequest { id }) = requests.message().await? {
                let call = api::Request::LeaseKeepAlive { id };
                let answer = server::call(&cluster, CLIENT, member, call, Patience::Endless, token.clone()).await;
                if let api::Response::LeaseKeepAlive(response) = answer.map_err(super::status)? {
                    yield response.into();
                }
            }
        })))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let LeaseTimeToLiveRequest { id, keys } = *request.get_ref();
        answered!(self.call(&request, api::Request::LeaseTimeToLive { id, keys }).await, LeaseTimeToLive)
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        answered!(self.call(&request, api::Request::LeaseLeases).await, LeaseLeases)
    }
}
