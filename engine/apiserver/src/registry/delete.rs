//! Deletion, of one object and of a collection.

use std::sync::Arc;

use labkit_api::Status;

use crate::kinds::Kind;
use crate::query::{DeleteOptions, Selection};
use crate::registry::Registry;
use crate::registry::deletion::{Step, check_preconditions, decide};
use crate::storage::{Entry, Swap, relative_key};

/// How a deletion ended.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object is gone; its last state.
    Gone(Arc<Entry>),
    /// The object is still there, being deleted.
    Pending(Arc<Entry>),
}

impl Registry {
    /// Deletes the object, or begins to.
    pub async fn delete(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let key = relative_key(kind, namespace, name);
        let missing = || Status::not_found(&kind.resource(), name);
        let mut current = self.fresh(kind, &key).await?.ok_or_else(missing)?;
        loop {
            check_preconditions(kind, &current.object(), options)?;
            let step = decide(kind, &current.object(), options, self.world.clock().now());
            if options.dry_run {
                return Ok(match step {
                    Step::Remove | Step::MarkAndRemove(_) => Deleted::Gone(current),
                    Step::Mark(object) => Deleted::Pending(Arc::new(Entry::unstored(*object))),
                    Step::Wait => Deleted::Pending(current),
                });
            }
            let lost = match step {
                Step::Wait => return Ok(Deleted::Pending(current)),
                Step::Remove => match self.store.delete(&self.cache(kind), &key, &current).await? {
                    Swap::Done(entry) => return Ok(Deleted::Gone(entry)),
                    Swap::Lost(found) => found,
                },
                Step::Mark(object) => {
                    match self.store.update(&self.cache(kind), &key, current.revision, *object, 0).await? {
                        Swap::Done(entry) => return Ok(Deleted::Pending(entry)),
                        Swap::Lost(found) => found,
                    }
                }
                Step::MarkAndRemove(object) => {
                    match self.store.update(&self.cache(kind), &key, current.revision, *object, 0).await? {
                        Swap::Lost(found) => found,
                        Swap::Done(marked) => {
                            match self.store.delete(&self.cache(kind), &key, &marked).await? {
                                Swap::Done(entry) => return Ok(Deleted::Gone(entry)),
                                Swap::Lost(found) => found,
                            }
                        }
                    }
                }
            };
            current = lost.ok_or_else(missing)?;
        }
    }

    /// Deletes each object that is selected. Those that vanish meanwhile are fine.
    pub async fn delete_collection(
        &self,
        kind: &'static Kind,
        namespace: &str,
        selection: &Selection,
        options: &DeleteOptions,
    ) -> Result<Vec<Arc<Entry>>, Status> {
        let list = self.list_now(kind, namespace).await?;
        let mut deleted = Vec::new();
        for entry in list.entries.into_iter().filter(|entry| selection.selects(entry)) {
            let object = entry.object();
            let meta = &object.metadata;
            match self.delete(kind, &meta.namespace, &meta.name, options).await {
                Ok(Deleted::Gone(entry) | Deleted::Pending(entry)) => deleted.push(entry),
                Err(status) if status.is_not_found() => {}
                Err(status) => return Err(status),
            }
        }
        Ok(deleted)
    }
}
