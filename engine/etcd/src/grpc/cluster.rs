//! The Cluster service: who the members are.

use tonic::{Request, Response, Status};

use super::etcdserverpb::cluster_server::Cluster;
use super::etcdserverpb::{
    MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest,
    MemberUpdateResponse,
};
use super::{Endpoint, answered};
use crate::admin::MemberChange;
use crate::api;

#[tonic::async_trait]
impl Cluster for Endpoint {
    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        let MemberAddRequest { peer_ur_ls, is_learner } = request.get_ref().clone();
        let change = MemberChange::Add { peer_urls: peer_ur_ls, learner: is_learner };
        answered!(self.call(&request, api::Request::Member(change)).await, Member)
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        let change = MemberChange::Remove { id: request.get_ref().id };
        answered!(self.call(&request, api::Request::Member(change)).await, Member)
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        let MemberUpdateRequest { id, peer_ur_ls } = request.get_ref().clone();
        let change = MemberChange::Update { id, peer_urls: peer_ur_ls };
        answered!(self.call(&request, api::Request::Member(change)).await, Member)
    }

    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        let linearizable = request.get_ref().linearizable;
        answered!(self.call(&request, api::Request::MemberList { linearizable }).await, MemberList)
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        let change = MemberChange::Promote { id: request.get_ref().id };
        answered!(self.call(&request, api::Request::Member(change)).await, Member)
    }
}
