//! Of several replicas one acts: a Lease is the lock. Counterpart: client-go's `tools/leaderelection`.
//!
//! Only times that this replica measured itself count: a lease is over when its record did not change for
//! the lease's duration, whatever the dates in it say.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use rand::Rng as _;
use tokio::time::Instant;

use crate::client::{Client, Error};
use crate::events::{EventRecorder, EventType, reference};
use crate::typed::Api;

/// A candidate waits its retry period times 1.0 to 2.2, so that candidates do not march in step.
const JITTER_FACTOR: f64 = 1.2;

/// Which lease, held by whom, for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderElection {
    pub namespace: String,
    pub name: String,
    /// What the lease's `holderIdentity` says: a host name and something unique.
    pub identity: String,
    /// 15 s: how long the others wait after the last renewal that they saw.
    pub lease_duration: Duration,
    /// 10 s: the leader gives up when it could not renew for so long.
    pub renew_deadline: Duration,
    /// 2 s between tries.
    pub retry_period: Duration,
}

impl LeaderElection {
    /// With the defaults of kube-controller-manager and kube-scheduler.
    pub fn new(namespace: &str, name: &str, identity: &str) -> LeaderElection {
        LeaderElection {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// A candidate. Call [`Elector::acquire`], act while [`Elector::hold`] runs, stop when it returns.
#[derive(Debug)]
pub struct Elector {
    election: LeaderElection,
    leases: Api<Lease>,
    recorder: EventRecorder,
    /// The lock as it was seen last, and when it was first seen so.
    observed: Option<(Lease, Instant)>,
}

impl Elector {
    /// `component` is whom the events come from: `kube-controller-manager`.
    pub fn new(client: &Client, component: &str, election: LeaderElection) -> Elector {
        let client = client.with_user_agent("leader-election").with_timeout(election.renew_deadline / 2);
        let recorder = EventRecorder::new(&client, component, None);
        Elector { election, leases: client.api(), recorder, observed: None }
    }

    /// Returns when this replica leads.
    pub async fn acquire(&mut self) {
        while !self.try_acquire_or_renew().await {
            let jitter =
                labkit_sim::current_component().map_or(0.0, |own| own.random(|rng| rng.r#gen::<f64>()));
            tokio::time::sleep(self.election.retry_period.mul_f64(1.0 + JITTER_FACTOR * jitter)).await;
        }
        self.event("became leader").await;
    }

    /// Renews the lease. Returns when that failed for the renew deadline: somebody else may lead by now.
    pub async fn hold(&mut self) {
        let (deadline, period) = (self.election.renew_deadline, self.election.retry_period);
        loop {
            let renewed = tokio::time::timeout(deadline, async {
                while !self.try_acquire_or_renew().await {
                    tokio::time::sleep(period).await;
                }
            });
            if renewed.await.is_err() {
                self.event("stopped leading").await;
                return;
            }
            tokio::time::sleep(period).await;
        }
    }

    async fn try_acquire_or_renew(&mut self) -> bool {
        if self.is_leader() && self.is_valid() && self.update().await.is_ok() {
            return true;
        }
        match self.leases.get(&self.election.namespace, &self.election.name).await {
            Err(error) if error.is_not_found() => return self.create().await.is_ok(),
            Err(_) => return false,
            Ok(lease) => self.observe(lease),
        }
        let held = self.spec().holder_identity.as_deref().is_some_and(|holder| !holder.is_empty());
        if held && self.is_valid() && !self.is_leader() {
            return false;
        }
        self.update().await.is_ok()
    }

    async fn create(&mut self) -> Result<(), Error> {
        let metadata = ObjectMeta {
            name: Some(self.election.name.clone()),
            namespace: Some(self.election.namespace.clone()),
            ..Default::default()
        };
        let spec = Some(next_record(&self.election, None, self.now()));
        let created = self.leases.create(&Lease { metadata, spec }).await?;
        self.observe(created);
        Ok(())
    }

    async fn update(&mut self) -> Result<(), Error> {
        let Some((mut lease, _)) = self.observed.clone() else { return self.create().await };
        lease.spec = Some(next_record(&self.election, lease.spec.as_ref(), self.now()));
        let updated = self.leases.replace(&lease).await?;
        self.observe(updated);
        Ok(())
    }

    /// A record that says the same as before does not prolong the lease.
    fn observe(&mut self, lease: Lease) {
        let since = match &self.observed {
            Some((seen, since)) if seen.spec == lease.spec => *since,
            _ => Instant::now(),
        };
        self.observed = Some((lease, since));
    }

    fn spec(&self) -> LeaseSpec {
        self.observed.as_ref().and_then(|(lease, _)| lease.spec.clone()).unwrap_or_default()
    }

    fn is_leader(&self) -> bool {
        self.spec().holder_identity.as_deref() == Some(&*self.election.identity)
    }

    fn is_valid(&self) -> bool {
        let seconds =
            u64::try_from(self.spec().lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
        self.observed.as_ref().is_some_and(|(_, since)| since.elapsed() < Duration::from_secs(seconds))
    }

    fn now(&self) -> Timestamp {
        self.leases.client().world().clock().now()
    }

    async fn event(&self, what: &str) {
        let Some((lease, _)) = &self.observed else { return };
        let message = format!("{} {what}", self.election.identity);
        self.recorder.event(&reference(lease), EventType::Normal, "LeaderElection", &message).await;
    }
}

/// The lock as its next holder writes it: a renewal keeps when it was acquired, a takeover counts as a
/// transition.
fn next_record(election: &LeaderElection, current: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
    let renewed = current.filter(|current| current.holder_identity.as_deref() == Some(&*election.identity));
    let transitions = current.and_then(|current| current.lease_transitions).unwrap_or_default();
    let seconds = i32::try_from(election.lease_duration.as_secs()).unwrap_or(i32::MAX);
    LeaseSpec {
        holder_identity: Some(election.identity.clone()),
        lease_duration_seconds: Some(seconds),
        acquire_time: renewed.and_then(|own| own.acquire_time.clone()).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if current.is_some() && renewed.is_none() {
            transitions + 1
        } else {
            transitions
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(current: Option<&LeaseSpec>, acquired: i64, renewed: i64, transitions: i32) {
        let election = LeaderElection::new("kube-system", "kube-scheduler", "b");
        let at = |second| MicroTime(Timestamp::from_second(second).unwrap());
        let next = next_record(&election, current, at(100).0);
        assert_eq!(next.holder_identity.as_deref(), Some("b"));
        assert_eq!(next.acquire_time, Some(at(acquired)));
        assert_eq!(next.renew_time, Some(at(renewed)));
        assert_eq!(next.lease_transitions, Some(transitions));
    }

    #[test]
    fn a_takeover_counts_as_a_transition_and_a_renewal_does_not() {
        let held_by = |identity: &str| LeaseSpec {
            holder_identity: Some(identity.to_owned()),
            acquire_time: Some(MicroTime(Timestamp::from_second(7).unwrap())),
            lease_transitions: Some(3),
            ..Default::default()
        };
        check(None, 100, 100, 0);
        check(Some(&held_by("b")), 7, 100, 3);
        check(Some(&held_by("a")), 100, 100, 4);
    }
}
