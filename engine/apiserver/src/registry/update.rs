//! Updates: read, change, compare and swap, and again if someone else was faster.
//! Counterpart: `GuaranteedUpdate`, `rest.BeforeUpdate`.

use std::sync::Arc;

use labkit_api::{Object, Status};

use crate::kinds::kind::keep;
use crate::kinds::{Kind, Subresource};
use crate::metadata;
use crate::registry::Registry;
use crate::registry::create::refuse;
use crate::storage::{Entry, Guarded, Swap, relative_key};

/// What a client wants of an update, beside the change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpdateOptions {
    pub subresource: Option<Subresource>,
    pub dry_run: bool,
}

/// The change made of an object.
enum Changed {
    Nothing,
    To(Box<Object>),
    /// The last finalizer of an object that is being deleted is gone.
    Removed,
}

impl Registry {
    /// Applies `change` to the newest state. It may run more than once; what it refuses on a state from the
    /// cache is tried again on the state that etcd has.
    pub async fn update(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        options: UpdateOptions,
        mut change: impl FnMut(&Object) -> Result<Object, Status> + Send,
    ) -> Result<Arc<Entry>, Status> {
        let key = relative_key(kind, namespace, name);
        let missing = || Status::not_found(&kind.resource(), name);
        let mut turn = self.addresses.turn(kind).await;
        self.know_what_is_taken(&turn).await?;
        let cached = self.cache(kind).get(&key);
        let mut is_fresh = cached.is_none();
        let mut current = match cached {
            Some(entry) => entry,
            None => self.fresh(kind, &key).await?.ok_or_else(missing)?,
        };
        loop {
            let old = current.object();
            let changed = change(&old).and_then(|new| self.prepare_update(kind, new, &old, options));
            let settled = matches!(changed, Ok(Changed::To(_) | Changed::Removed));
            if !is_fresh && !settled {
                is_fresh = true;
                let newest = self.fresh(kind, &key).await?.ok_or_else(missing)?;
                if newest.revision != current.revision {
                    current = newest;
                    continue;
                }
            }
            let lost = match changed? {
                Changed::Nothing => return Ok(current),
                Changed::To(object) if options.dry_run => return Ok(Arc::new(Entry::unstored(*object))),
                Changed::Removed if options.dry_run => return Ok(current),
                Changed::Removed => match self.store.delete(&self.cache(kind), &key, &current).await? {
                    Swap::Done(entry) => return Ok(entry),
                    Swap::Lost(found) => found,
                },
                Changed::To(object) => {
                    let lease = self.lease(kind).await?;
                    let guard = self.guard(&turn, &object, Some(&old));
                    let is_guarded = guard.is_some();
                    match self
                        .store
                        .write(&self.cache(kind), &key, current.revision, *object, lease, guard)
                        .await?
                    {
                        Guarded::Swap(Swap::Done(entry)) => {
                            if let Some(last) = turn.as_deref_mut().filter(|_| is_guarded) {
                                *last = entry.revision;
                            }
                            return Ok(entry);
                        }
                        Guarded::Swap(Swap::Lost(found)) => found,
                        Guarded::Overtaken(revision) => {
                            *turn.as_deref_mut().expect("what is guarded has its turn") = revision;
                            self.know_what_is_taken(&turn).await?;
                            continue;
                        }
                    }
                }
            };
            current = lost.ok_or_else(missing)?;
            is_fresh = true;
        }
    }

    fn prepare_update(
        &self,
        kind: &'static Kind,
        mut object: Object,
        old: &Object,
        options: UpdateOptions,
    ) -> Result<Changed, Status> {
        check_preconditions(kind, &mut object, old)?;
        keep_system_metadata(&mut object, old);
        match options.subresource {
            Some(Subresource::Approval) => kind.strategy.prepare_for_approval(&mut object, old),
            Some(Subresource::EphemeralContainers) => {
                kind.strategy.prepare_for_ephemeral_containers(&mut object, old);
            }
            Some(Subresource::Status) => kind.strategy.prepare_for_status_update(&mut object, old),
            // The finalizers of a namespace's spec are changed by `finalize` alone.
            Some(Subresource::Finalize) => keep(&mut object, old, "status"),
            // What these change was decided by the server itself.
            Some(Subresource::Binding | Subresource::Eviction) => {}
            _ => kind.strategy.prepare_for_update(&mut object, old),
        }
        if options.subresource.is_none() {
            self.allocate(kind, &mut object, Some(old))?;
        }
        let mut errors = metadata::validate_update(kind, &object, old);
        if options.subresource.is_none() {
            errors.extend(kind.strategy.validate_replacement(&object, old));
        } else if options.subresource == Some(Subresource::Status) {
            errors.extend(kind.strategy.validate_status_update(&object, old));
        }
        if options.subresource == Some(Subresource::EphemeralContainers) {
            errors.extend(kind.strategy.validate_ephemeral_containers(&object, old));
        }
        if options.subresource == Some(Subresource::Approval) {
            errors.extend(kind.strategy.validate_approval(&object, old));
        }
        refuse(kind, &old.metadata.name, errors)?;
        let meta = &object.metadata;
        let is_waiting = old.metadata.is_being_deleted()
            && old.metadata.deletion_grace_period_seconds.unwrap_or_default() == 0;
        if is_waiting && meta.finalizers.is_empty() && !kind.strategy.is_held(&object) {
            return Ok(Changed::Removed);
        }
        // Managers who only came to the same fields again are not worth a write.
        if object.metadata.managed_fields.is_same_but_for_times(&old.metadata.managed_fields) {
            let noted =
                std::mem::replace(&mut object.metadata.managed_fields, old.metadata.managed_fields.clone());
            if object == *old {
                return Ok(Changed::Nothing);
            }
            object.metadata.managed_fields = noted;
        }
        Ok(Changed::To(Box::new(object)))
    }
}

/// A stale resourceVersion or another uid is a conflict.
fn check_preconditions(kind: &Kind, object: &mut Object, old: &Object) -> Result<(), Status> {
    let (meta, before) = (&mut object.metadata, &old.metadata);
    if !meta.uid.is_empty() && meta.uid != before.uid {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            meta.uid, before.uid
        );
        return Err(Status::conflict(&kind.resource(), &before.name, &why));
    }
    if meta.resource_version.is_empty() && kind.strategy.allows_unconditional_update() {
        meta.resource_version = before.resource_version.clone();
    }
    if !meta.resource_version.is_empty() && meta.resource_version != before.resource_version {
        return Err(Status::modified(&kind.resource(), &before.name));
    }
    Ok(())
}

fn keep_system_metadata(object: &mut Object, old: &Object) {
    let (meta, before) = (&mut object.metadata, &old.metadata);
    meta.uid = before.uid.clone();
    meta.generation = before.generation;
    meta.creation_timestamp = before.creation_timestamp;
    meta.deletion_timestamp = before.deletion_timestamp;
    meta.deletion_grace_period_seconds = before.deletion_grace_period_seconds;
    if meta.generate_name.is_empty() {
        meta.generate_name = before.generate_name.clone();
    }
}
