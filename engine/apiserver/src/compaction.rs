//! Every five minutes the servers forget what is older than the last five: one of them compacts etcd. Counterpart:
//! `k8s.io/apiserver/pkg/storage/etcd3/compact.go`.
//!
//! The version of `compact_rev_key` is a clock that all servers share. Whoever moves it on compacts to the revision
//! that it saw at the tick before; the others take over the time that they find, and try again a period later.

use std::time::Duration;

use labkit_etcd::{
    Compare, CompareResult, CompareTarget, EtcdError, PutRequest, RangeRequest, RequestOp, ResponseOp,
    TxnRequest,
};

use crate::storage::Store;

/// `--etcd-compaction-interval`
pub(crate) const INTERVAL: Duration = Duration::from_secs(300);

const KEY: &str = "compact_rev_key";

/// What a server knows of the common clock.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tick {
    /// The version of the key.
    time: i64,
    /// How far the store was when that was learnt; it is compacted to there at the next tick.
    revision: i64,
}

/// Compacts for as long as it is polled.
pub(crate) async fn run(store: Store, interval: Duration) {
    let mut tick = Tick::default();
    loop {
        tokio::time::sleep(interval).await;
        // A store that does not answer is asked again at the next tick.
        if let Ok(next) = advance(&store, tick).await {
            tick = next;
        }
    }
}

async fn advance(store: &Store, tick: Tick) -> Result<Tick, EtcdError> {
    let Tick { time, revision } = tick;
    let response = store
        .etcd()
        .txn(TxnRequest {
            compare: vec![Compare::new(KEY, CompareResult::Equal, CompareTarget::Version(time))],
            success: vec![RequestOp::Put(PutRequest::new(KEY, revision.to_string()))],
            failure: vec![RequestOp::Range(RangeRequest::key(KEY))],
        })
        .await?;
    let now = response.header.revision;
    if !response.succeeded {
        let time = response.responses.iter().find_map(|response| match response {
            ResponseOp::Range(range) => range.kvs.first().map(|kv| kv.version),
            _ => None,
        });
        return Ok(Tick { time: time.unwrap_or_default(), revision: now });
    }
    if revision > 0 {
        store.etcd().compact(revision).await?;
    }
    Ok(Tick { time: time + 1, revision: now })
}
