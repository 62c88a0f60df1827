//! replicaset-controller: as many pods as each ReplicaSet wants. Counterpart: `pkg/controller/replicaset`.

mod ranking;
mod slow_start;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use labkit_api::ObjectKey;
use labkit_client::{Change, DeleteOptions, EventType, Store, WorkQueue, reference};

use crate::context::Context;
use crate::expectations::Expectations;
use crate::objects::{is_being_deleted, key, name, uid};
use crate::owners::{self, claim_all, controller_of, controller_reference};
use crate::pods::{is_active, is_ready};
use crate::work::{Failed, each, is_namespace_terminating, work};

/// At most so many pods are made or deleted in one reconcile.
const BURST: usize = 500;

pub(crate) async fn run(context: Context) {
    let (replica_sets, pods) = (context.informers.replica_sets().clone(), context.informers.pods().clone());
    let controller = ReplicaSets {
        workers: context.config.concurrent_replicaset_syncs,
        replica_sets: replica_sets.store(),
        pods: pods.store(),
        expectations: Expectations::default(),
        queue: WorkQueue::default(),
        context,
    };
    let own_changes = each(replica_sets.subscribe(), |change| controller.replica_set_changed(&change));
    let pod_changes = each(pods.subscribe(), |change| controller.pod_changed(&change));
    let reconciles = async {
        replica_sets.synced().await;
        pods.synced().await;
        work(&controller.queue, controller.workers, |key| controller.reconcile(key)).await
    };
    futures::join!(own_changes, pod_changes, reconciles);
}

struct ReplicaSets {
    context: Context,
    workers: usize,
    replica_sets: Store<ReplicaSet>,
    pods: Store<Pod>,
    expectations: Expectations,
    queue: WorkQueue<ObjectKey>,
}

/// What a reconcile does about the number of pods.
#[derive(Debug, PartialEq)]
enum Plan {
    Create(usize),
    Delete(Vec<Arc<Pod>>),
    Nothing,
}

fn wanted(replica_set: &ReplicaSet) -> usize {
    let replicas = replica_set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    usize::try_from(replicas).unwrap_or_default()
}

fn min_ready_seconds(replica_set: &ReplicaSet) -> i32 {
    replica_set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or_default()
}

impl ReplicaSets {
    fn replica_set_changed(&self, change: &Change<ReplicaSet>) {
        if change.new.is_none() {
            self.expectations.forget(&change.key);
        }
        self.queue.add(change.key.clone(), change.cause);
    }

    fn pod_changed(&self, change: &Change<Pod>) {
        match (&change.old, &change.new) {
            (None, Some(new)) if !is_being_deleted(&**new) => match self.owner(&new.metadata) {
                Some(owner) => {
                    self.expectations.creation_observed(&owner);
                    self.queue.add(owner, change.cause);
                }
                None => self.orphan_changed(new, change),
            },
            (Some(gone), None) => self.pod_deleted(gone, change),
            (old, Some(new)) if is_being_deleted(&**new) => {
                // From here on the pod does not count, though its end may be long in coming.
                self.pod_deleted(new, change);
                if let Some(old) = old.as_ref().filter(|old| old.metadata.labels != new.metadata.labels) {
                    self.pod_deleted(old, change);
                }
            }
            (Some(old), Some(new)) => self.pod_updated(old, new, change),
            (None, _) => {}
        }
    }

    fn pod_updated(&self, old: &Pod, new: &Pod, change: &Change<Pod>) {
        let (old_owner, new_owner) = (controller_of(&old.metadata), controller_of(&new.metadata));
        let owner_changed = old_owner != new_owner;
        if owner_changed && let Some(owner) = self.owner(&old.metadata) {
            self.queue.add(owner, change.cause);
        }
        if let Some(owner) = self.owner(&new.metadata) {
            let min_ready = self.replica_sets.get(&owner).map_or(0, |owner| min_ready_seconds(&owner));
            if let (false, true, Ok(seconds @ 1..)) = (is_ready(old), is_ready(new), u64::try_from(min_ready))
            {
                self.queue.add_after(owner.clone(), Duration::from_secs(seconds + 1));
            }
            self.queue.add(owner, change.cause);
        } else if new_owner.is_none() && (owner_changed || old.metadata.labels != new.metadata.labels) {
            self.orphan_changed(new, change);
        }
    }

