//! The Cluster and Maintenance services, as far as they are here: who the members are and how they are.

use tonic::{Request, Response, Status};

use super::etcdserverpb::cluster_server::Cluster;
use super::etcdserverpb::maintenance_server::Maintenance;
use super::etcdserverpb::{
    AlarmRequest, AlarmResponse, MemberListRequest, MemberListResponse, StatusRequest, StatusResponse,
    alarm_request,
};
use super::{Endpoint, answered};
use crate::api;

#[tonic::async_trait]
impl Cluster for Endpoint {
    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        let linearizable = request.get_ref().linearizable;
        answered!(self.call(&request, api::Request::MemberList { linearizable }).await, MemberList)
    }
}

#[tonic::async_trait]
impl Maintenance for Endpoint {
    /// Lists the alarms. The store has no quota and checks no hashes, so there is never one to list; raising
    /// one by hand is not part of this store.
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        match request.get_ref().action() {
            alarm_request::AlarmAction::Activate => {
                Err(Status::unimplemented("alarms cannot be raised by hand"))
            }
            alarm_request::AlarmAction::Get | alarm_request::AlarmAction::Deactivate => {
                let header = Some(self.member.header().into());
                Ok(Response::new(AlarmResponse { header, alarms: Vec::new() }))
            }
        }
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        answered!(self.call(&request, api::Request::Status).await, Status)
    }
}
