//! What a member counts, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "metrics are asked for over sockets"))]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Since the member started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub leader_changes_seen: Counter,
    pub proposals_failed: Counter,
    pub health_success: Counter,
    pub health_failures: Counter,
    pub ranges: Counter,
    pub puts: Counter,
    pub deletes: Counter,
    pub txns: Counter,
}