    fn pod_deleted(&self, pod: &Pod, change: &Change<Pod>) {
        if let Some(owner) = self.owner(&pod.metadata) {
            self.expectations.deletion_observed(&owner, &change.key);
            self.queue.add(owner, change.cause);
        }
    }

    /// Somebody may want to adopt it.
    fn orphan_changed(&self, pod: &Pod, change: &Change<Pod>) {
        if controller_of(&pod.metadata).is_some() {
            return;
        }
        for replica_set in self.replica_sets.list_in(&change.key.namespace) {
            let Some(spec) = &replica_set.spec else { continue };
            if owners::matches(&owners::selector(&spec.selector), &pod.metadata) {
                self.queue.add(key(&*replica_set), change.cause);
            }
        }
    }

    /// The ReplicaSet that owns the object, if this is one of those that exist.
    fn owner(&self, metadata: &ObjectMeta) -> Option<ObjectKey> {
        let owner = controller_of(metadata).filter(|owner| owner.kind == "ReplicaSet")?;
        let key = ObjectKey::new(metadata.namespace.as_deref().unwrap_or_default(), &owner.name);
        self.replica_sets.get(&key).filter(|present| uid(&**present) == owner.uid).map(|_| key)
    }

    async fn reconcile(&self, key: ObjectKey) -> Result<(), Failed> {
        let Some(replica_set) = self.replica_sets.get(&key) else {
            self.expectations.forget(&key);
            return Ok(());
        };
        let may_manage = self.expectations.are_met(&key);
        let Some(spec) = &replica_set.spec else { return Ok(()) };
        let active = self.pods.list_in(&key.namespace).into_iter().filter(|pod| is_active(pod)).collect();
        let selector = owners::selector(&spec.selector);
        let pods = claim_all(&self.context.client, &*replica_set, &selector, active).await?;
        let mut managed = Ok(());
        if may_manage && !is_being_deleted(&*replica_set) {
            managed = self.manage(&replica_set, &pods).await;
        }
        let failure = managed.as_ref().err().map(ToString::to_string);
        let status = status::next(&replica_set, &pods, failure.as_deref(), self.context.now());
        let (ready, available) = (status.ready_replicas, status.available_replicas);
        self.write_status(&replica_set, status).await?;
        managed?;
        let wanted = Some(wanted(&replica_set) as i32);
        if let Ok(seconds @ 1..) = u64::try_from(min_ready_seconds(&replica_set))
            && ready == wanted
            && available != wanted
        {
            self.queue.add_after(key, Duration::from_secs(seconds));
        }
        Ok(())
    }

    async fn manage(&self, replica_set: &ReplicaSet, pods: &[Arc<Pod>]) -> Result<(), Failed> {
        match self.plan(replica_set, pods) {
            Plan::Nothing => Ok(()),
            Plan::Create(count) => {
                let owner = key(replica_set);
                self.expectations.expect(&owner, count, BTreeSet::new());
                let (created, outcome) = slow_start::create(count, || self.create_pod(replica_set)).await;
                for _ in created..count {
                    self.expectations.creation_observed(&owner);
                }
                outcome
            }
            Plan::Delete(victims) => {
                let keys = victims.iter().map(|pod| key(&**pod)).collect();
                self.expectations.expect(&key(replica_set), 0, keys);
                let deletions = victims.iter().map(|pod| self.delete_pod(replica_set, pod));
                join_all(deletions).await.into_iter().collect()
            }
        }
    }

