//! Objects in etcd: `/registry/PREFIX/NAMESPACE/NAME`, as JSON without resourceVersion; that is the key's
//! revision. Counterpart: `k8s.io/apiserver/pkg/storage/etcd3`.

pub(crate) mod cache;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod etcd;
mod layout;
pub(crate) mod lease;
pub(crate) mod window;

use std::sync::Arc;

use bytes::Bytes;
use labkit_api::{Object, Status};
use labkit_etcd::{
    Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseOp,
    TxnRequest, TxnResponse,
};

use crate::kinds::Kind;
use cache::Cache;
pub(crate) use entry::Entry;
pub use etcd::EtcdClient;

/// Access to etcd, in terms of objects.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    etcd: EtcdClient,
}

/// How a compare-and-swap ended.
#[derive(Debug)]
pub(crate) enum Swap {
    Done(Arc<Entry>),
    /// Someone else wrote first; what stands there now.
    Lost(Option<Arc<Entry>>),
}

/// A key that nobody may have written since `revision`, and that is written with the object.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub key: Bytes,
    /// 0: the key is not there.
    pub revision: i64,
    pub value: Bytes,
}

/// How a guarded compare-and-swap ended.
#[derive(Debug)]
pub(crate) enum Guarded {
    Swap(Swap),
    /// Somebody wrote the guard at that revision.
    Overtaken(i64),
}

/// The key below the kind's prefix: `namespace/name` or `name`. Caches are ordered by it, as etcd is.
pub(crate) fn relative_key(kind: &Kind, namespace: &str, name: &str) -> String {
    if kind.is_namespaced() { format!("{namespace}/{name}") } else { name.to_owned() }
}

/// `/registry/pods/`
pub(crate) fn prefix(kind: &Kind) -> String {
    format!("/registry/{}/", kind.prefix)
}

impl Store {
    pub fn new(etcd: EtcdClient) -> Store {
        Store { etcd }
    }

    pub fn etcd(&self) -> &EtcdClient {
        &self.etcd
    }

    /// A range of keys, as etcd gives it.
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, labkit_etcd::EtcdError> {
        self.etcd.range(request).await
    }

    /// Replaces the object that was written at `revision`.
    pub async fn update(
        &self,
        cache: &Cache,
        key: &str,
        revision: i64,
        object: Object,
        lease: i64,
    ) -> Result<Swap, Status> {
        match self.write(cache, key, revision, object, lease, None).await? {
            Guarded::Swap(swap) => Ok(swap),
            Guarded::Overtaken(_) => unreachable!("nothing guards it"),
        }
    }

    /// Writes an object that stood at `revision` (0: that is new), together with the guard if there is one.
    pub async fn write(
        &self,
        cache: &Cache,
        key: &str,
        revision: i64,
        object: Object,
        lease: i64,
        guard: Option<Guard>,
    ) -> Result<Guarded, Status> {
        let full = cache.full_key(key);
        let value = entry::encode(&object);
        let range = |key: &Bytes| RequestOp::Range(RangeRequest::key(key.clone()));
        let mut request = TxnRequest {
            compare: vec![Compare::mod_revision(full.clone(), revision)],
            success: vec![RequestOp::Put(PutRequest {
                lease,
                ..PutRequest::new(full.clone(), value.clone())
            })],
            failure: vec![range(&full)],
        };
        if let Some(guard) = &guard {
            request.compare.push(Compare::mod_revision(guard.key.clone(), guard.revision));
            request.success.push(RequestOp::Put(PutRequest::new(guard.key.clone(), guard.value.clone())));
            request.failure.push(range(&guard.key));
        }
        cache.writing(key, value.clone(), object);
        // Where the outcome is unknown, the write may still come back by the watch.
        let mut response = self.etcd.txn(request).await.map_err(error::status)?;
        if response.succeeded {
            let entry = cache.wrote(key, &value, response.header.revision)?;
            return Ok(Guarded::Swap(Swap::Done(entry)));
        }
        cache.did_not_write(key, &value);
        if let Some(guard) = guard {
            let stands_at = match response.responses.pop() {
                Some(ResponseOp::Range(range)) => range.kvs.first().map_or(0, |kv| kv.mod_revision),
                _ => 0,
            };
            if stands_at != guard.revision {
                return Ok(Guarded::Overtaken(stands_at));
            }
        }
        lost(response).map(Guarded::Swap)
    }

    /// Removes the object that was written at `revision`; it is given back with the revision of its deletion.
    pub async fn delete(&self, cache: &Cache, key: &str, entry: &Entry) -> Result<Swap, Status> {
        let full = cache.full_key(key);
        let delete = RequestOp::DeleteRange(DeleteRangeRequest::key(full.clone()));
        let response = self.swap(full, entry.revision, delete).await?;
        if response.succeeded {
            return Ok(Swap::Done(Arc::new(entry.at(response.header.revision))));
        }
        lost(response)
    }

    async fn swap(&self, key: Bytes, revision: i64, then: RequestOp) -> Result<TxnResponse, Status> {
        let request = TxnRequest {
            compare: vec![Compare::mod_revision(key.clone(), revision)],
            success: vec![then],
            failure: vec![RequestOp::Range(RangeRequest::key(key))],
        };
        self.etcd.txn(request).await.map_err(error::status)
    }
}

fn lost(response: TxnResponse) -> Result<Swap, Status> {
    let found: Option<KeyValue> = response.responses.into_iter().find_map(|response| match response {
        ResponseOp::Range(range) => range.kvs.into_iter().next(),
        _ => None,
    });
    Ok(Swap::Lost(found.as_ref().map(Entry::decode).transpose()?))
}
