//! The node's heartbeat: a Lease in kube-node-lease, renewed every 10 s. Counterpart:
//! `component-helpers/apimachinery/lease`.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use labkit_client::Error;
use labkit_sim::current_component;
use rand::Rng as _;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Kubelet;

const NAMESPACE: &str = "kube-node-lease";
/// Each period is up to 4 % longer, so that the nodes of a cluster do not march in step.
const JITTER: f64 = 0.04;
const TRIES: u32 = 5;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(7);

/// Keeps the lease forever. `late` is told of each renewal that came late.
pub(super) async fn keep(kubelet: Kubelet, late: watch::Sender<()>) {
    let period = kubelet.machine.config().node_lease_duration / 4;
    let mut lease = kubelet.first_lease().await;
    let mut renewed = Instant::now();
    loop {
        let jitter = current_component().map_or(0.0, |own| own.random(|rng| rng.r#gen::<f64>()));
        tokio::time::sleep(period.mul_f64(1.0 + JITTER * jitter)).await;
        for _ in 0..TRIES {
            match kubelet.renew(&lease, period).await {
                Ok(newest) => {
                    lease = newest;
                    if renewed.elapsed() > period.mul_f64(1.5) {
                        late.send_replace(());
                    }
                    renewed = Instant::now();
                    break;
                }
                Err(error) if error.is_conflict() => lease = kubelet.first_lease().await,
                Err(error) if error.is_not_found() => lease = kubelet.first_lease().await,
                Err(_) => {}
            }
        }
    }
}

impl Kubelet {
    /// The lease as it is now; made when it is not there. Tried until it succeeds.
    async fn first_lease(&self) -> Lease {
        let mut wait = BACKOFF_FIRST;
        loop {
            match self.ensure_lease().await {
                Ok(lease) => return lease,
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(BACKOFF_MAX);
        }
    }

    async fn ensure_lease(&self) -> Result<Lease, Error> {
        let client = self.client.with_timeout(self.machine.config().node_lease_duration / 4);
        let leases = client.api::<Lease>();
        match leases.get(NAMESPACE, self.node_name()).await {
            Err(error) if error.is_not_found() => {}
            other => return other,
        }
        let node = client.api::<Node>().get("", self.node_name()).await?;
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: self.node_name().to_owned(),
            uid: node.metadata.uid.unwrap_or_default(),
            ..OwnerReference::default()
        };
        let metadata = ObjectMeta {
            name: Some(self.node_name().to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        };
        leases.create(&Lease { metadata, spec: Some(self.lease_spec()) }).await
    }

    async fn renew(&self, lease: &Lease, timeout: Duration) -> Result<Lease, Error> {
        let mut lease = lease.clone();
        lease.spec = Some(self.lease_spec());
        self.client.with_timeout(timeout).api::<Lease>().replace(&lease).await
    }

    fn lease_spec(&self) -> LeaseSpec {
        let seconds = self.machine.config().node_lease_duration.as_secs();
        LeaseSpec {
            holder_identity: Some(self.node_name().to_owned()),
            lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            renew_time: Some(MicroTime(self.now())),
            ..LeaseSpec::default()
        }
    }
}
