//! The two ways to etcd: over links to members of this world, or over sockets to a cluster elsewhere.

use std::time::Duration;

use labkit_etcd::{
    Client, EtcdError, LeaseGrantResponse, LeaseKeepAliveResponse, PutRequest, PutResponse, RangeRequest,
    RangeResponse, TxnRequest, TxnResponse, WatchRequest, WatchResponse, Watcher, grpc,
};

/// A client of etcd, wherever that is.
#[derive(Debug, Clone)]
pub enum EtcdClient {
    /// Members of this world.
    Linked(Client),
    /// Any etcd v3 cluster. It keeps real time: only for wall pace.
    External(grpc::Client),
}

impl From<Client> for EtcdClient {
    fn from(client: Client) -> EtcdClient {
        EtcdClient::Linked(client)
    }
}

/// The receiving end of a watch. Dropping it ends the watch.
#[derive(Debug)]
pub(crate) enum EtcdWatcher {
    Linked(Watcher),
    External(grpc::Watcher),
}

impl EtcdClient {
    pub(crate) fn with_deadline(self, deadline: Duration) -> EtcdClient {
        match self {
            EtcdClient::Linked(client) => EtcdClient::Linked(client.with_deadline(deadline)),
            EtcdClient::External(client) => EtcdClient::External(client.with_deadline(deadline)),
        }
    }

    pub(crate) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, EtcdError> {
        match self {
            EtcdClient::Linked(client) => client.range(request).await,
            EtcdClient::External(client) => client.range(request).await,
        }
    }

    pub(crate) async fn put(&self, request: PutRequest) -> Result<PutResponse, EtcdError> {
        match self {
            EtcdClient::Linked(client) => client.put(request).await,
            EtcdClient::External(client) => client.put(request).await,
        }
    }

    pub(crate) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, EtcdError> {
        match self {
            EtcdClient::Linked(client) => client.txn(request).await,
            EtcdClient::External(client) => client.txn(request).await,
        }
    }

    /// Forgets what is older than the revision.
    pub(crate) async fn compact(&self, revision: i64) -> Result<(), EtcdError> {
        match self {
            EtcdClient::Linked(client) => client.compact(revision).await,
            EtcdClient::External(client) => client.compact(revision).await.map(drop),
        }
    }

    /// A lease of `ttl` seconds.
    pub(crate) async fn lease_grant(&self, ttl: i64) -> Result<LeaseGrantResponse, EtcdError> {
        match self {
            EtcdClient::Linked(client) => client.lease_grant(0, ttl).await,
            EtcdClient::External(client) => client.lease_grant(0, ttl).await,
        }
    }

    /// Renews a lease once.
    pub(crate) async fn lease_keep_alive(&self, id: i64) -> Result<LeaseKeepAliveResponse, EtcdError> {
        match self {
            EtcdClient::Linked(client) => client.lease_keep_alive(id).await,
            EtcdClient::External(client) => client.lease_keep_alive(id).await,
        }
    }

    pub(crate) async fn watch(&self, request: WatchRequest) -> Result<EtcdWatcher, EtcdError> {
        Ok(match self {
            EtcdClient::Linked(client) => EtcdWatcher::Linked(client.watch(request).await?),
            EtcdClient::External(client) => EtcdWatcher::External(client.watch(request).await?),
        })
    }
}

impl EtcdWatcher {
    pub async fn next(&mut self) -> Option<Result<WatchResponse, EtcdError>> {
        match self {
            EtcdWatcher::Linked(watcher) => watcher.next().await,
            EtcdWatcher::External(watcher) => watcher.next().await,
        }
    }
}
