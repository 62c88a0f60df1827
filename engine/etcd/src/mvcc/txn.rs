//! Requests on the store: what is refused before Raft sees it, and what is done when Raft has committed it.
//! Counterpart of `api/v3rpc/key.go` (checks) and `etcdserver/apply.go` (execution).

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bytes::Bytes;

use super::range::Keys;
use super::store::{Store, Write};
use crate::api::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, DeleteRangeResponse, KeyValue, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
};
use crate::error::EtcdError;

/// Most operations in one list of a transaction (`--max-txn-ops`).
const TXN_OPS_MAX: usize = 128;

pub(crate) fn check_key(key: &Bytes) -> Result<(), EtcdError> {
    if key.is_empty() { Err(EtcdError::EmptyKey) } else { Ok(()) }
}

pub(crate) fn check_put(put: &PutRequest) -> Result<(), EtcdError> {
    check_key(&put.key)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(EtcdError::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(EtcdError::LeaseProvided);
    }
    Ok(())
}

pub(crate) fn check_txn(txn: &TxnRequest) -> Result<(), EtcdError> {
    check_operations(txn)?;
    keys_written(&txn.success)?;
    keys_written(&txn.failure)?;
    Ok(())
}

fn check_operations(txn: &TxnRequest) -> Result<(), EtcdError> {
    if txn.compare.len().max(txn.success.len()).max(txn.failure.len()) > TXN_OPS_MAX {
        return Err(EtcdError::TooManyOps);
    }
    txn.compare.iter().try_for_each(|compare| check_key(&compare.key))?;
    txn.success.iter().chain(&txn.failure).try_for_each(|operation| match operation {
        RequestOp::Range(range) => check_key(&range.key),
        RequestOp::Put(put) => check_put(put),
        RequestOp::DeleteRange(delete) => check_key(&delete.key),
        RequestOp::Txn(txn) => check_operations(txn),
    })
}

/// What a list of operations puts and deletes, nested ones included; an error if a key could be written
/// twice. The two branches of one nested transaction exclude each other, so they may share keys.
fn keys_written(operations: &[RequestOp]) -> Result<(BTreeSet<&Bytes>, Vec<Keys>), EtcdError> {
    let mut deleted: Vec<Keys> = operations
        .iter()
        .filter_map(|operation| match operation {
            RequestOp::DeleteRange(delete) => Some(Keys::new(&delete.key, &delete.range_end)),
            _ => None,
        })
        .collect();
    let mut put = BTreeSet::new();
    for operation in operations {
        let RequestOp::Txn(txn) = operation else { continue };
        let (then_put, then_deleted) = keys_written(&txn.success)?;
        let (else_put, else_deleted) = keys_written(&txn.failure)?;
        for key in then_put.union(&else_put) {
            once(!put.contains(key) && !deleted.iter().any(|keys| keys.contains(key)))?;
        }
        put.extend(then_put);
        put.extend(else_put);
        deleted.extend(then_deleted);
        deleted.extend(else_deleted);
    }
    for operation in operations {
        let RequestOp::Put(request) = operation else { continue };
        once(!deleted.iter().any(|keys| keys.contains(&request.key)) && put.insert(&request.key))?;
    }
    Ok((put, deleted))
}

fn once(is_once: bool) -> Result<(), EtcdError> {
    if is_once { Ok(()) } else { Err(EtcdError::DuplicateKey) }
}

/// Whether a transaction only reads; then it does not go through the log.
pub(crate) fn is_read_only(txn: &TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).all(|operation| match operation {
        RequestOp::Range(_) => true,
        RequestOp::Put(_) | RequestOp::DeleteRange(_) => false,
        RequestOp::Txn(txn) => is_read_only(txn),
    })
}

/// The header of a response within the store: cluster, member and term are filled in by the member.
fn header(revision: i64) -> ResponseHeader {
    ResponseHeader { revision, ..ResponseHeader::default() }
}

impl Store {
    pub fn range_response(&self, request: &RangeRequest) -> Result<RangeResponse, EtcdError> {
        let found = self.range(request)?;
        Ok(RangeResponse {
            header: header(self.revision()),
            kvs: found.kvs,
            more: found.more,
            count: found.count,
        })
    }
}

