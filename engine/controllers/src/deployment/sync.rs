//! One reconcile of a Deployment. Counterpart: `syncDeployment`.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use labkit_api::ObjectKey;
use labkit_client::{DeleteOptions, EventType, reference};

use super::Deployments;
use super::replica_sets::{self, REVISION, ReplicaSets, replicas_of};
use super::rollout::{self, Resize};
use super::{scaling, status};
use crate::objects::{is_being_deleted, key, name};
use crate::owners::{self, claim_all};
use crate::work::{Failed, is_namespace_terminating};

impl Deployments {
    pub(super) async fn reconcile(&self, key: ObjectKey) -> Result<(), Failed> {
        let Some(present) = self.deployments.get(&key) else { return Ok(()) };
        let mut deployment = Deployment::clone(&present);
        let Some(spec) = deployment.spec.clone() else { return Ok(()) };
        let selector = owners::selector(&spec.selector);
        if selector.is_everything() {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.context.event(
                reference(&deployment),
                EventType::Warning,
                "SelectingAll",
                message.to_owned(),
            );
            return self.observe_generation(&mut deployment).await;
        }
        let candidates = self.replica_sets.list_in(&key.namespace);
        let owned = claim_all(&self.context.client, &deployment, &selector, candidates).await?;
        let mut sets =
            ReplicaSets::sort(&deployment, owned.iter().map(|set| ReplicaSet::clone(set)).collect());
        if is_being_deleted(&deployment) {
            let counted = status::counted(&deployment, &sets, self.context.now());
            return self.write_status(&mut deployment, counted).await;
        }
        if let Some(condition) = status::paused_condition(&deployment, self.context.now()) {
            let mut next = deployment.status.clone().unwrap_or_default();
            status::set_condition(&mut next, condition);
            self.write_status(&mut deployment, next).await?;
        }
        let paused = spec.paused.unwrap_or_default();
        if paused || scaling::is_scaling(&deployment, &sets) {
            return self.scale_only(&mut deployment, &mut sets, paused).await;
        }
        if rollout::is_recreate(&deployment) {
            self.recreate(&mut deployment, &mut sets).await?;
        } else {
            self.roll(&mut deployment, &mut sets).await?;
        }
        self.write_progress(&mut deployment, &sets).await
    }

    async fn observe_generation(&self, deployment: &mut Deployment) -> Result<(), Failed> {
        let mut next = deployment.status.clone().unwrap_or_default();
        next.observed_generation = deployment.metadata.generation;
        self.write_status(deployment, next).await
    }

    async fn scale_only(
        &self,
        deployment: &mut Deployment,
        sets: &mut ReplicaSets,
        paused: bool,
    ) -> Result<(), Failed> {
        self.update_new(deployment, sets).await?;
        let steps = scaling::step(deployment, sets);
        self.resize(deployment, sets, steps).await?;
        if paused {
            self.clean_up(deployment, sets).await?;
        }
        let counted = status::counted(deployment, sets, self.context.now());
        self.write_status(deployment, counted).await
    }

    async fn roll(&self, deployment: &mut Deployment, sets: &mut ReplicaSets) -> Result<(), Failed> {
        self.ensure_new(deployment, sets).await?;
        let steps = rollout::rolling_step(deployment, sets);
        let busy = !steps.is_empty();
        self.resize(deployment, sets, steps).await?;
        self.clean_up_if_complete(deployment, sets, busy).await
    }

    async fn recreate(&self, deployment: &mut Deployment, sets: &mut ReplicaSets) -> Result<(), Failed> {
        self.update_new(deployment, sets).await?;
        let steps = rollout::recreate_down(sets);
        if !steps.is_empty() {
            return self.resize(deployment, sets, steps).await;
        }
        let pods: Vec<Arc<Pod>> = self.pods.list_in(&key(deployment).namespace);
        if rollout::old_pods_running(sets, &pods) {
            return Ok(());
        }
        self.ensure_new(deployment, sets).await?;
        let wanted = replica_sets::wanted(deployment);
        let steps = sets.new.iter().map(|new| rollout::resize(new, wanted)).collect();
        self.resize(deployment, sets, steps).await?;
        self.clean_up_if_complete(deployment, sets, false).await
    }

