//! What locks and elections are made of: a key for each contender, under its lease and named after it; the oldest
//! key has won, and each waits until all that are older are gone. Counterpart of `client/v3/concurrency`.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use tonic::{Request, Status};

use super::{CLIENT, Endpoint};
use crate::api::{
    Event, EventKind, KeyValue, RangeRequest, ResponseOp, SortOrder, SortTarget, TxnRequest, WatchRequest,
};
use crate::client::Client;
use crate::error::EtcdError;
use crate::watch::Watcher;

/// Lives of a contender that brings no lease (`defaultSessionTTL`), in seconds.
const SESSION_TTL: i64 = 60;

/// Who only looks has no lease and needs none.
pub(super) const LOOKER: i64 = -1;

/// A contender: who asks, and the lease that its key goes under.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub client: Client,
    pub lease: i64,
}

/// Undoes a contender's candidacy when it is dropped before [`Candidacy::stands`]: its client hung up.
#[derive(Debug)]
pub(super) struct Candidacy(oneshot::Sender<()>);

impl Session {
    /// Of the client that sent `request`, under `lease`; 0 for one of its own, which nobody keeps alive.
    pub async fn begin<T>(endpoint: &Endpoint, request: &Request<T>, lease: i64) -> Result<Session, Status> {
        let Endpoint { cluster, member } = endpoint;
        let client = Client::new(cluster.clone(), CLIENT, vec![member.id]).with_token(super::token(request));
        // The member gives up before.
        let client = client.with_deadline(2 * cluster.request_timeout());
        let lease = match lease {
            0 => client.lease_grant(0, SESSION_TTL).await.map_err(failed)?.id,
            lease => lease,
        };
        Ok(Session { client, lease })
    }

    /// The contender's key below `prefix`.
    pub fn key(&self, prefix: &Bytes) -> Bytes {
        let mut lease = String::new();
        write!(lease, "{:x}", self.lease).expect("a string takes everything");
        joined(prefix, lease.as_bytes())
    }

    /// Has `undo` done when the client hangs up before its candidacy stands.
    pub fn candidacy(&self, undo: TxnRequest) -> Candidacy {
        let (stands, decided) = oneshot::channel();
        let client = self.client.clone();
        labkit_sim::spawn(async move {
            if decided.await.is_err() {
                // Should this fail, the lease's end does it.
                let _ = client.txn(undo).await;
            }
        });
        Candidacy(stands)
    }

    pub async fn watch(&self, request: WatchRequest) -> Result<Events, EtcdError> {
        Ok(Events { watcher: self.client.watch(request).await?, pending: VecDeque::new() })
    }

    /// Waits until no key of `prefix` is left that came into being at `revision` or before.
    pub async fn wait_deletes(&self, prefix: &Bytes, revision: i64) -> Result<(), EtcdError> {
        let youngest = RangeRequest {
            limit: 1,
            sort_order: SortOrder::Descend,
            sort_target: SortTarget::Create,
            max_create_revision: revision,
            ..RangeRequest::prefix(prefix.clone())
        };
        loop {
            let found = self.client.range(youngest.clone()).await?;
            let Some(kv) = found.kvs.into_iter().next() else { return Ok(()) };
            let start_revision = found.header.revision;
            let mut events = self.watch(WatchRequest { start_revision, ..WatchRequest::key(kv.key) }).await?;
            while events.next().await?.0 != EventKind::Delete {}
        }
    }
}

impl Candidacy {
    /// The client has its answer on the way: from now on, its lease decides.
    pub fn stands(self) {
        // The task that would undo it ends by this.
        let _ = self.0.send(());
    }
}

/// The events of a watch, one by one.
pub(super) struct Events {
    watcher: Watcher,
    pending: VecDeque<Event>,
}

impl Events {
    pub async fn next(&mut self) -> Result<(EventKind, KeyValue), EtcdError> {
        loop {
            if let Some(Event { kind, kv, .. }) = self.pending.pop_front() {
                return Ok((kind, kv));
            }
            let response = self.watcher.next().await.ok_or(EtcdError::Compacted)??;
            if response.canceled {
                return Err(EtcdError::Compacted);
            }
            self.pending.extend(response.events);
        }
    }
}

/// Who has won below `prefix`: the oldest key.
pub(super) fn oldest(prefix: &Bytes) -> RangeRequest {
    RangeRequest {
        limit: 1,
        sort_order: SortOrder::Ascend,
        sort_target: SortTarget::Create,
        ..RangeRequest::prefix(prefix.clone())
    }
}

/// The keys below a name.
pub(super) fn below(name: &Bytes) -> Bytes {
    joined(name, b"/")
}

fn joined(head: &Bytes, tail: &[u8]) -> Bytes {
    let mut joined = BytesMut::from(&head[..]);
    joined.extend_from_slice(tail);
    joined.freeze()
}

/// What a read within a transaction found.
pub(super) fn found(response: Option<&ResponseOp>) -> Option<&KeyValue> {
    match response {
        Some(ResponseOp::Range(range)) => range.kvs.first(),
        _ => None,
    }
}

/// These services are clients of their own member upstream, and lose the codes of its errors.
pub(super) fn failed(error: EtcdError) -> Status {
    Status::unknown(error.to_string())
}
