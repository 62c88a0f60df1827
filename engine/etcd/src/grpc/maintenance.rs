//! The Maintenance service: how a member is, and what keeps it in order.

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use tonic::{Request, Response, Status};

use super::etcdserverpb::maintenance_server::Maintenance;
use super::etcdserverpb::{
    AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse, HashKvRequest,
    HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest,
    SnapshotResponse, StatusRequest, StatusResponse, alarm_request,
};
use super::{Endpoint, answered, status};
use crate::admin::{self, AlarmKind};
use crate::api;
use crate::server::VERSION;

/// What one message of a snapshot carries (`snapshotSendBufferSize`).
const SNAPSHOT_CHUNK_BYTES: usize = 32 * 1024;

#[tonic::async_trait]
impl Maintenance for Endpoint {
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        use alarm_request::AlarmAction;
        let alarm = request.get_ref();
        let member_id = alarm.member_id;
        let kind = match alarm.alarm() {
            AlarmType::None => None,
            AlarmType::Nospace => Some(AlarmKind::NoSpace),
            AlarmType::Corrupt => Some(AlarmKind::Corrupt),
        };
        let alarm = match (alarm.action(), kind) {
            (AlarmAction::Get, _) => admin::AlarmRequest::List { member_id, kind },
            (AlarmAction::Deactivate, _) => admin::AlarmRequest::Disarm { member_id, kind },
            (AlarmAction::Activate, Some(kind)) => admin::AlarmRequest::Activate { member_id, kind },
            // Upstream raises the alarm of no kind, which nothing shows.
            (AlarmAction::Activate, None) => admin::AlarmRequest::List { member_id: u64::MAX, kind },
        };
        answered!(self.call(&request, api::Request::Alarm(alarm)).await, Alarm)
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        answered!(self.call(&request, api::Request::Status).await, Status)
    }

    async fn defragment(
        &self,
        request: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        answered!(self.call(&request, api::Request::Defragment).await, Done)
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        answered!(self.call(&request, api::Request::HashKv { revision: 0 }).await, HashKv)
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        let revision = request.get_ref().revision;
        answered!(self.call(&request, api::Request::HashKv { revision }).await, HashKv)
    }

    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<SnapshotResponse, Status>> + Send>>;

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let api::Response::Snapshot(snapshot) =
            self.call(&request, api::Request::Snapshot).await.map_err(status)?
        else {
            unreachable!("the answer fits the request");
        };
        let header = snapshot.header.into();
        let mut rest = snapshot.file;
        let chunks = std::iter::from_fn(move || {
            let chunk: Bytes = rest.split_to(rest.len().min(SNAPSHOT_CHUNK_BYTES));
            (!chunk.is_empty()).then(|| {
                Ok(SnapshotResponse {
                    header: Some(header),
                    remaining_bytes: rest.len() as u64,
                    blob: chunk,
                    version: VERSION.to_owned(),
                })
            })
        });
        Ok(Response::new(Box::pin(futures::stream::iter(chunks))))
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        let target = request.get_ref().target_id;
        answered!(self.call(&request, api::Request::MoveLeader { target }).await, Done)
    }
}
