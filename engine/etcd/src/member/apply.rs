//! What a committed proposal does to a member's state. Counterpart of `etcdserver/apply.go`, with its layers
//! for authentication and for a store that is full.

use std::time::Duration;

use labkit_sim::RecordId;

use super::State;
use crate::admin::{AlarmKind, AlarmResponse, AuthOutcome, AuthRequest, AuthResponse, Published};
use crate::api::{
    Answer, CompactionResponse, LeaseGrantResponse, LeaseRevokeResponse, RequestOp, Response, ResponseHeader,
    TxnRequest,
};
use crate::error::EtcdError;
use crate::raft::{Command, Proposal};

impl State {
    /// What is not allowed, or has no room, is refused at every member alike.
    pub fn permit(&self, proposal: &Proposal) -> Result<(), EtcdError> {
        let (auth, asker) = (&self.store.admin.auth, proposal.asker.as_ref());
        let lease_keys = |id| self.store.leases.get(id).into_iter().flat_map(|lease| &lease.keys);
        match &proposal.command {
            Command::Put(put) => auth.check_put(asker, put, lease_keys(put.lease))?,
            Command::DeleteRange(delete) => auth.check_delete(asker, delete)?,
            Command::Txn(txn) => auth.check_txn(asker, txn)?,
            Command::LeaseRevoke { id } if asker.is_some() => auth.check_lease(asker, lease_keys(*id))?,
            Command::Auth(request) => auth.check_auth(asker, request)?,
            Command::LeaseRevoke { .. }
            | Command::LeaseGrant { .. }
            | Command::Compact { .. }
            | Command::Alarm(_)
            | Command::Publish { .. } => {}
        }
        let grows = match &proposal.command {
            Command::Put(_) | Command::LeaseGrant { .. } => true,
            Command::Txn(txn) => has_put(txn),
            _ => false,
        };
        let admin = &self.store.admin;
        match &proposal.command {
            Command::Alarm(_) | Command::Auth(_) | Command::Publish { .. } => Ok(()),
            _ if admin.is_alarmed(AlarmKind::Corrupt) => Err(EtcdError::Corrupt),
            _ if grows && admin.is_alarmed(AlarmKind::NoSpace) => Err(EtcdError::NoSpace),
            _ => Ok(()),
        }
    }

    pub fn execute(&mut self, command: Command, cause: Option<RecordId>, now: Duration) -> Answer {
        let header = ResponseHeader::default();
        match command {
            Command::Put(put) => {
                let mut write = self.store.write(cause);
                let response = write.put_request(put)?;
                write.end();
                Ok(Response::Put(response))
            }
            Command::DeleteRange(delete) => {
                let mut write = self.store.write(cause);
                let response = write.delete_request(delete);
                write.end();
                Ok(Response::DeleteRange(response))
            }
            Command::Txn(txn) => {
                let mut write = self.store.write(cause);
                let response = write.txn_request(txn)?;
                write.end();
                Ok(Response::Txn(response))
            }
            Command::Compact { revision } => {
                self.store.compact(revision)?;
                Ok(Response::Compact(CompactionResponse { header }))
            }
            Command::LeaseGrant { id, ttl } => {
                let ttl = self.store.leases.grant(id, ttl)?;
                self.countdown.renew(id, ttl, now);
                Ok(Response::LeaseGrant(LeaseGrantResponse { header, id, ttl }))
            }
            Command::LeaseRevoke { id } => {
                let keys = self.store.leases.revoke(id)?;
                self.countdown.forget(id);
                let mut write = self.store.write(cause);
                for key in keys {
                    write.delete(key);
                }
                write.end();
                Ok(Response::LeaseRevoke(LeaseRevokeResponse { header }))
            }
            Command::Alarm(request) => {
                let alarms = self.store.admin.alarm(request);
                Ok(Response::Alarm(AlarmResponse { header, alarms }))
            }
            Command::Auth(request) => self.auth(request, now),
            Command::Publish { id, name, client_urls } => {
                self.store.admin.published.insert(id, Published { name, client_urls });
                Ok(Response::Done(header))
            }
        }
    }

    fn auth(&mut self, request: AuthRequest, now: Duration) -> Answer {
        let logs_in = match &request {
            AuthRequest::Authenticate { name, .. } => Some(name.clone()),
            _ => None,
        };
        let logs_out = match &request {
            AuthRequest::UserDelete { name } | AuthRequest::UserChangePassword { name, .. } => {
                Some(name.clone())
            }
            _ => None,
        };
        let disables = matches!(request, AuthRequest::Disable);
        let outcome = self.store.admin.auth.execute(request)?;
        if let (Some(user), AuthOutcome::Token(token)) = (logs_in, &outcome) {
            self.tokens.give(token.clone(), user, now);
        }
        if let Some(user) = logs_out {
            self.tokens.forget_user(&user);
        }
        if disables {
            self.tokens.forget_all();
        }
        Ok(Response::Auth(AuthResponse { header: ResponseHeader::default(), outcome }))
    }
}

fn has_put(txn: &TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).any(|operation| match operation {
        RequestOp::Put(_) => true,
        RequestOp::Txn(txn) => has_put(txn),
        RequestOp::Range(_) | RequestOp::DeleteRange(_) => false,
    })
}
