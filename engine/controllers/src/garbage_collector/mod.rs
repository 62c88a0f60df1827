//! garbage-collector-controller: deletes what has lost all its owners, and carries out foreground and
//! orphan deletion. Counterpart: `pkg/controller/garbagecollector`.
//!
//! - `graph`: owners and dependents by uid, and what a change of one asks for.
//! - `feed`: the watches that tell it.
//! - `custom`: the kinds that come and go with their definitions.

mod custom;
mod feed;
mod graph;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use futures::future::join_all;
use k8s_openapi::api::core::v1::ObjectReference;
use labkit_api::{GroupVersionKind, Object, OwnerReference, Resource, Scope};
use labkit_client::{DeleteOptions, EventType, PatchKind, WorkQueue};
use labkit_sim::RecordId;
use serde_json::{Value, json};

use self::feed::{Feed, News};
use self::graph::{FOREGROUND, Graph, Item, Node, ORPHAN, Task};
use crate::context::Context;
use crate::discovery;
use crate::work::{Failed, work};

/// The kinds whose objects own or are owned in the clusters that are made here: group, kind, plural. Upstream follows
/// every kind that discovery names; here a kind that nobody uses costs no watch. Custom kinds come to them.
const FOLLOWED: [(&str, &str, &str); 11] = [
    ("", "ConfigMap", "configmaps"),
    ("", "Namespace", "namespaces"),
    ("", "Node", "nodes"),
    ("", "Pod", "pods"),
    ("", "Secret", "secrets"),
    ("", "Service", "services"),
    ("", "ServiceAccount", "serviceaccounts"),
    ("apps", "Deployment", "deployments"),
    ("apps", "ReplicaSet", "replicasets"),
    ("coordination.k8s.io", "Lease", "leases"),
    ("discovery.k8s.io", "EndpointSlice", "endpointslices"),
];

fn followed() -> Vec<Resource> {
    let resource = |(group, kind, plural): &(&str, &str, &str)| {
        let scope = if matches!(*kind, "Namespace" | "Node") { Scope::Cluster } else { Scope::Namespaced };
        Resource { gvk: GroupVersionKind::new(group, "v1", kind), plural: (*plural).to_owned(), scope }
    };
    let mut all: Vec<Resource> = FOLLOWED.iter().map(resource).collect();
    all.sort_by(|left, right| (&left.gvk.group, &left.plural).cmp(&(&right.gvk.group, &right.plural)));
    all
}

pub(crate) async fn run(context: Context) {
    let kinds = followed();
    let mut feeds: Vec<Box<dyn Feed>> = kinds.iter().map(|kind| feed::feed(&context, kind)).collect();
    join_all(feeds.iter().map(|feed| feed.synced())).await;
    let resources = kinds.into_iter().map(|resource| (resource.gvk.clone(), resource)).collect();
    let (graph, queue) = (Mutex::default(), WorkQueue::default());
    let collector =
        Collector { graph, resources: Mutex::new(resources), customs: Mutex::default(), queue, context };
    // The whole graph stands before the first decision.
    for feed in &mut feeds {
        while let Some(news) = feed.waiting() {
            collector.apply(news);
        }
    }
    let follow = feeds.iter_mut().map(|feed| async {
        while let Some(news) = feed.next().await {
            collector.apply(news);
        }
    });
    let workers = collector.context.config.concurrent_gc_syncs;
    futures::join!(
        join_all(follow),
        custom::follow(&collector),
        work(&collector.queue, workers, |task| collector.execute(task))
    );
}

struct Collector {
    context: Context,
    graph: Mutex<Graph>,
    resources: Mutex<BTreeMap<GroupVersionKind, Resource>>,
    /// Those of `resources` that do not understand strategic merge patches.
    customs: Mutex<BTreeSet<GroupVersionKind>>,
    queue: WorkQueue<Task>,
}

/// An object's owners, by what is to become of them.
#[derive(Debug, Default)]
struct Owners {
    /// There, and staying or going in the background.
    solid: usize,
    dangling: Vec<String>,
    /// Going, and waiting for their dependents to go first.
    waiting: Vec<String>,
}

impl Collector {
    fn apply(&self, (news, cause): News) {
        let tasks = match news {
            Ok(item) => self.graph().upsert(item),
            Err(uid) => self.graph().remove(&uid),
        };
        self.enqueue(tasks, cause);
    }

    fn enqueue(&self, tasks: Vec<Task>, cause: Option<RecordId>) {
        for task in tasks {
            self.queue.add(task, cause);
        }
    }

    async fn execute(&self, task: Task) -> Result<(), Failed> {
        match task {
            Task::Delete(uid) => self.attempt_to_delete(&uid).await,
            Task::Orphan(uid) => self.orphan(&uid).await,
            Task::Report { dependent, owner } => {
                self.report(&dependent, &owner);
                Ok(())
            }
        }
    }