    /// Brings the new ReplicaSet, if there is one, and the Deployment's revision up to date.
    async fn update_new(&self, deployment: &mut Deployment, sets: &mut ReplicaSets) -> Result<(), Failed> {
        let Some(new) = &sets.new else { return Ok(()) };
        let next_revision = sets.max_old_revision() + 1;
        if let Some(updated) = replica_sets::brought_up_to_date(deployment, new, next_revision) {
            sets.new = Some(self.context.client.api::<ReplicaSet>().replace(&updated).await?);
            return Ok(());
        }
        let found = format!("Found new replica set \"{}\"", name(new));
        let revision = replica_sets::annotation(&new.metadata, REVISION).map(str::to_owned);
        let progress = (!status::has_progress_condition(deployment)).then_some(("FoundNewReplicaSet", found));
        self.write_revision(deployment, revision, progress).await
    }

    /// The same, and makes it if there is none.
    async fn ensure_new(&self, deployment: &mut Deployment, sets: &mut ReplicaSets) -> Result<(), Failed> {
        if sets.new.is_some() {
            return self.update_new(deployment, sets).await;
        }
        let revision = sets.max_old_revision() + 1;
        let mut new = replica_sets::new_replica_set(deployment, revision);
        let all: i32 = sets.all().map(replicas_of).sum();
        let size = rollout::new_size(deployment, 0, all);
        new.spec.get_or_insert_default().replicas = Some(size);
        let created = match self.context.client.api::<ReplicaSet>().create(&new).await {
            Ok(created) => created,
            Err(error) if error.is_already_exists() => return self.collided(deployment, sets, &new).await,
            Err(error) if is_namespace_terminating(&error) => return Err(error.into()),
            Err(error) => return self.not_created(deployment, &new, error).await,
        };
        if size > 0 {
            self.scaled(deployment, &created, 0, size);
        }
        let made = format!("Created new replica set \"{}\"", name(&created));
        let revision = replica_sets::annotation(&created.metadata, REVISION).map(str::to_owned);
        sets.new = Some(created);
        self.write_revision(deployment, revision, Some(("NewReplicaSetCreated", made))).await
    }

    /// The name is taken: by our own ReplicaSet that the cache did not show yet, or by another template with
    /// the same hash, and then the next try uses another one.
    async fn collided(
        &self,
        deployment: &mut Deployment,
        sets: &mut ReplicaSets,
        new: &ReplicaSet,
    ) -> Result<(), Failed> {
        let key = key(new);
        let other = self.context.client.api::<ReplicaSet>().get(&key.namespace, &key.name).await?;
        if replica_sets::is_own(deployment, &other) {
            let revision = replica_sets::annotation(&other.metadata, REVISION).map(str::to_owned);
            sets.new = Some(other);
            return self.write_revision(deployment, revision, None).await;
        }
        let mut next = deployment.status.clone().unwrap_or_default();
        next.collision_count = Some(next.collision_count.unwrap_or_default() + 1);
        self.write_status(deployment, next).await?;
        Err(Failed::Because(format!("replicasets.apps \"{}\" already exists", key.name)))
    }

    async fn not_created(
        &self,
        deployment: &mut Deployment,
        new: &ReplicaSet,
        error: labkit_client::Error,
    ) -> Result<(), Failed> {
        let message = format!("Failed to create new replica set \"{}\": {error}", name(new));
        self.context.event(
            reference(deployment),
            EventType::Warning,
            "ReplicaSetCreateError",
            message.clone(),
        );
        if status::deadline(deployment).is_some() {
            let mut next = deployment.status.clone().unwrap_or_default();
            let now = self.context.now();
            let failed = status::progress_condition(false, "ReplicaSetCreateError", &message, now);
            status::set_condition(&mut next, failed);
            self.write_status(deployment, next).await?;
        }
        Err(error.into())
    }

