//! deployment-controller: a ReplicaSet per pod template, and the way from one to the next.
//! Counterpart: `pkg/controller/deployment`.
//!
//! - `replica_sets`: which ReplicaSet is the new one, revisions and annotations, which old ones may go.
//! - `rollout`: RollingUpdate and Recreate, as sizes to set.
//! - `scaling`: sizes to set when only `spec.replicas` changed, or while paused.
//! - `status`: counts, Available and Progressing.
//! - `sync`: one reconcile, which reads, asks these, and writes.

mod replica_sets;
mod rollout;
mod scaling;
mod status;
mod sync;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use labkit_api::ObjectKey;
use labkit_client::{Change, Store, WorkQueue};

use crate::context::Context;
use crate::objects::{key, uid};
use crate::owners::{self, controller_of};
use crate::work::{each, work};

pub(crate) async fn run(context: Context) {
    let deployments = context.informers.deployments().clone();
    let (replica_sets, pods) = (context.informers.replica_sets().clone(), context.informers.pods().clone());
    let controller = Deployments {
        deployments: deployments.store(),
        replica_sets: replica_sets.store(),
        pods: pods.store(),
        queue: WorkQueue::default(),
        context,
    };
    let own_changes = each(deployments.subscribe(), |change| controller.queue.add(change.key, change.cause));
    let set_changes = each(replica_sets.subscribe(), |change| controller.replica_set_changed(&change));
    let pod_changes = each(pods.subscribe(), |change| controller.pod_changed(&change));
    let reconciles = async {
        deployments.synced().await;
        replica_sets.synced().await;
        pods.synced().await;
        let workers = controller.context.config.concurrent_deployment_syncs;
        work(&controller.queue, workers, |key| controller.reconcile(key)).await
    };
    futures::join!(own_changes, set_changes, pod_changes, reconciles);
}

struct Deployments {
    context: Context,
    deployments: Store<Deployment>,
    replica_sets: Store<ReplicaSet>,
    pods: Store<Pod>,
    queue: WorkQueue<ObjectKey>,
}

impl Deployments {
    fn replica_set_changed(&self, change: &Change<ReplicaSet>) {
        let owner = |set: &ReplicaSet| self.owner(&set.metadata);
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        let (old_owner, new_owner) = (old.and_then(owner), new.and_then(owner));
        if old_owner != new_owner
            && let Some(left) = old_owner
        {
            self.queue.add(left, change.cause);
        }
        if let Some(owner) = new_owner {
            return self.queue.add(owner, change.cause);
        }
        // An orphan that somebody may want to adopt.
        let Some(new) = new.filter(|new| controller_of(&new.metadata).is_none()) else { return };
        if old.is_some_and(|old| {
            old.metadata.labels == new.metadata.labels && controller_of(&old.metadata).is_none()
        }) {
            return;
        }
        for deployment in self.deployments.list_in(&change.key.namespace) {
            let Some(spec) = &deployment.spec else { continue };
            if owners::matches(&owners::selector(&spec.selector), &new.metadata) {
                self.queue.add(key(&*deployment), change.cause);
            }
        }
    }

    /// Recreate waits for the last old pod to be gone.
    fn pod_changed(&self, change: &Change<Pod>) {
        let (Some(gone), None) = (&change.old, &change.new) else { return };
        let Some(owner) = controller_of(&gone.metadata).filter(|owner| owner.kind == "ReplicaSet") else {
            return;
        };
        let replica_set = self.replica_sets.get(&ObjectKey::new(&change.key.namespace, &owner.name));
        let Some(owner) = replica_set.and_then(|set| self.owner(&set.metadata)) else { return };
        let deployment = self.deployments.get(&owner);
        if deployment.is_some_and(|deployment| rollout::is_recreate(&deployment)) {
            self.queue.add(owner, change.cause);
        }
    }

    /// The Deployment that owns the object, if this is one of those that exist.
    fn owner(&self, metadata: &ObjectMeta) -> Option<ObjectKey> {
        let owner = controller_of(metadata).filter(|owner| owner.kind == "Deployment")?;
        let key = ObjectKey::new(metadata.namespace.as_deref().unwrap_or_default(), &owner.name);
        self.deployments.get(&key).filter(|present| uid(&**present) == owner.uid).map(|_| key)
    }
}
