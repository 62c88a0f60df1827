//! The endpoints of `default/kubernetes` where several servers share a store: each keeps a lease on its address, and
//! each writes down whose leases live. Counterpart: `pkg/controlplane/reconcilers/lease.go`.
//!
//! A lease is renewed as etcd's leases are; upstream writes the key anew each time. A server that is alone needs no
//! lease: its address is written when it starts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use labkit_api::{Object, Status};
use labkit_etcd::{PutRequest, RangeRequest};
use serde_json::{Value, json};

use crate::bootstrap::{self, NAME, NAMESPACE};
use crate::kinds::{Kind, endpoint_slices, endpoints};
use crate::registry::Registry;
use crate::registry::update::UpdateOptions;
use crate::storage::error;

/// `DefaultEndpointReconcilerTTL` and `DefaultEndpointReconcilerInterval`.
const TTL: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_secs(10);

const PREFIX: &str = "/registry/masterleases/";

/// One server's place among the endpoints.
#[derive(Debug)]
pub(crate) struct EndpointLease {
    registry: Arc<Registry>,
    address: IpAddr,
    port: u16,
    /// etcd's lease; 0 before there is one.
    lease: i64,
}

impl EndpointLease {
    pub fn new(registry: Arc<Registry>, (address, port): (IpAddr, u16)) -> EndpointLease {
        EndpointLease { registry, address, port, lease: 0 }
    }

    /// Keeps the lease and the endpoints for as long as it is polled. What fails is tried again the next time.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let _tried_again_soon = self.reconcile().await;
        }
    }

    pub async fn reconcile(&mut self) -> Result<(), Status> {
        self.renew().await?;
        let living = self.living().await?;
        for (kind, object) in objects(&living, self.port) {
            write(&self.registry, kind, object).await?;
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), Status> {
        let etcd = self.registry.store.etcd();
        if self.lease != 0 && etcd.lease_keep_alive(self.lease).await.map_err(error::status)?.ttl > 0 {
            return Ok(());
        }
        self.lease = etcd.lease_grant(TTL.as_secs().cast_signed()).await.map_err(error::status)?.id;
        let value = json!({
            "kind": "Endpoints", "apiVersion": "v1", "metadata": {},
            "subsets": [{"addresses": [{"ip": self.address}]}],
        });
        let key = format!("{PREFIX}{}", self.address);
        let put = PutRequest { lease: self.lease, ..PutRequest::new(key, value.to_string()) };
        etcd.put(put).await.map_err(error::status).map(drop)
    }

    async fn living(&self) -> Result<BTreeSet<IpAddr>, Status> {
        let leases = self.registry.store.range(RangeRequest::prefix(PREFIX)).await.map_err(error::status)?;
        let address = |key: &[u8]| std::str::from_utf8(&key[PREFIX.len()..]).ok()?.parse().ok();
        Ok(leases.kvs.iter().filter_map(|kv| address(&kv.key)).collect())
    }
}

/// The endpoints of the service as both kinds tell them.
pub(crate) fn objects(addresses: &BTreeSet<IpAddr>, port: u16) -> [(&'static Kind, Value); 2] {
    let ips: Vec<Value> = addresses.iter().map(|address| json!({"ip": address})).collect();
    let ready = |address: &IpAddr| json!({"addresses": [address], "conditions": {"ready": true}});
    let family = if addresses.iter().all(IpAddr::is_ipv4) { "IPv4" } else { "IPv6" };
    let legacy = json!({
        "metadata": {
            "name": NAME, "namespace": NAMESPACE, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{"addresses": ips, "ports": [{"name": "https", "protocol": "TCP", "port": port}]}],
    });
    let slice = json!({
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": family,
        "endpoints": addresses.iter().map(ready).collect::<Vec<Value>>(),
        "ports": [{"name": "https", "protocol": "TCP", "port": port}],
    });
    [(&endpoints::KIND, legacy), (&endpoint_slices::KIND, slice)]
}

/// Makes or changes one of them; what is as it should be is not written.
async fn write(registry: &Registry, kind: &'static Kind, wanted: Value) -> Result<(), Status> {
    let object = Object::from_value(wanted.clone()).expect("written just above");
    let options = UpdateOptions { subresource: None, dry_run: false };
    let change = |old: &Object| {
        let mut new = old.clone();
        new.rest.extend(object.rest.clone());
        Ok(new)
    };
    match registry.update(kind, NAMESPACE, NAME, options, change).await {
        Err(status) if status.is_not_found() => bootstrap::make(registry, kind, wanted).await,
        written => written.map(drop),
    }
}
