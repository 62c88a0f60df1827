//! The multi-version store as a pure state machine: every write gives the whole store a new revision, old
//! versions stay readable until they are compacted away. Counterpart of `server/storage/mvcc`.
//!
//! - [`store`]: [`Store`], revisions, writes, compaction, snapshots.
//! - [`history`]: the versions of one key.
//! - [`range`]: which keys, and what of them.
//! - [`txn`]: validation and execution of requests.
//! - [`watchers`]: who is told of a change.
//!
//! Invariants: nothing here waits, draws or reads a clock; two stores that applied the same proposals are
//! equal. What is applied comes from Raft, in order.

pub(crate) mod history;
pub(crate) mod range;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod txn;
pub(crate) mod watchers;

pub(crate) use store::Store;
pub(crate) use watchers::{Heard, Listener, Told, WatchId, Watchers};
