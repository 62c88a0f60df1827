//! Objects in etcd: `/registry/PREFIX/NAMESPACE/NAME`, as JSON without resourceVersion; that is the key's
//! revision. Counterpart: `k8s.io/apiserver/pkg/storage/etcd3`.

pub(crate) mod cache;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod etcd;
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

    /// Writes a new object. `Lost` if there is one.
    pub async fn create(&self, kind: &Kind, key: &str, object: Object, lease: i64) -> Result<Swap, Status> {
        self.put(kind, key, 0, object, lease).await
    }

    /// Replaces the object that was written at `revision`.
    pub async fn update(
        &self,
        kind: &Kind,
        key: &str,
        revision: i64,
        object: Object,
        lease: i64,
    ) -> Result<Swap, Status> {
        self.put(kind, key, revision, object, lease).await
    }

    async fn put(
        &self,
        kind: &Kind,
        key: &str,
        revision: i64,
        object: Object,
        lease: i64,
    ) -> Result<Swap, Status> {
        let full = Bytes::from(format!("{}{key}", prefix(kind)));
        let value = entry::encode(&object);
        let put = RequestOp::Put(PutRequest { lease, ..PutRequest::new(full.clone(), value) });
        let response = self.swap(full, revision, put).await?;
        if response.succeeded {
            return Ok(Swap::Done(Arc::new(Entry::new(object, response.header.revision))));
        }
        lost(response)
    }

    /// Removes the object that was written at `revision`; it is given back with the revision of its deletion.
    pub async fn delete(&self, kind: &Kind, key: &str, entry: &Entry) -> Result<Swap, Status> {
        let full = Bytes::from(format!("{}{key}", prefix(kind)));
        let delete = RequestOp::DeleteRange(DeleteRangeRequest::key(full.clone()));
        let response = self.swap(full, entry.revision, delete).await?;
        if response.succeeded {
            return Ok(Swap::Done(Arc::new(Entry::new(entry.object.clone(), response.header.revision))));
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
