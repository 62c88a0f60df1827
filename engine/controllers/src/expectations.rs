//! Writes whose watch events are still to come. While some are, a controller's cache is known to be stale,
//! and acting on it would make or delete too many. Counterpart: `ControllerExpectations`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use labkit_api::ObjectKey;
use tokio::time::Instant;

/// After so long the events are held to be lost.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Per owner: creations and deletions that were sent and not yet seen.
#[derive(Debug, Default)]
pub(crate) struct Expectations(Mutex<BTreeMap<ObjectKey, Expected>>);

#[derive(Debug)]
struct Expected {
    creations: usize,
    deletions: BTreeSet<ObjectKey>,
    since: Instant,
}

impl Expectations {
    pub fn expect(&self, owner: &ObjectKey, creations: usize, deletions: BTreeSet<ObjectKey>) {
        self.locked().insert(owner.clone(), Expected { creations, deletions, since: Instant::now() });
    }

    pub fn creation_observed(&self, owner: &ObjectKey) {
        if let Some(expected) = self.locked().get_mut(owner) {
            expected.creations = expected.creations.saturating_sub(1);
        }
    }

    pub fn deletion_observed(&self, owner: &ObjectKey, object: &ObjectKey) {
        if let Some(expected) = self.locked().get_mut(owner) {
            expected.deletions.remove(object);
        }
    }

    pub fn forget(&self, owner: &ObjectKey) {
        self.locked().remove(owner);
    }

    /// Whether the owner's cache shows all that was sent (or the wait was too long).
    pub fn are_met(&self, owner: &ObjectKey) -> bool {
        self.locked().get(owner).is_none_or(|expected| {
            expected.creations == 0 && expected.deletions.is_empty() || expected.since.elapsed() > TIMEOUT
        })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectKey, Expected>> {
        self.0.lock().expect("no panic happens under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_owner_waits_until_each_write_was_seen() {
        let expectations = Expectations::default();
        let (owner, pod) = (ObjectKey::new("default", "web"), ObjectKey::new("default", "web-1"));
        assert!(expectations.are_met(&owner));
        expectations.expect(&owner, 2, BTreeSet::from([pod.clone()]));
        expectations.creation_observed(&owner);
        expectations.creation_observed(&owner);
        assert!(!expectations.are_met(&owner));
        expectations.deletion_observed(&owner, &pod);
        assert!(expectations.are_met(&owner));
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_never_come_are_given_up_after_five_minutes() {
        let expectations = Expectations::default();
        let owner = ObjectKey::new("default", "web");
        expectations.expect(&owner, 1, BTreeSet::new());
        tokio::time::advance(Duration::from_secs(301)).await;
        assert!(expectations.are_met(&owner));
    }
}
