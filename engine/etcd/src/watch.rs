//! Watches.
#![expect(clippy::todo, unused_variables, reason = "signatures first")]
use crate::api::*;
use crate::error::EtcdError;

/// The receiving end of a watch.
#[derive(Debug)]
pub struct Watcher {}

impl Watcher {
    /// The next response. The first one says `created`.
    pub async fn next(&mut self) -> Option<Result<WatchResponse, EtcdError>> {
        todo!()
    }
}
