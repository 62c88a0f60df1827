//! Leases: time to live as replicated state, and the countdown, which only the leader runs. Counterpart of
//! `server/lease/lessor.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::EtcdError;

/// The longest time to live, in seconds (`lease.MaxLeaseTTL`).
pub(crate) const TTL_MAX: i64 = 9_000_000_000;

/// How often the leader looks for expired leases (`runLoop`), how many it revokes at once (`leaseRevokeRate / 2`),
/// and when it tries again (`expiredLeaseRetryInterval`).
pub(crate) const EXPIRY_SCAN: Duration = Duration::from_millis(500);
const REVOKED_PER_SCAN_MAX: usize = 500;
const REVOKE_RETRY: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// In seconds.
    pub ttl: i64,
    pub keys: BTreeSet<Bytes>,
}

/// The leases as all members have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lessor {
    ttl_min: i64,
    leases: BTreeMap<i64, Lease>,
}

impl Lessor {
    pub fn new(ttl_min: i64) -> Lessor {
        Lessor { ttl_min, leases: BTreeMap::new() }
    }

    /// Grants a lease and returns its time to live, which may be longer than was asked for.
    pub fn grant(&mut self, id: i64, ttl: i64) -> Result<i64, EtcdError> {
        if id == 0 {
            return Err(EtcdError::LeaseNotFound);
        }
        if ttl > TTL_MAX {
            return Err(EtcdError::LeaseTtlTooLarge);
        }
        if self.leases.contains_key(&id) {
            return Err(EtcdError::LeaseExists);
        }
        let ttl = ttl.max(self.ttl_min);
        self.leases.insert(id, Lease { ttl, keys: BTreeSet::new() });
        Ok(ttl)
    }

    /// Forgets a lease and returns the keys that go with it.
    pub fn revoke(&mut self, id: i64) -> Result<BTreeSet<Bytes>, EtcdError> {
        self.leases.remove(&id).map(|lease| lease.keys).ok_or(EtcdError::LeaseNotFound)
    }

    pub fn get(&self, id: i64) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (i64, &Lease)> {
        self.leases.iter().map(|(id, lease)| (*id, lease))
    }

    pub fn attach(&mut self, id: i64, key: &Bytes) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.insert(key.clone());
        }
    }

    pub fn detach(&mut self, id: i64, key: &Bytes) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.remove(key);
        }
    }
}

/// The countdown. It runs on the leader only and is not replicated, so a new leader begins it anew: a change
/// of leader lengthens leases, never shortens them.
#[derive(Debug, Default)]
pub(crate) struct Countdown {
    /// `None` while this member does not lead. Times are since the world began.
    expiries: Option<BTreeMap<i64, Duration>>,
    /// When the revocation of an expired lease was last begun.
    revoked_at: BTreeMap<i64, Duration>,
}

impl Countdown {
    /// Begins as the new leader: every lease gets its whole time to live, and `extra` for the clients to
    /// find the new leader.
    pub fn promote(&mut self, leases: &Lessor, now: Duration, extra: Duration) {
        self.expiries =
            Some(leases.iter().map(|(id, lease)| (id, now + seconds(lease.ttl) + extra)).collect());
    }

    pub fn demote(&mut self) {
        *self = Countdown::default();
    }

    /// Starts the lease's time over. Nothing happens off the leader.
    pub fn renew(&mut self, id: i64, ttl: i64, now: Duration) {
        if let Some(expiries) = &mut self.expiries {
            expiries.insert(id, now + seconds(ttl));
        }
    }

    pub fn forget(&mut self, id: i64) {
        if let Some(expiries) = &mut self.expiries {
            expiries.remove(&id);
        }
        self.revoked_at.remove(&id);
    }

    /// What is left of a lease; `None` when this member does not count it.
    pub fn remaining(&self, id: i64, now: Duration) -> Option<Duration> {
        Some(self.expiries.as_ref()?.get(&id)?.saturating_sub(now))
    }

    /// The leases whose time is over and that are to be revoked now, the longest ago first.
    pub fn take_expired(&mut self, now: Duration) -> Vec<i64> {
        let retry = |id| self.revoked_at.get(id).is_none_or(|at| *at + REVOKE_RETRY <= now);
        let expired = self.expiries.iter().flatten().filter(|(id, at)| **at <= now && retry(id));
        let mut expired: Vec<(Duration, i64)> = expired.map(|(id, at)| (*at, *id)).collect();
        expired.sort_unstable();
        expired.truncate(REVOKED_PER_SCAN_MAX);
        self.revoked_at.extend(expired.iter().map(|(_, id)| (*id, now)));
        expired.into_iter().map(|(_, id)| id).collect()
    }
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_gets_at_least_the_minimum() {
        let mut lessor = Lessor::new(2);
        assert_eq!(lessor.grant(7, 1), Ok(2));
        assert_eq!(lessor.grant(8, 60), Ok(60));
        assert_eq!(lessor.grant(7, 5), Err(EtcdError::LeaseExists));
        assert_eq!(lessor.grant(9, TTL_MAX + 1), Err(EtcdError::LeaseTtlTooLarge));
    }

    #[test]
    fn a_change_of_leader_lengthens_a_lease() {
        let mut lessor = Lessor::new(2);
        lessor.grant(7, 10).unwrap();
        let at = Duration::from_secs;
        let mut old = Countdown::default();
        old.promote(&lessor, at(0), at(0));
        assert_eq!(old.remaining(7, at(8)), Some(at(2)));
        let mut new = Countdown::default();
        assert_eq!(new.remaining(7, at(8)), None);
        new.promote(&lessor, at(8), at(1));
        assert_eq!(new.remaining(7, at(8)), Some(at(11)));
        assert!(new.take_expired(at(18)).is_empty());
        assert_eq!(new.take_expired(at(19)), [7]);
        assert!(new.take_expired(at(20)).is_empty(), "its revocation is under way");
        assert_eq!(new.take_expired(at(22)), [7]);
    }
}