impl Write<'_> {
    fn range(&self, request: &RangeRequest) -> Result<RangeResponse, EtcdError> {
        let found = self.store.range_of(request, self.revision())?;
        Ok(RangeResponse {
            header: header(self.revision()),
            kvs: found.kvs,
            more: found.more,
            count: found.count,
        })
    }

    pub fn put_request(&mut self, request: PutRequest) -> Result<PutResponse, EtcdError> {
        self.check_applicable(&request)?;
        let before = self.get(&request.key);
        let value = if request.ignore_value { before.map(|kv| kv.value.clone()) } else { None };
        let lease = if request.ignore_lease { before.map(|kv| kv.lease) } else { None };
        let prev_kv = if request.prev_kv { before.cloned() } else { None };
        self.put(request.key, value.unwrap_or(request.value), lease.unwrap_or(request.lease));
        Ok(PutResponse { header: header(self.revision()), prev_kv })
    }

    pub fn delete_request(&mut self, request: DeleteRangeRequest) -> DeleteRangeResponse {
        let keys = Keys::new(&request.key, &request.range_end);
        let before: Vec<KeyValue> = self.store.live(&keys, self.revision()).cloned().collect();
        for kv in &before {
            self.delete(kv.key.clone());
        }
        let deleted = i64::try_from(before.len()).unwrap_or(i64::MAX);
        let prev_kvs = if request.prev_kv { before } else { Vec::new() };
        DeleteRangeResponse { header: header(self.revision()), deleted, prev_kvs }
    }

    /// Compares and executes. All comparisons, nested ones too, see the store as it was before.
    pub fn txn_request(&mut self, request: TxnRequest) -> Result<TxnResponse, EtcdError> {
        let chosen = self.choose(request);
        self.check_branch(&chosen)?;
        let mut response = self.execute(chosen);
        set_revision(&mut response, self.revision());
        Ok(response)
    }

    fn choose(&self, request: TxnRequest) -> Branch {
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        let operations = if succeeded { request.success } else { request.failure };
        let steps = operations
            .into_iter()
            .map(|operation| match operation {
                RequestOp::Range(range) => Step::Range(range),
                RequestOp::Put(put) => Step::Put(put),
                RequestOp::DeleteRange(delete) => Step::DeleteRange(delete),
                RequestOp::Txn(txn) => Step::Branch(self.choose(txn)),
            })
            .collect();
        Branch { succeeded, steps }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let keys = Keys::new(&compare.key, &compare.range_end);
        let mut live = self.store.live(&keys, self.revision()).peekable();
        if live.peek().is_none() {
            // An absent value is not the empty value: it equals nothing.
            return !matches!(compare.target, CompareTarget::Value(_))
                && compares(compare, &KeyValue::default());
        }
        live.all(|kv| compares(compare, kv))
    }

    /// What could fail in the middle is checked before the first step, so that a transaction is whole.
    fn check_branch(&self, branch: &Branch) -> Result<(), EtcdError> {
        branch.steps.iter().try_for_each(|step| match step {
            Step::Range(range) => self.store.readable(range.revision, self.revision()).map(drop),
            Step::Put(put) => self.check_applicable(put),
            Step::DeleteRange(_) => Ok(()),
            Step::Branch(branch) => self.check_branch(branch),
        })
    }

    fn check_applicable(&self, put: &PutRequest) -> Result<(), EtcdError> {
        if (put.ignore_value || put.ignore_lease) && self.get(&put.key).is_none() {
            return Err(EtcdError::KeyNotFound);
        }
        if put.lease != 0 && self.store.leases.get(put.lease).is_none() {
            return Err(EtcdError::LeaseNotFound);
        }
        Ok(())
    }

    fn execute(&mut self, branch: Branch) -> TxnResponse {
        const CHECKED: &str = "what can fail was checked before the first step";
        let responses = branch
            .steps
            .into_iter()
            .map(|step| match step {
                Step::Range(range) => ResponseOp::Range(self.range(&range).expect(CHECKED)),
                Step::Put(put) => ResponseOp::Put(self.put_request(put).expect(CHECKED)),
                Step::DeleteRange(delete) => ResponseOp::DeleteRange(self.delete_request(delete)),
                Step::Branch(branch) => ResponseOp::Txn(self.execute(branch)),
            })
            .collect();
        TxnResponse { header: ResponseHeader::default(), succeeded: branch.succeeded, responses }
    }
}

/// A transaction after its comparisons.
struct Branch {
    succeeded: bool,
    steps: Vec<Step>,
}

enum Step {
    Range(RangeRequest),
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Branch(Branch),
}

fn compares(compare: &Compare, kv: &KeyValue) -> bool {
    let ordering = match &compare.target {
        CompareTarget::Version(version) => kv.version.cmp(version),
        CompareTarget::Create(revision) => kv.create_revision.cmp(revision),
        CompareTarget::Mod(revision) => kv.mod_revision.cmp(revision),
        CompareTarget::Value(value) => kv.value.cmp(value),
        CompareTarget::Lease(lease) => kv.lease.cmp(lease),
    };
    match compare.result {
        CompareResult::Equal => ordering == Ordering::Equal,
        CompareResult::NotEqual => ordering != Ordering::Equal,
        CompareResult::Greater => ordering == Ordering::Greater,
        CompareResult::Less => ordering == Ordering::Less,
    }
}

/// Transactions, nested ones too, answer with the revision after the whole.
fn set_revision(response: &mut TxnResponse, revision: i64) {
    response.header.revision = revision;
    for response in &mut response.responses {
        if let ResponseOp::Txn(nested) = response {
            set_revision(nested, revision);
        }
    }
}
