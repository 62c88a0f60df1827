//! What the graph is fed with: metadata of every kind that can be deleted, from the shared informers where
//! there is one and from informers of its own elsewhere.

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use labkit_api::{Object, ObjectKey, OwnerReference, Resource};
use labkit_client::{Change, Decode, Informer, Kind, ListParams};
use labkit_sim::RecordId;
use tokio::sync::mpsc::UnboundedReceiver;

use super::graph::Item;
use crate::context::Context;

/// An object is there (`Ok`) or gone (its uid).
pub(super) type News = (Result<Item, String>, Option<RecordId>);

/// The news of one kind.
pub(super) trait Feed: Send {
    fn synced(&self) -> BoxFuture<'static, ()>;
    /// What is already waiting.
    fn waiting(&mut self) -> Option<News>;
    fn next(&mut self) -> BoxFuture<'_, Option<News>>;
}

struct Changes<K> {
    informer: Informer<K>,
    receiver: UnboundedReceiver<Change<K>>,
    item: Box<dyn Fn(&K) -> Item + Send + Sync>,
}

impl<K> Changes<K> {
    fn news(&self, change: Change<K>) -> Option<News> {
        let (there, gone) = (change.new, change.old);
        let news = match (there, gone) {
            (Some(there), _) => Ok((self.item)(&there)),
            (None, Some(gone)) => Err((self.item)(&gone).uid),
            (None, None) => return None,
        };
        Some((news, change.cause))
    }
}

impl<K: Decode> Feed for Changes<K> {
    fn synced(&self) -> BoxFuture<'static, ()> {
        let informer = self.informer.clone();
        async move { informer.synced().await }.boxed()
    }

    fn waiting(&mut self) -> Option<News> {
        let change = self.receiver.try_recv().ok()?;
        self.news(change)
    }

    fn next(&mut self) -> BoxFuture<'_, Option<News>> {
        async {
            let change = self.receiver.recv().await?;
            self.news(change)
        }
        .boxed()
    }
}

/// The feed of one kind.
pub(super) fn feed(context: &Context, resource: &Resource) -> Box<dyn Feed> {
    let informers = &context.informers;
    match (&*resource.gvk.group, &*resource.gvk.kind) {
        ("apps", "Deployment") => typed(informers.deployments()),
        ("apps", "ReplicaSet") => typed(informers.replica_sets()),
        ("", "Pod") => typed(informers.pods()),
        ("", "Node") => typed(informers.nodes()),
        ("", "Namespace") => typed(informers.namespaces()),
        ("", "Service") => typed(informers.services()),
        ("", "ServiceAccount") => typed(informers.service_accounts()),
        ("coordination.k8s.io", "Lease") => typed(informers.leases()),
        ("discovery.k8s.io", "EndpointSlice") => typed(informers.endpoint_slices()),
        _ => dynamic(context, resource),
    }
}

fn typed<K: Kind>(informer: &Informer<K>) -> Box<dyn Feed> {
    let item = |object: &K| {
        let metadata = object.metadata();
        Item {
            api_version: K::API_VERSION.to_owned(),
            kind: K::KIND.to_owned(),
            key: crate::objects::key(object),
            uid: metadata.uid.clone().unwrap_or_default(),
            owners: metadata.owner_references.iter().flatten().map(owner).collect(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            is_being_deleted: metadata.deletion_timestamp.is_some(),
        }
    };
    Box::new(Changes { receiver: informer.subscribe(), informer: informer.clone(), item: Box::new(item) })
}

fn dynamic(context: &Context, resource: &Resource) -> Box<dyn Feed> {
    informed(context.informers.dynamic(resource), resource)
}

/// The feed of a kind that may go again: its informer goes with it.
pub(super) fn custom(context: &Context, resource: &Resource) -> Box<dyn Feed> {
    informed(Informer::start_dynamic(&context.client, resource.clone(), ListParams::default()), resource)
}

fn informed(informer: Informer<Object>, resource: &Resource) -> Box<dyn Feed> {
    let (api_version, kind) = (resource.gvk.api_version(), resource.gvk.kind.clone());
    let item = move |object: &Object| of_object(object, &api_version, &kind);
    Box::new(Changes { receiver: informer.subscribe(), informer, item: Box::new(item) })
}

pub(super) fn of_object(object: &Object, api_version: &str, kind: &str) -> Item {
    Item {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        key: ObjectKey::new(&object.metadata.namespace, &object.metadata.name),
        uid: object.metadata.uid.clone(),
        owners: object.metadata.owner_references.clone(),
        finalizers: object.metadata.finalizers.clone(),
        is_being_deleted: object.metadata.is_being_deleted(),
    }
}

fn owner(owner: &meta::OwnerReference) -> OwnerReference {
    OwnerReference {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: owner.controller,
        block_owner_deletion: owner.block_owner_deletion,
    }
}
