//! Addresses and node ports of services. What is given out is read from the services themselves, so that nothing
//! leaks and a deletion frees at once. Counterpart: `pkg/registry/core/service/{ipallocator,portallocator}`.
//!
//! One server gives out one address at a time. Servers that share a store take turns by one key: whoever gives
//! something out writes the key in the same transaction as the service, and only if nobody wrote it since; who
//! comes too late waits until its cache knows of the other's service, and draws anew. Upstream's key of that name
//! holds a bitmap besides, which may disagree with the services; here there is nothing to repair.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use labkit_api::{Object, Status};
use rand::RngCore;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::field::{self, Shown};
use crate::kinds::{Kind, services};
use crate::pod_spec::list;
use crate::registry::Registry;
use crate::registry::create::refuse;
use crate::storage::Guard;

/// `--service-node-port-range`.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;

/// The first node ports are left to those who choose one themselves.
const NODE_PORTS_RESERVED: i64 = 86;

/// The range of cluster IPs.
#[derive(Debug)]
pub(crate) struct Addresses {
    range: String,
    base: u32,
    /// How many addresses there are, without the first and the last; at most 65536.
    size: u32,
    /// When something was given out last, as far as this server knows.
    turn: Mutex<i64>,
}

/// The key by which servers take turns.
const TURN_KEY: &str = "/registry/ranges/serviceips";

impl Addresses {
    /// Parses `10.96.0.0/12`.
    pub fn parse(range: &str) -> Option<Addresses> {
        let (base, bits) = range.split_once('/')?;
        let (base, bits) = (u32::from(base.parse::<Ipv4Addr>().ok()?), bits.parse::<u32>().ok()?);
        if !(1..=30).contains(&bits) {
            return None;
        }
        let all = 1_u64 << (32 - bits);
        let base = base & !(u32::try_from(all - 1).ok()?);
        let size = u32::try_from((all - 2).min(65_536)).ok()?;
        Some(Addresses { range: range.to_owned(), base, size, turn: Mutex::new(0) })
    }

    /// The first address: that of `default/kubernetes`.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 1)
    }

    /// Waits for the turn to allocate; other kinds have nothing to wait for.
    pub async fn turn(&self, kind: &Kind) -> Option<MutexGuard<'_, i64>> {
        if is_service(kind) { Some(self.turn.lock().await) } else { None }
    }

    fn contains(&self, ip: Ipv4Addr) -> bool {
        let offset = u32::from(ip).wrapping_sub(self.base);
        (1..=self.size).contains(&offset)
    }

    /// An address that is not taken, from the upper part of the range first.
    fn draw(&self, taken: &BTreeSet<Ipv4Addr>, mut random: impl FnMut() -> u32) -> Option<Ipv4Addr> {
        let reserved = (self.size / 16).clamp(16, 256).min(self.size);
        let upper = self.size - reserved;
        let ip = |offset: u32| Ipv4Addr::from(self.base + 1 + offset);
        let start = if upper == 0 { 0 } else { random() % upper };
        let above = (0..upper).map(|step| reserved + (start + step) % upper);
        above.chain(0..reserved).map(ip).find(|ip| !taken.contains(ip))
    }
}

fn is_service(kind: &Kind) -> bool {
    std::ptr::eq(kind, &services::KIND)
}

/// What the other services have.
#[derive(Debug, Default)]
struct Taken {
    ips: BTreeSet<Ipv4Addr>,
    /// With their protocol: UDP and TCP may share a number.
    ports: BTreeSet<(i64, String)>,
}

impl Registry {
    /// Waits until the cache knows of everything that was given out up to this turn.
    pub async fn know_what_is_taken(&self, turn: &Option<MutexGuard<'_, i64>>) -> Result<(), Status> {
        match turn {
            Some(last) => self.cache(&services::KIND).reached(**last).await,
            None => Ok(()),
        }
    }

