//! From wanted endpoints to slices to write, with as few writes as there can be.
//! Counterpart: `k8s.io/endpointslice/reconciler.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::endpoints::{Groups, ports_key};
use super::{MANAGED_BY, MANAGER, SERVICE_NAME};
use crate::objects::name;
use crate::owners::controller_reference;

/// Endpoints per slice, at most.
const ENDPOINTS_MAX: usize = 100;
const HEADLESS: &str = "service.kubernetes.io/headless";

/// Slices to write.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub delete: Vec<EndpointSlice>,
}

pub(super) fn changes(service: &Service, groups: Groups, existing: &[EndpointSlice]) -> Changes {
    let mut by_ports: BTreeMap<String, Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in existing {
        by_ports.entry(ports_key(slice.ports.as_deref().unwrap_or_default())).or_default().push(slice);
    }
    let mut changes = Changes::default();
    for (key, (ports, endpoints)) in groups {
        let present = by_ports.remove(&key).unwrap_or_default();
        fit(service, &ports, endpoints, &present, &mut changes);
    }
    let mut surplus: Vec<&EndpointSlice> = by_ports.into_values().flatten().collect();
    let nothing_else = changes.create.is_empty() && surplus.len() + changes.delete.len() == existing.len();
    if nothing_else {
        // A service without endpoints still has one slice, so that it is known to have none.
        let placeholder =
            surplus.iter().position(|slice| slice.endpoints.is_empty() && slice.ports.is_none());
        match placeholder {
            Some(index) => drop(surplus.remove(index)),
            None => changes.create.push(new_slice(service, None, Vec::new())),
        }
    }
    changes.delete.extend(surplus.into_iter().cloned());
    reuse(&mut changes);
    changes
}

/// Puts the endpoints of one set of ports into slices: each stays where it is; new ones go where something
/// changes anyway, then where there is room for all of them, then into new slices.
fn fit(
    service: &Service,
    ports: &[EndpointPort],
    wanted: Vec<Endpoint>,
    present: &[&EndpointSlice],
    changes: &mut Changes,
) {
    let mut left: BTreeMap<String, Endpoint> =
        wanted.into_iter().map(|endpoint| (identity(&endpoint), endpoint)).collect();
    let mut unchanged: Vec<EndpointSlice> = Vec::new();
    let mut changed: Vec<EndpointSlice> = Vec::new();
    for slice in present {
        let kept: Vec<Endpoint> =
            slice.endpoints.iter().filter_map(|endpoint| left.remove(&identity(endpoint))).collect();
        if kept.is_empty() {
            changes.delete.push((*slice).clone());
            continue;
        }
        let labels = Some(labels(service));
        let same = kept == slice.endpoints && slice.metadata.labels == labels;
        let metadata = ObjectMeta { labels, ..slice.metadata.clone() };
        let updated = EndpointSlice { endpoints: kept, metadata, ..(*slice).clone() };
        if same { unchanged.push(updated) } else { changed.push(updated) }
    }
    for slice in &mut changed {
        take(&mut left, slice);
    }
    if !left.is_empty() && left.len() < ENDPOINTS_MAX {
        let room = |slice: &EndpointSlice| slice.endpoints.len() + left.len() <= ENDPOINTS_MAX;
        let fullest = unchanged.iter().enumerate().filter(|(_, slice)| room(slice));
        if let Some(index) = fullest.max_by_key(|(_, slice)| slice.endpoints.len()).map(|(index, _)| index) {
            let mut slice = unchanged.remove(index);
            take(&mut left, &mut slice);
            changed.push(slice);
        }
    }
    while !left.is_empty() {
        let mut slice = new_slice(service, Some(ports.to_vec()), Vec::new());
        take(&mut left, &mut slice);
        changes.create.push(slice);
    }
    changes.update.append(&mut changed);
}

fn take(left: &mut BTreeMap<String, Endpoint>, slice: &mut EndpointSlice) {
    while slice.endpoints.len() < ENDPOINTS_MAX
        && let Some((_, endpoint)) = left.pop_first()
    {
        slice.endpoints.push(endpoint);
    }
}

/// A slice that goes and one that comes are one that changes.
fn reuse(changes: &mut Changes) {
    while !changes.create.is_empty()
        && let Some(gone) = changes.delete.pop()
    {
        let new = changes.create.remove(0);
        let metadata = ObjectMeta { labels: new.metadata.labels.clone(), ..gone.metadata };
        changes.update.push(EndpointSlice { metadata, ..new });
    }
}

fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.clone());
    uid.unwrap_or_else(|| endpoint.addresses.join(","))
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    let cluster_ip = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    if matches!(cluster_ip, None | Some("" | "None")) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME.to_owned(), name(service).to_owned());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

fn new_slice(service: &Service, ports: Option<Vec<EndpointPort>>, endpoints: Vec<Endpoint>) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", name(service))),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels(service)),
            owner_references: Some(vec![controller_reference(service)]),
            ..Default::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints,
        ports: ports.filter(|ports| !ports.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::super::endpoints::groups;
    use super::super::endpoints::tests::{pod, service};
    use super::*;

    fn planned(pods: &[Arc<Pod>], existing: &[EndpointSlice]) -> Changes {
        let service = service(json!({}));
        changes(&service, groups(&service, pods, |_| None), existing)
    }

    fn stored(mut slice: EndpointSlice, name: &str) -> EndpointSlice {
        slice.metadata.name = Some(name.to_owned());
        slice
    }

    #[test]
    fn a_service_without_pods_has_one_empty_slice() {
        let first = planned(&[], &[]);
        assert_eq!(first.create.len(), 1);
        let placeholder = stored(first.create[0].clone(), "web-1");
        assert_eq!(planned(&[], std::slice::from_ref(&placeholder)), Changes::default());
        let labels = placeholder.metadata.labels.clone().unwrap();
        assert_eq!(labels["kubernetes.io/service-name"], "web");
        assert_eq!(labels["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
        let filled = planned(&[pod("a", 80, true)], &[placeholder]);
        assert_eq!((filled.create.len(), filled.delete.len()), (0, 0));
        assert_eq!(
            filled.update[0].metadata.name.as_deref(),
            Some("web-1"),
            "the slice is filled, not replaced"
        );
    }

    #[test]
    fn only_what_changes_is_written() {
        let pods = [pod("a", 80, true), pod("bb", 80, true)];
        let slice = stored(planned(&pods, &[]).create.remove(0), "web-1");
        assert_eq!(planned(&pods, std::slice::from_ref(&slice)), Changes::default());
        let other = [pod("a", 80, false), pod("ccc", 80, true)];
        let changes = planned(&other, std::slice::from_ref(&slice));
        assert_eq!((changes.create.len(), changes.update.len(), changes.delete.len()), (0, 1, 0));
        let targets: Vec<_> = changes.update[0].endpoints.iter().map(identity).collect();
        assert_eq!(targets, ["a", "ccc"]);
        let gone = planned(&[], &[slice]);
        assert_eq!((gone.create.len(), gone.update.len(), gone.delete.len()), (0, 1, 0));
        assert!(gone.update[0].endpoints.is_empty());
    }

    #[test]
    fn a_slice_holds_a_hundred_endpoints() {
        let pods: Vec<_> = (0..150).map(|index| pod(&format!("p{index:03}"), 80, true)).collect();
        let sizes: Vec<usize> =
            planned(&pods, &[]).create.iter().map(|slice| slice.endpoints.len()).collect();
        assert_eq!(sizes, [100, 50]);
    }
}
