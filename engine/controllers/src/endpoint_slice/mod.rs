//! endpointslice-controller: which pods stand behind a service. Counterpart: `pkg/controller/endpointslice`.
//!
//! - `endpoints`: from pods to endpoints with their ports and conditions.
//! - `reconcile`: from endpoints to slices to write.

mod endpoints;
mod reconcile;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use labkit_api::{LabelSelector, ObjectKey};
use labkit_client::{Change, DeleteOptions, Store, WorkQueue};

use crate::context::Context;
use crate::objects::{is_being_deleted, key, name};
use crate::owners;
use crate::pods::{is_ready, is_terminated, node_name};
use crate::work::{Failed, each, is_namespace_terminating, work};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";

pub(crate) async fn run(context: Context) {
    let informers = context.informers.clone();
    let (services, pods) = (informers.services(), informers.pods());
    let (slices, nodes) = (informers.endpoint_slices(), informers.nodes());
    let controller = EndpointSlices {
        services: services.store(),
        pods: pods.store(),
        slices: slices.store(),
        nodes: nodes.store(),
        written: Mutex::default(),
        queue: WorkQueue::default(),
        context,
    };
    let service_changes = each(services.subscribe(), |change| controller.queue.add(change.key, change.cause));
    let pod_changes = each(pods.subscribe(), |change| controller.pod_changed(&change));
    let slice_changes = each(slices.subscribe(), |change| controller.slice_changed(&change));
    let reconciles = async {
        services.synced().await;
        pods.synced().await;
        slices.synced().await;
        nodes.synced().await;
        let workers = controller.context.config.concurrent_service_endpoint_syncs;
        work(&controller.queue, workers, |key| controller.reconcile(key)).await
    };
    futures::join!(service_changes, pod_changes, slice_changes, reconciles);
}

struct EndpointSlices {
    context: Context,
    services: Store<Service>,
    pods: Store<Pod>,
    slices: Store<EndpointSlice>,
    nodes: Store<Node>,
    /// Slices whose last write the cache may not show yet: the resourceVersion written, or `None` for a
    /// deletion.
    written: Mutex<BTreeMap<ObjectKey, Option<u64>>>,
    queue: WorkQueue<ObjectKey>,
}

impl EndpointSlices {
    fn pod_changed(&self, change: &Change<Pod>) {
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        if old.map(shown) == new.map(shown) && old.map(labels) == new.map(labels) {
            return;
        }
        for service in self.services.list_in(&change.key.namespace) {
            let Some(selector) = selector(&service) else { continue };
            let selects = |pod: &Pod| owners::matches(&selector, &pod.metadata);
            if old.is_some_and(selects) || new.is_some_and(selects) {
                self.queue.add(key(&*service), change.cause);
            }
        }
    }

    fn slice_changed(&self, change: &Change<EndpointSlice>) {
        if change.new.is_none() {
            self.written().remove(&change.key);
        }
        let Some(slice) = change.new.as_ref().or(change.old.as_ref()) else { return };
        if is_managed(slice)
            && let Some(service) = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME))
        {
            self.queue.add(ObjectKey::new(&change.key.namespace, service), change.cause);
        }
    }

    async fn reconcile(&self, service: ObjectKey) -> Result<(), Failed> {
        let Some(service) = self.services.get(&service) else { return Ok(()) };
        let Some(selector) = selector(&service) else { return Ok(()) };
        let namespace = &key(&*service).namespace;
        let slices = self.slices_of(namespace, name(&*service))?;
        let mut pods = self.pods.list_in(namespace);
        pods.retain(|pod| owners::matches(&selector, &pod.metadata));
        let groups = endpoints::groups(&service, &pods, |node| self.zone_of(node));
        self.write(reconcile::changes(&service, groups, &slices)).await
    }

    /// The service's slices, or a failure while the cache does not show what was written last.
    fn slices_of(&self, namespace: &str, service: &str) -> Result<Vec<EndpointSlice>, Failed> {
        let mut written = self.written();
        let stale = written.iter().find(|(slice, version)| {
            let shown = self.slices.get(slice).map(|slice| version_of(&slice));
            let is_stale = if version.is_some() { shown < **version } else { shown.is_some() };
            slice.namespace == namespace && is_stale
        });
        if let Some((slice, _)) = stale {
            return Err(Failed::Because(format!("EndpointSlice informer cache is out of date at {slice}")));
        }
        written.retain(|slice, _| slice.namespace != namespace);
        let own = |slice: &Arc<EndpointSlice>| {
            let named = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
            is_managed(slice) && named.map(String::as_str) == Some(service) && !is_being_deleted(&**slice)
        };
        let slices = self.slices.list_in(namespace);
        Ok(slices.iter().filter(|slice| own(slice)).map(|slice| EndpointSlice::clone(slice)).collect())
    }

    async fn write(&self, changes: reconcile::Changes) -> Result<(), Failed> {
        let api = self.context.client.api::<EndpointSlice>();
        for slice in changes.create {
            match api.create(&slice).await {
                Ok(created) => self.wrote(&created),
                Err(error) if is_namespace_terminating(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        for slice in changes.update {
            let updated = api.replace(&slice).await?;
            self.wrote(&updated);
        }
        for slice in changes.delete {
            let key = key(&slice);
            match api.delete(&key.namespace, &key.name, &DeleteOptions::default()).await {
                Ok(()) if self.slices.get(&key).is_some() => drop(self.written().insert(key, None)),
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn wrote(&self, slice: &EndpointSlice) {
        self.written().insert(key(slice), Some(version_of(slice)));
    }

    fn zone_of(&self, node: &str) -> Option<String> {
        let node = self.nodes.get(&ObjectKey::new("", node))?;
        node.metadata.labels.as_ref()?.get("topology.kubernetes.io/zone").cloned()
    }

    fn written(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectKey, Option<u64>>> {
        self.written.lock().expect("no panic happens under this lock")
    }
}

fn version_of(slice: &EndpointSlice) -> u64 {
    slice.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn is_managed(slice: &EndpointSlice) -> bool {
    let manager = slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
    manager.is_some_and(|manager| manager == MANAGER)
}

/// Which pods stand behind the service; `None` where somebody else keeps its endpoints.
fn selector(service: &Service) -> Option<LabelSelector> {
    let spec = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName"))?;
    spec.selector.as_ref().filter(|selector| !selector.is_empty()).map(LabelSelector::from_labels)
}

fn labels(pod: &Pod) -> Option<&BTreeMap<String, String>> {
    pod.metadata.labels.as_ref()
}

/// What an endpoint shows of a pod.
fn shown(pod: &Pod) -> (bool, bool, bool, &str, Option<&str>) {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
    (is_ready(pod), is_terminated(pod), is_being_deleted(pod), node_name(pod), ip)
}