    /// What a write must be guarded by, because it gives something out that the old object did not have.
    pub fn guard(
        &self,
        turn: &Option<MutexGuard<'_, i64>>,
        object: &Object,
        old: Option<&Object>,
    ) -> Option<Guard> {
        let last = turn.as_deref()?;
        let (ips, ports) = given(object);
        let (old_ips, old_ports) = old.map(given).unwrap_or_default();
        if ips.is_subset(&old_ips) && ports.is_subset(&old_ports) {
            return None;
        }
        let value = json!({
            "kind": "RangeAllocation", "apiVersion": "v1", "metadata": {}, "range": self.addresses.range, "data": "",
        });
        Some(Guard { key: TURN_KEY.into(), revision: *last, value: value.to_string().into() })
    }

    /// Gives a service the addresses that it asks for or lacks; `old` is its present state, if it exists.
    pub fn allocate(&self, kind: &Kind, object: &mut Object, old: Option<&Object>) -> Result<(), Status> {
        if !is_service(kind) {
            return Ok(());
        }
        let taken = self.taken(object);
        let mut errors = Vec::new();
        let service_type = object.str_at(&["spec", "type"]).unwrap_or_default().to_owned();
        let wants_ip = matches!(service_type.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer");
        if wants_ip {
            errors.extend(self.allocate_ip(object, old, &taken));
        } else {
            object.remove_at(&["spec", "clusterIP"]);
            object.remove_at(&["spec", "clusterIPs"]);
        }
        let wants_ports = matches!(service_type.as_str(), "NodePort" | "LoadBalancer");
        errors.extend(self.allocate_ports(object, old, wants_ports, taken));
        refuse(kind, &object.metadata.name, errors)
    }

    fn taken(&self, but: &Object) -> Taken {
        let mut taken = Taken::default();
        for entry in self.cache(&services::KIND).snapshot("").0 {
            let other = entry.object();
            if other.key() != but.key() {
                let (ips, ports) = given(&other);
                taken.ips.extend(ips);
                taken.ports.extend(ports);
            }
        }
        taken
    }

    fn allocate_ip(
        &self,
        object: &mut Object,
        old: Option<&Object>,
        taken: &Taken,
    ) -> Option<labkit_api::StatusCause> {
        let asked = object.str_at(&["spec", "clusterIP"]).unwrap_or_default().to_owned();
        let has = old.and_then(|old| old.str_at(&["spec", "clusterIP"])).unwrap_or_default();
        if asked == "None" || !asked.is_empty() && asked == has {
            return None;
        }
        let refusal = |why: String| {
            let shown = Shown::literal(format!("[]string{{{}}}", field::quoted(&asked)));
            Some(field::invalid("spec.clusterIPs", shown, &format!("failed to allocate IP {asked}: {why}")))
        };
        let ip = if asked.is_empty() {
            let drawn = self.component.random(|rng| self.addresses.draw(&taken.ips, || rng.next_u32()));
            match drawn {
                Some(ip) => ip,
                None => return refusal("range is full".to_owned()),
            }
        } else {
            // What is no address is refused by validation.
            let Ok(ip) = asked.parse::<Ipv4Addr>() else { return None };
            if !self.addresses.contains(ip) {
                let range = &self.addresses.range;
                return refusal(format!(
                    "the provided IP ({asked}) is not in the valid range. The range of valid IPs is {range}"
                ));
            }
            if taken.ips.contains(&ip) {
                return refusal("provided IP is already allocated".to_owned());
            }
            ip
        };
        object.set_at(&["spec", "clusterIP"], json!(ip.to_string()));
        object.set_at(&["spec", "clusterIPs"], json!([ip.to_string()]));
        None
    }

    fn allocate_ports(
        &self,
        object: &mut Object,
        old: Option<&Object>,
        wants: bool,
        mut taken: Taken,
    ) -> Vec<labkit_api::StatusCause> {
        let own = old
            .and_then(|old| old.rest.get("spec"))
            .map(|spec| list(spec, "ports").to_vec())
            .unwrap_or_default();
        let own: BTreeSet<i64> = own.iter().filter_map(node_port).collect();
        let mut errors = Vec::new();
        let ports =
            object.rest.get_mut("spec").and_then(|spec| spec.get_mut("ports")).and_then(Value::as_array_mut);
        for (index, port) in ports.into_iter().flatten().enumerate() {
            let Some(fields) = port.as_object_mut() else { continue };
            if !wants {
                fields.shift_remove("nodePort");
                continue;
            }
            let path = format!("spec.ports[{index}].nodePort");
            let chosen = node_port(port);
            let number = match chosen {
                Some(number) if !NODE_PORTS.contains(&number) => {
                    let detail = format!(
                        "provided port is not in the valid range. The range of valid ports is {}-{}",
                        NODE_PORTS.start(),
                        NODE_PORTS.end()
                    );
                    errors.push(field::invalid(path, number, &detail));
                    continue;
                }
                Some(number) if taken.ports.contains(&(number, protocol(port))) && !own.contains(&number) => {
                    errors.push(field::invalid(path, number, "provided port is already allocated"));
                    continue;
                }
                Some(number) => number,
                None => self.draw_port(&taken),
            };
            port["nodePort"] = json!(number);
            taken.ports.insert((number, protocol(port)));
        }
        errors
    }

    fn draw_port(&self, taken: &Taken) -> i64 {
        let size = NODE_PORTS.end() - NODE_PORTS.start() + 1;
        let upper = size - NODE_PORTS_RESERVED;
        let start = i64::from(self.component.random(|rng| rng.next_u32())) % upper;
        let above = (0..upper).map(|step| NODE_PORTS_RESERVED + (start + step) % upper);
        let numbers = above.chain(0..NODE_PORTS_RESERVED).map(|offset| NODE_PORTS.start() + offset);
        let is_free = |number: &i64| !taken.ports.iter().any(|(taken, _)| taken == number);
        numbers.into_iter().find(is_free).unwrap_or(*NODE_PORTS.start())
    }
}

/// The addresses and node ports of a service.
fn given(service: &Object) -> (BTreeSet<Ipv4Addr>, BTreeSet<(i64, String)>) {
    let ip = service.str_at(&["spec", "clusterIP"]).and_then(|ip| ip.parse::<Ipv4Addr>().ok());
    let ports = list(service.rest.get("spec").unwrap_or(&Value::Null), "ports").iter();
    (ip.into_iter().collect(), ports.filter_map(|port| Some((node_port(port)?, protocol(port)))).collect())
}

fn node_port(port: &Value) -> Option<i64> {
    port.get("nodePort").and_then(Value::as_i64).filter(|number| *number != 0)
}

fn protocol(port: &Value) -> String {
    port.get("protocol").and_then(Value::as_str).unwrap_or("TCP").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_knows_its_addresses() {
        let addresses = Addresses::parse("10.96.0.0/12").unwrap();
        assert_eq!(addresses.first(), Ipv4Addr::new(10, 96, 0, 1));
        assert!(addresses.contains(Ipv4Addr::new(10, 96, 0, 10)));
        assert!(!addresses.contains(Ipv4Addr::new(10, 95, 255, 255)));
        assert!(Addresses::parse("10.96.0.0").is_none());
        assert!(Addresses::parse("10.96.0.0/33").is_none());
    }

    #[test]
    fn a_draw_avoids_what_is_taken_until_nothing_is_left() {
        let addresses = Addresses::parse("10.0.0.0/29").unwrap();
        let mut taken = BTreeSet::new();
        for _ in 0..6 {
            taken.insert(addresses.draw(&taken, || 3).unwrap());
        }
        assert_eq!(taken.len(), 6);
        assert_eq!(addresses.draw(&taken, || 3), None);
    }
}
