//! The Election service. Counterpart of `v3election`.

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use tonic::{Request, Response, Status};

use super::Endpoint;
use super::session::{self, LOOKER, Session, failed, found};
use super::v3electionpb::election_server::Election;
use super::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ProclaimResponse, ResignRequest, ResignResponse,
};
use crate::api::{
    Compare, DeleteRangeRequest, EventKind, KeyValue, PutRequest, RangeRequest, RequestOp, ResponseHeader,
    TxnRequest, WatchRequest,
};

#[tonic::async_trait]
impl Election for Endpoint {
    /// Answers when the client leads. One that hangs up before stands no longer.
    async fn campaign(
        &self,
        request: Request<CampaignRequest>,
    ) -> Result<Response<CampaignResponse>, Status> {
        let session = Session::begin(self, &request, request.get_ref().lease).await?;
        let CampaignRequest { name, value, .. } = request.into_inner();
        let prefix = session::below(&name);
        let key = session.key(&prefix);
        let put = PutRequest { lease: session.lease, ..PutRequest::new(key.clone(), value.clone()) };
        let stood = TxnRequest {
            compare: vec![Compare::create_revision(key.clone(), 0)],
            success: vec![RequestOp::Put(put)],
            failure: vec![RequestOp::Range(RangeRequest::key(key.clone()))],
        };
        let stood = session.client.txn(stood).await.map_err(failed)?;
        let before = found(stood.responses.first());
        let rev = before.map_or(stood.header.revision, |kv| kv.create_revision);
        let leader = LeaderKey { name, key, rev, lease: session.lease };
        let candidacy = session.candidacy(resignation(&leader));
        if before.is_some_and(|kv| kv.value != value) {
            proclaim(&session, &leader, value).await?;
        }
        session.wait_deletes(&prefix, rev - 1).await.map_err(failed)?;
        candidacy.stands();
        Ok(Response::new(CampaignResponse { header: Some(stood.header.into()), leader: Some(leader) }))
    }

    async fn proclaim(
        &self,
        request: Request<ProclaimRequest>,
    ) -> Result<Response<ProclaimResponse>, Status> {
        let lease = named(&request.get_ref().leader)?.lease;
        let session = Session::begin(self, &request, lease).await?;
        let ProclaimRequest { leader, value } = request.into_inner();
        let header = proclaim(&session, named(&leader)?, value).await?;
        Ok(Response::new(ProclaimResponse { header: Some(header.into()) }))
    }

    async fn leader(&self, request: Request<LeaderRequest>) -> Result<Response<LeaderResponse>, Status> {
        let session = Session::begin(self, &request, LOOKER).await?;
        let oldest = session::oldest(&session::below(&request.get_ref().name));
        let answer = session.client.range(oldest).await.map_err(failed)?;
        let kv = answer.kvs.into_iter().next().ok_or_else(|| Status::unknown("election: no leader"))?;
        Ok(Response::new(led(answer.header, kv)))
    }

    type ObserveStream = Pin<Box<dyn Stream<Item = Result<LeaderResponse, Status>> + Send>>;

    /// Tells each leader, and each word of it, from the present one on.
    async fn observe(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let session = Session::begin(self, &request, LOOKER).await?;
        let prefix = session::below(&request.get_ref().name);
        Ok(Response::new(Box::pin(async_stream::try_stream! {
            loop {
                let (header, leader) = present_leader(&session, &prefix).await?;
                let (key, start_revision) = (leader.key.clone(), header.revision + 1);
                yield led(header, leader);
                let follow = WatchRequest { start_revision, ..WatchRequest::key(key) };
                let mut events = session.watch(follow).await.map_err(failed)?;
                loop {
                    let (kind, kv) = events.next().await.map_err(failed)?;
                    if kind == EventKind::Delete {
                        break;
                    }
                    yield led(ResponseHeader { revision: kv.mod_revision, ..header }, kv);
                }
            }
        })))
    }

    async fn resign(&self, request: Request<ResignRequest>) -> Result<Response<ResignResponse>, Status> {
        let leader = named(&request.get_ref().leader)?.clone();
        let session = Session::begin(self, &request, leader.lease).await?;
        let answer = session.client.txn(resignation(&leader)).await.map_err(failed)?;
        Ok(Response::new(ResignResponse { header: Some(answer.header.into()) }))
    }
}

fn named(leader: &Option<LeaderKey>) -> Result<&LeaderKey, Status> {
    leader.as_ref().ok_or_else(|| Status::unknown("\"leader\" field must be provided"))
}

fn led(header: ResponseHeader, kv: KeyValue) -> LeaderResponse {
    LeaderResponse { header: Some(header.into()), kv: Some(kv.into()) }
}

/// Deletes the key, if it is still the one of this candidacy.
fn resignation(leader: &LeaderKey) -> TxnRequest {
    TxnRequest {
        compare: vec![Compare::create_revision(leader.key.clone(), leader.rev)],
        success: vec![RequestOp::DeleteRange(DeleteRangeRequest::key(leader.key.clone()))],
        failure: vec![],
    }
}

async fn proclaim(session: &Session, leader: &LeaderKey, value: Bytes) -> Result<ResponseHeader, Status> {
    let put = PutRequest { lease: session.lease, ..PutRequest::new(leader.key.clone(), value) };
    let txn = TxnRequest {
        compare: vec![Compare::create_revision(leader.key.clone(), leader.rev)],
        success: vec![RequestOp::Put(put)],
        failure: vec![],
    };
    let answer = session.client.txn(txn).await.map_err(failed)?;
    if !answer.succeeded {
        return Err(Status::unknown("election: not leader"));
    }
    Ok(answer.header)
}

/// The leader; where there is none, the first that stands.
async fn present_leader(session: &Session, prefix: &Bytes) -> Result<(ResponseHeader, KeyValue), Status> {
    let answer = session.client.range(session::oldest(prefix)).await.map_err(failed)?;
    let header = answer.header;
    if let Some(kv) = answer.kvs.into_iter().next() {
        return Ok((header, kv));
    }
    let stand = WatchRequest { start_revision: header.revision, ..WatchRequest::prefix(prefix.clone()) };
    let mut events = session.watch(stand).await.map_err(failed)?;
    loop {
        let (kind, kv) = events.next().await.map_err(failed)?;
        if kind == EventKind::Put {
            return Ok((ResponseHeader { revision: kv.mod_revision, ..header }, kv));
        }
    }
}