    async fn attempt_to_delete(&self, uid: &str) -> Result<(), Failed> {
        let Some(node) = self.node(uid) else { return Ok(()) };
        if node.item.is_being_deleted && !node.is_deleting_dependents {
            return Ok(());
        }
        let Some(live) = self.live(&node.item).await? else {
            let tasks = self.graph().remove(uid);
            self.enqueue(tasks, labkit_sim::current_cause());
            return Ok(());
        };
        if node.is_deleting_dependents {
            return self.wait_for_dependents(&node.item).await;
        }
        if node.is_virtual || live.metadata.owner_references.is_empty() {
            return Ok(());
        }
        let owners = self.classify(&node.item, &live.metadata.owner_references).await?;
        if owners.solid > 0 {
            let gone: Vec<String> = owners.dangling.into_iter().chain(owners.waiting).collect();
            return if gone.is_empty() { Ok(()) } else { self.release(&node.item, &gone).await };
        }
        if !owners.waiting.is_empty() && !node.dependents.is_empty() {
            self.break_circle(&node.item).await?;
            return self.delete(&node.item, &live, "Foreground").await;
        }
        let policy = match &node.item {
            item if item.has_finalizer(ORPHAN) => "Orphan",
            item if item.has_finalizer(FOREGROUND) => "Foreground",
            _ => "Background",
        };
        self.delete(&node.item, &live, policy).await
    }

