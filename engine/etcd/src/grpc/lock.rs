//! The Lock service. Counterpart of `v3lock`.

use tonic::{Request, Response, Status};

use super::session::{self, Session, failed, found};
use super::v3lockpb::lock_server::Lock;
use super::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use super::{Endpoint, answered};
use crate::api::{self, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

#[tonic::async_trait]
impl Lock for Endpoint {
    /// Answers when the lock is the client's. One that hangs up before waits no longer.
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let session = Session::begin(self, &request, request.get_ref().lease).await?;
        let prefix = session::below(&request.get_ref().name);
        let key = session.key(&prefix);
        let oldest = RequestOp::Range(session::oldest(&prefix));
        let put = PutRequest { lease: session.lease, ..PutRequest::new(key.clone(), "") };
        let candidacy = session.candidacy(TxnRequest {
            success: vec![RequestOp::DeleteRange(DeleteRangeRequest::key(key.clone()))],
            ..TxnRequest::default()
        });
        let stood = TxnRequest {
            compare: vec![Compare::create_revision(key.clone(), 0)],
            success: vec![RequestOp::Put(put), oldest.clone()],
            failure: vec![RequestOp::Range(RangeRequest::key(key.clone())), oldest],
        };
        let stood = session.client.txn(stood).await.map_err(failed)?;
        // Who holds the lock already under this lease takes it again.
        let own = found(stood.responses.first()).map_or(stood.header.revision, |kv| kv.create_revision);
        let is_won = found(stood.responses.get(1)).is_none_or(|kv| kv.create_revision == own);
        let mut header = stood.header;
        if !is_won {
            session.wait_deletes(&prefix, own - 1).await.map_err(failed)?;
            let still = session.client.range(RangeRequest::key(key.clone())).await.map_err(failed)?;
            if still.kvs.is_empty() {
                return Err(Status::unknown("mutex: session is expired"));
            }
            header = still.header;
        }
        candidacy.stands();
        Ok(Response::new(LockResponse { header: Some(header.into()), key }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        let delete = DeleteRangeRequest::key(request.get_ref().key.clone());
        let answer = self.call(&request, api::Request::DeleteRange(delete)).await;
        let deleted: Result<Response<super::etcdserverpb::DeleteRangeResponse>, Status> =
            answered!(answer, DeleteRange);
        let deleted = deleted.map_err(|status| Status::unknown(status.message()))?;
        Ok(Response::new(UnlockResponse { header: deleted.into_inner().header }))
    }
}