    fn plan(&self, replica_set: &ReplicaSet, pods: &[Arc<Pod>]) -> Plan {
        let wanted = wanted(replica_set);
        if pods.len() < wanted {
            return Plan::Create((wanted - pods.len()).min(BURST));
        }
        if pods.len() == wanted {
            return Plan::Nothing;
        }
        let count = (pods.len() - wanted).min(BURST);
        if count == pods.len() {
            return Plan::Delete(pods.to_vec());
        }
        let related = self.related_pods(replica_set);
        Plan::Delete(ranking::victims(pods, &related, count, self.context.now()))
    }

    /// The pods of all ReplicaSets of the same Deployment.
    fn related_pods(&self, replica_set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let siblings =
            self.replica_sets.list_in(replica_set.metadata.namespace.as_deref().unwrap_or_default());
        let of = controller_of(&replica_set.metadata).map(|owner| &owner.uid);
        let siblings = siblings.iter().filter(|sibling| match of {
            Some(of) => controller_of(&sibling.metadata).is_some_and(|owner| owner.uid == *of),
            None => uid(&***sibling) == uid(replica_set),
        });
        let owners: BTreeSet<&str> = siblings.map(|sibling| uid(&**sibling)).collect();
        let mut pods = self.pods.list_in(replica_set.metadata.namespace.as_deref().unwrap_or_default());
        pods.retain(|pod| controller_of(&pod.metadata).is_some_and(|owner| owners.contains(&*owner.uid)));
        pods
    }

    async fn create_pod(&self, replica_set: &ReplicaSet) -> Result<(), Failed> {
        let pod = pod_from_template(replica_set);
        match self.context.client.api::<Pod>().create(&pod).await {
            Ok(pod) => {
                let message = format!("Created pod: {}", name(&pod));
                self.context.event(reference(replica_set), EventType::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            // Nothing can be made there any more, and there is no point in trying again.
            Err(error) if is_namespace_terminating(&error) => Ok(()),
            Err(error) => {
                let message = format!("Error creating: {error}");
                self.context.event(reference(replica_set), EventType::Warning, "FailedCreate", message);
                Err(error.into())
            }
        }
    }

    async fn delete_pod(&self, replica_set: &ReplicaSet, pod: &Pod) -> Result<(), Failed> {
        let target = key(pod);
        let api = self.context.client.api::<Pod>();
        let deleted = api.delete(&target.namespace, &target.name, &DeleteOptions::default()).await;
        let Err(error) = deleted else {
            let message = format!("Deleted pod: {}", target.name);
            self.context.event(reference(replica_set), EventType::Normal, "SuccessfulDelete", message);
            return Ok(());
        };
        self.expectations.deletion_observed(&key(replica_set), &target);
        if error.is_not_found() {
            return Ok(());
        }
        let message = format!("Error deleting: {error}");
        self.context.event(reference(replica_set), EventType::Warning, "FailedDelete", message);
        Err(Failed::Because(format!("unable to delete pods: {error}")))
    }

    async fn write_status(
        &self,
        replica_set: &ReplicaSet,
        status: k8s_openapi::api::apps::v1::ReplicaSetStatus,
    ) -> Result<(), Failed> {
        if replica_set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let api = self.context.client.api::<ReplicaSet>();
        let key = key(replica_set);
        let mut updated = ReplicaSet { status: Some(status), ..replica_set.clone() };
        let first = api.replace_status(&updated).await;
        if first.is_ok() {
            return Ok(());
        }
        // The cache lags; the numbers are right for the newest version too.
        let fresh = api.get(&key.namespace, &key.name).await?;
        updated = ReplicaSet { status: updated.status, ..fresh };
        api.replace_status(&updated).await?;
        Ok(())
    }
}

fn pod_from_template(replica_set: &ReplicaSet) -> Pod {
    let template = replica_set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let from = template.metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", name(replica_set))),
            namespace: replica_set.metadata.namespace.clone(),
            labels: from.labels,
            annotations: from.annotations,
            finalizers: from.finalizers,
            owner_references: Some(vec![controller_reference(replica_set)]),
            ..Default::default()
        },
        spec: template.spec,
        status: None,
    }
}