    /// The object as the API server has it; `None` if it is gone, or another has its name.
    async fn live(&self, item: &Item) -> Result<Option<Object>, Failed> {
        let resource = self.resource(&item.api_version, &item.kind).await?;
        let namespace = if resource.scope == Scope::Cluster { "" } else { &item.key.namespace };
        match self.context.client.get(&resource, namespace, &item.key.name).await {
            Ok(object) if object.metadata.uid == item.uid => Ok(Some(object)),
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn classify(&self, item: &Item, references: &[OwnerReference]) -> Result<Owners, Failed> {
        let mut owners = Owners::default();
        for reference in references {
            if self.graph().is_absent(&reference.uid) {
                owners.dangling.push(reference.uid.clone());
                continue;
            }
            let named = Item {
                api_version: reference.api_version.clone(),
                kind: reference.kind.clone(),
                key: labkit_api::ObjectKey::new(&item.key.namespace, &reference.name),
                uid: reference.uid.clone(),
                ..Default::default()
            };
            match self.live(&named).await? {
                None => {
                    self.graph().remember_absent(&reference.uid);
                    owners.dangling.push(reference.uid.clone());
                }
                Some(owner) if owner.metadata.is_being_deleted() && has(&owner, FOREGROUND) => {
                    owners.waiting.push(reference.uid.clone());
                }
                Some(_) => owners.solid += 1,
            }
        }
        Ok(owners)
    }

    /// Foreground deletion: the owner goes when nothing that blocks it is left.
    async fn wait_for_dependents(&self, item: &Item) -> Result<(), Failed> {
        let blocking: Vec<(String, bool)> = {
            let graph = self.graph();
            let blocking = graph.blocking_dependents(&item.uid).into_iter();
            blocking.map(|dependent| (dependent.item.uid.clone(), dependent.is_deleting_dependents)).collect()
        };
        if !blocking.is_empty() {
            let others = blocking.into_iter().filter(|(_, deleting)| !deleting);
            self.enqueue(others.map(|(uid, _)| Task::Delete(uid)).collect(), labkit_sim::current_cause());
            return Ok(());
        }
        self.remove_finalizer(item, FOREGROUND).await
    }

    /// Two objects that own each other and are both deleted in the foreground would wait for ever.
    async fn break_circle(&self, item: &Item) -> Result<(), Failed> {
        let circle = self.graph().dependents(&item.uid).any(|dependent| dependent.is_deleting_dependents);
        if !circle {
            return Ok(());
        }
        if self.is_custom(item) {
            let unblock = |owners: &mut Vec<OwnerReference>| {
                owners.iter_mut().for_each(|owner| owner.block_owner_deletion = Some(false));
            };
            return self.set_owners(item, unblock).await;
        }
        let unblocked: Vec<Value> =
            item.owners.iter().map(|owner| json!({"uid": owner.uid, "blockOwnerDeletion": false})).collect();
        let patch = json!({"metadata": {"uid": item.uid, "ownerReferences": unblocked}});
        self.patch(item, PatchKind::Strategic, patch).await
    }

    async fn release(&self, item: &Item, owners: &[String]) -> Result<(), Failed> {
        if self.is_custom(item) {
            return self.set_owners(item, |all| all.retain(|owner| !owners.contains(&owner.uid))).await;
        }
        let gone: Vec<Value> = owners.iter().map(|uid| json!({"$patch": "delete", "uid": uid})).collect();
        let patch = json!({"metadata": {"uid": item.uid, "ownerReferences": gone}});
        self.patch(item, PatchKind::Strategic, patch).await
    }

    async fn delete(&self, item: &Item, live: &Object, policy: &str) -> Result<(), Failed> {
        let resource = self.resource(&item.api_version, &item.kind).await?;
        let options = DeleteOptions {
            propagation_policy: Some(policy.to_owned()),
            uid: Some(item.uid.clone()),
            resource_version: Some(live.metadata.resource_version.clone()),
            ..Default::default()
        };
        match self.context.client.delete(&resource, &item.key.namespace, &item.key.name, &options).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn orphan(&self, uid: &str) -> Result<(), Failed> {
        let Some(node) = self.node(uid) else { return Ok(()) };
        let dependents: Vec<Item> =
            self.graph().dependents(uid).map(|dependent| dependent.item.clone()).collect();
        let gone = [uid.to_owned()];
        let released = join_all(dependents.iter().map(|dependent| self.release(dependent, &gone))).await;
        released.into_iter().collect::<Result<(), Failed>>()?;
        self.remove_finalizer(&node.item, ORPHAN).await
    }

    async fn remove_finalizer(&self, item: &Item, finalizer: &str) -> Result<(), Failed> {
        let Some(live) = self.live(item).await? else { return Ok(()) };
        if !has(&live, finalizer) {
            return Ok(());
        }
        let left: Vec<&String> = live.metadata.finalizers.iter().filter(|own| *own != finalizer).collect();
        let metadata = json!({"resourceVersion": live.metadata.resource_version, "finalizers": left});
        let patch = json!({"metadata": metadata});
        self.patch(item, PatchKind::Merge, patch).await
    }

    async fn patch(&self, item: &Item, kind: PatchKind, patch: Value) -> Result<(), Failed> {
        let resource = self.resource(&item.api_version, &item.kind).await?;
        let (namespace, name) = (&item.key.namespace, &item.key.name);
        match self.context.client.patch(&resource, namespace, name, None, kind, patch).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Changes the owners of a custom object, whose kind only takes the whole list.
    async fn set_owners(
        &self,
        item: &Item,
        change: impl FnOnce(&mut Vec<OwnerReference>),
    ) -> Result<(), Failed> {
        let Some(live) = self.live(item).await? else { return Ok(()) };
        let mut owners = live.metadata.owner_references;
        change(&mut owners);
        let metadata = json!({"resourceVersion": live.metadata.resource_version, "ownerReferences": owners});
        self.patch(item, PatchKind::Merge, json!({"metadata": metadata})).await
    }

    fn is_custom(&self, item: &Item) -> bool {
        let gvk = GroupVersionKind::parse(&item.api_version, &item.kind);
        self.customs().contains(&gvk)
    }

    fn customs(&self) -> std::sync::MutexGuard<'_, BTreeSet<GroupVersionKind>> {
        self.customs.lock().expect("no panic happens under this lock")
    }

    fn report(&self, dependent: &str, owner: &str) {
        let Some(dependent) = self.node(dependent).map(|node| node.item) else { return };
        let Some(owner) = dependent.owners.iter().find(|reference| reference.uid == owner) else { return };
        let namespace = &dependent.key.namespace;
        let OwnerReference { api_version, kind, name, uid, .. } = owner;
        let message = format!(
            "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] \
             does not exist in namespace \"{namespace}\""
        );
        let about = ObjectReference {
            api_version: Some(dependent.api_version.clone()),
            kind: Some(dependent.kind.clone()),
            namespace: Some(namespace.clone()),
            name: Some(dependent.key.name.clone()),
            uid: Some(dependent.uid.clone()),
            ..Default::default()
        };
        self.context.event(about, EventType::Warning, "OwnerRefInvalidNamespace", message);
    }

    /// Kinds that are not followed are looked up when an owner names one.
    async fn resource(&self, api_version: &str, kind: &str) -> Result<Resource, Failed> {
        let gvk = GroupVersionKind::parse(api_version, kind);
        let known = || self.resources().get(&gvk).cloned();
        if let Some(resource) = known() {
            return Ok(resource);
        }
        for served in discovery::served(&self.context.client).await?.kinds {
            self.resources().entry(served.resource.gvk.clone()).or_insert(served.resource);
        }
        let unknown =
            || Failed::Because(format!("no matches for kind \"{kind}\" in version \"{api_version}\""));
        known().ok_or_else(unknown)
    }

    fn resources(&self) -> std::sync::MutexGuard<'_, BTreeMap<GroupVersionKind, Resource>> {
        self.resources.lock().expect("no panic happens under this lock")
    }

    fn node(&self, uid: &str) -> Option<Node> {
        self.graph().get(uid).cloned()
    }

    fn graph(&self) -> std::sync::MutexGuard<'_, Graph> {
        self.graph.lock().expect("no panic happens under this lock")
    }
}

fn has(object: &Object, finalizer: &str) -> bool {
    object.metadata.finalizers.iter().any(|own| own == finalizer)
}
