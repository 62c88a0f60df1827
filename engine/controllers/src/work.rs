//! From a queue of keys to reconciles. Counterpart: the `worker` and `processNextWorkItem` of upstream's
//! controllers.

use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use labkit_client::{Change, WorkQueue};
use labkit_sim::caused_by;
use tokio::sync::mpsc::UnboundedReceiver;

/// From a key's turn to its reconcile: about what a real process takes to get there. What else is under way,
/// such as the watch event of the last write, arrives meanwhile, and the reconcile does not act on a cache
/// that is about to change.
const PICK_UP: Duration = Duration::from_millis(1);

/// Why a reconcile did not come to its end; it is tried again after a back-off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Request(#[from] labkit_client::Error),
    #[error("{0}")]
    Because(String),
}

/// Whether a create was refused because its namespace is going away.
pub(crate) fn is_namespace_terminating(error: &labkit_client::Error) -> bool {
    let causes = error.status().and_then(|status| status.details.as_ref()).map(|details| &details.causes);
    causes.is_some_and(|causes| causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
}

/// Reconciles keys from `queue`, up to `workers` at a time and never one key twice at a time. A failed one
/// comes again after its back-off.
pub(crate) async fn work<K, F>(queue: &WorkQueue<K>, workers: usize, reconcile: impl Fn(K) -> F) -> Infallible
where
    K: Ord + Clone + Debug,
    F: Future<Output = Result<(), Failed>>,
{
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some((key, outcome)) = running.next(), if !running.is_empty() => {
                match outcome {
                    Ok(()) => queue.forget(&key),
                    Err(_) => queue.add_rate_limited(K::clone(&key)),
                }
                queue.done(&key);
            }
            (key, cause) = queue.next(), if running.len() < workers => {
                let reconcile = &reconcile;
                running.push(async move {
                    tokio::time::sleep(PICK_UP).await;
                    let outcome = caused_by(cause, reconcile(key.clone())).await;
                    (key, outcome)
                });
            }
        }
    }
}

/// Hands every change to `handle`, which decides what to reconcile.
pub(crate) async fn each<K>(mut changes: UnboundedReceiver<Change<K>>, mut handle: impl FnMut(Change<K>)) {
    while let Some(change) = changes.recv().await {
        handle(change);
    }
}