    /// Writes the revision annotation and a Progressing condition where they changed. Both go through the
    /// status subresource, which lets annotations of Deployments pass.
    async fn write_revision(
        &self,
        deployment: &mut Deployment,
        revision: Option<String>,
        progress: Option<(&str, String)>,
    ) -> Result<(), Failed> {
        let mut next = deployment.status.clone().unwrap_or_default();
        if let Some((reason, message)) = progress.filter(|_| status::deadline(deployment).is_some()) {
            let condition = status::progress_condition(true, reason, &message, self.context.now());
            status::set_condition(&mut next, condition);
        }
        let shown = replica_sets::annotation(&deployment.metadata, REVISION);
        if revision.is_some() && shown != revision.as_deref() {
            let annotations = deployment.metadata.annotations.get_or_insert_default();
            annotations.insert(REVISION.to_owned(), revision.unwrap_or_default());
        } else if deployment.status.as_ref() == Some(&next) {
            return Ok(());
        }
        deployment.status = Some(next);
        *deployment = self.context.client.api::<Deployment>().replace_status(deployment).await?;
        Ok(())
    }

    async fn resize(
        &self,
        deployment: &Deployment,
        sets: &mut ReplicaSets,
        steps: Vec<Resize>,
    ) -> Result<(), Failed> {
        for Resize { replica_set, size } in steps {
            let set = sets.old.iter_mut().chain(&mut sets.new).find(|set| name(*set) == replica_set);
            let set = set.expect("steps are made of these sets");
            let Some(updated) = replica_sets::resized(deployment, set, size) else { continue };
            let before = replicas_of(set);
            *set = self.context.client.api::<ReplicaSet>().replace(&updated).await?;
            if before != size {
                self.scaled(deployment, set, before, size);
            }
        }
        Ok(())
    }

    fn scaled(&self, deployment: &Deployment, set: &ReplicaSet, from: i32, to: i32) {
        let direction = if to > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {from} to {to}", name(set));
        self.context.event(reference(deployment), EventType::Normal, "ScalingReplicaSet", message);
    }

    async fn clean_up_if_complete(
        &self,
        deployment: &Deployment,
        sets: &ReplicaSets,
        busy: bool,
    ) -> Result<(), Failed> {
        let present = deployment.status.clone().unwrap_or_default();
        if busy || !status::is_complete(deployment, &present) {
            return Ok(());
        }
        self.clean_up(deployment, sets).await
    }

    async fn clean_up(&self, deployment: &Deployment, sets: &ReplicaSets) -> Result<(), Failed> {
        for set in replica_sets::past_history(deployment, &sets.old) {
            let key = key(set);
            let api = self.context.client.api::<ReplicaSet>();
            match api.delete(&key.namespace, &key.name, &DeleteOptions::default()).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    async fn write_progress(&self, deployment: &mut Deployment, sets: &ReplicaSets) -> Result<(), Failed> {
        let now = self.context.now();
        let next = status::progressed(deployment, sets, now);
        if deployment.status.as_ref() == Some(&next)
            && let Some(delay) = status::look_again(deployment, &next, now)
        {
            self.queue.add_after(key(deployment), delay);
        }
        self.write_status(deployment, next).await
    }

    async fn write_status(&self, deployment: &mut Deployment, next: DeploymentStatus) -> Result<(), Failed> {
        if deployment.status.as_ref() == Some(&next) {
            return Ok(());
        }
        deployment.status = Some(next);
        *deployment = self.context.client.api::<Deployment>().replace_status(deployment).await?;
        Ok(())
    }
}
