//! Creation.

use std::sync::Arc;

use labkit_api::names::generated_name;
use labkit_api::{Object, Status, StatusCause, Time};
use rand::RngCore;

use crate::kinds::Kind;
use crate::metadata;
use crate::registry::Registry;
use crate::storage::{Entry, Guarded, Swap, relative_key};

/// How often another suffix is drawn when a generated name is taken.
const NAME_ATTEMPTS: usize = 8;

impl Registry {
    /// Makes the object whole, judges it and stores it.
    pub async fn create(
        &self,
        kind: &'static Kind,
        mut object: Object,
        dry_run: bool,
    ) -> Result<Arc<Entry>, Status> {
        if !object.metadata.resource_version.is_empty() {
            return Err(Status::failure(
                500,
                "",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        object.metadata.generation = 0;
        self.start(kind);
        self.fill_metadata(&mut object);
        let generates = object.metadata.name.is_empty() && !object.metadata.generate_name.is_empty();
        let base = object.metadata.generate_name.clone();
        if !generates {
            return self.validated_create(kind, object, dry_run).await;
        }
        for attempt in 1.. {
            object.metadata.name = self.component.random(|rng| generated_name(&base, || rng.next_u32()));
            match self.validated_create(kind, object.clone(), dry_run).await {
                Err(status) if status.is_already_exists() && attempt < NAME_ATTEMPTS => {}
                Err(status) if status.is_already_exists() => {
                    return Err(Status::generate_name_conflict(&kind.resource(), &object.metadata.name));
                }
                result => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn validated_create(
        &self,
        kind: &'static Kind,
        mut object: Object,
        dry_run: bool,
    ) -> Result<Arc<Entry>, Status> {
        kind.strategy.prepare_for_create(&mut object);
        let key = relative_key(kind, &object.metadata.namespace, &object.metadata.name);
        let name = object.metadata.name.clone();
        let mut turn = self.addresses.turn(kind).await;
        let asked = turn.is_some().then(|| object.clone());
        loop {
            self.know_what_is_taken(&turn).await?;
            self.allocate(kind, &mut object, None)?;
            let mut errors = metadata::validate(kind, &object);
            errors.extend(kind.strategy.validate(&object));
            errors.extend(kind.strategy.validate_create(&object));
            refuse(kind, &object.metadata.name, errors)?;
            let exists = || Status::already_exists(&kind.resource(), &name);
            if dry_run {
                return match self.fresh(kind, &key).await? {
                    Some(_) => Err(exists()),
                    None => Ok(Arc::new(Entry::unstored(object))),
                };
            }
            let lease = self.lease(kind).await?;
            let guard = self.guard(&turn, &object, None);
            let is_guarded = guard.is_some();
            match self.store.write(&self.cache(kind), &key, 0, object, lease, guard).await? {
                Guarded::Swap(Swap::Done(entry)) => {
                    if let Some(last) = turn.as_deref_mut().filter(|_| is_guarded) {
                        *last = entry.revision;
                    }
                    return Ok(entry);
                }
                Guarded::Swap(Swap::Lost(_)) => return Err(exists()),
                Guarded::Overtaken(revision) => {
                    *turn.as_deref_mut().expect("what is guarded has its turn") = revision;
                    object = asked.clone().expect("what is guarded has its turn");
                }
            }
        }
    }

    fn fill_metadata(&self, object: &mut Object) {
        let uid = self.uid();
        let meta = &mut object.metadata;
        meta.uid = uid;
        meta.creation_timestamp = Some(Time::new(self.world.clock().now()));
        meta.deletion_timestamp = None;
        meta.deletion_grace_period_seconds = None;
    }
}

/// 422, if there is anything to say.
pub(crate) fn refuse(kind: &Kind, name: &str, errors: Vec<StatusCause>) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&kind.gvk(), name, errors)) }
}
