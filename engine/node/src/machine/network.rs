//! Addresses of pods, and who answers on them. Counterpart: the CNI's host-local plugin, and the pod network
//! as a prober sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use labkit_client::{Request, Response};

use super::Machine;
use crate::catalogue::HttpService;
use crate::metrics_server::{self, MetricsServer};
use crate::usage::ContainerUsage;

/// The addresses of one range; each is taken in turn, as host-local does.
#[derive(Debug, Clone)]
pub(super) struct AddressPool {
    network: u32,
    size: u32,
    last: u32,
    taken: BTreeSet<u32>,
}

/// What came of dialling a port of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connection {
    Open,
    Refused,
}

impl AddressPool {
    /// Of `10.244.1.0/24`; a range that does not parse is that one.
    pub fn new(cidr: &str) -> AddressPool {
        let parsed = cidr.split_once('/').and_then(|(address, bits)| {
            let bits: u32 = bits.parse().ok().filter(|bits| (8..=30).contains(bits))?;
            Some((u32::from(address.parse::<Ipv4Addr>().ok()?), 1 << (32 - bits)))
        });
        let (network, size) = parsed.unwrap_or((u32::from(Ipv4Addr::new(10, 244, 1, 0)), 256));
        AddressPool { network, size, last: 1, taken: BTreeSet::new() }
    }

    /// The next address that is free. The first two and the last are the network, its gateway, broadcast.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let usable = self.size - 3;
        let next = (0..usable).map(|step| 2 + (self.last - 1 + step) % usable);
        let free = next.into_iter().find(|offset| !self.taken.contains(offset))?;
        self.last = free;
        self.taken.insert(free);
        Some(Ipv4Addr::from(self.network + free))
    }

    pub fn give_back(&mut self, address: Ipv4Addr) {
        self.taken.remove(&u32::from(address).wrapping_sub(self.network));
    }
}

impl Machine {
    /// Dials a TCP port of a pod of this machine.
    pub(crate) fn dial(&self, address: Ipv4Addr, port: u16) -> Connection {
        if self.metrics_server_at(address, port).is_some()
            || self.find_service(address, port, |_, _| ()).is_some()
        {
            Connection::Open
        } else {
            Connection::Refused
        }
    }

    /// What a pod of this machine answers to `GET http://address:port/path`: code and body. `None`: nobody
    /// listens there.
    pub fn http_get(&self, address: Ipv4Addr, port: u16, path: &str) -> Option<(u16, String)> {
        let path = path.split('?').next().unwrap_or_default();
        if let Some(metrics_server) = self.metrics_server_at(address, port) {
            let (code, body) =
                metrics_server.health(path.trim_start_matches('/')).unwrap_or((403, "Forbidden\n"));
            return Some((code, body.to_owned()));
        }
        self.find_service(address, port, |service, since| {
            let Some(answer) = service.paths.get(path) else {
                return (404, "404 page not found\n".to_owned());
            };
            let later = answer.then.as_ref().filter(|then| since >= then.after.0);
            (later.map_or(answer.code, |then| then.code), answer.body.clone())
        })
    }

    /// Whether a pod of this machine has that address.
    pub fn has_pod_at(&self, address: Ipv4Addr) -> bool {
        self.locked().pods.values().any(|pod| pod.address() == Some(address))
    }

    /// What a pod of this machine answers to a request. `None`: nobody listens there.
    pub async fn http(&self, address: Ipv4Addr, port: u16, request: Request) -> Option<Response> {
        if let Some(metrics_server) = self.metrics_server_at(address, port) {
            return Some(metrics_server.answer(request).await);
        }
        let (code, body) = self.http_get(address, port, request.uri().path())?;
        let is_json = body.trim_start().starts_with(['{', '[']);
        let content_type = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        Some(metrics_server::response(code, content_type, body.into()))
    }

    fn metrics_server_at(&self, address: Ipv4Addr, port: u16) -> Option<Arc<MetricsServer>> {
        let state = self.locked();
        let pods = state.pods.values().filter(|pod| pod.address() == Some(address));
        let mut servers =
            pods.flat_map(|pod| pod.running()).filter_map(|(container, _)| container.metrics_server.as_ref());
        servers.find(|server| server.options.port == port).cloned()
    }

    /// When the machine was booted, the nanoseconds of CPU of what ended since, and what runs now.
    pub(crate) fn running_uses(&self, now: Timestamp) -> (Timestamp, i128, Vec<ContainerUsage>) {
        let state = self.locked();
        let mut running = Vec::new();
        for pod in state.pods.values() {
            running.extend(pod.running().map(|(container, started)| ContainerUsage {
                namespace: pod.id.key.namespace.clone(),
                pod: pod.id.key.name.clone(),
                container: container.name.clone(),
                usage: container.program.uses.usage(started, now),
            }));
        }
        (state.booted, state.consumed, running)
    }

    /// The ports that are open on each pod address of the machine.
    pub fn open_ports(&self) -> BTreeMap<Ipv4Addr, BTreeSet<u16>> {
        let now = self.world().clock().now();
        let mut open: BTreeMap<Ipv4Addr, BTreeSet<u16>> = BTreeMap::new();
        for pod in self.locked().pods.values() {
            let Some(address) = pod.address() else { continue };
            let services = pod.running().flat_map(|(container, since)| container.services_open(since, now));
            open.entry(address).or_default().extend(services.map(|service| service.port));
        }
        open
    }

    fn find_service<T>(
        &self,
        address: Ipv4Addr,
        port: u16,
        read: impl FnOnce(&HttpService, std::time::Duration) -> T,
    ) -> Option<T> {
        let now = self.world().clock().now();
        let state = self.locked();
        let pods = state.pods.values().filter(|pod| pod.address() == Some(address));
        let (service, since) = pods
            .flat_map(|pod| pod.running())
            .flat_map(|(container, since)| {
                container.services_open(since, now).map(move |service| (service, since))
            })
            .find(|(service, _)| service.port == port)?;
        let since = std::time::Duration::try_from(now.duration_since(since)).unwrap_or_default();
        Some(read(service, since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_in_turn_and_used_again_only_after_a_round() {
        let mut pool = AddressPool::new("10.244.3.0/29");
        let take = |pool: &mut AddressPool| pool.take().map(|address| address.octets()[3]);
        assert_eq!([take(&mut pool), take(&mut pool)], [Some(2), Some(3)]);
        pool.give_back(Ipv4Addr::new(10, 244, 3, 2));
        assert_eq!([take(&mut pool), take(&mut pool), take(&mut pool)], [Some(4), Some(5), Some(6)]);
        assert_eq!([take(&mut pool), take(&mut pool)], [Some(2), None]);
    }
}
