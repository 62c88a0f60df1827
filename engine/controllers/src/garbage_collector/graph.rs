//! Who owns whom, by uid, as the watches tell it. Counterpart: `GraphBuilder`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use labkit_api::{ObjectKey, OwnerReference};

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// So many uids of owners that are gone are remembered.
const ABSENT_MAX: usize = 500;

/// What an object's metadata says to the garbage collector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub api_version: String,
    pub kind: String,
    pub key: ObjectKey,
    pub uid: String,
    pub owners: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
    pub is_being_deleted: bool,
}

impl Item {
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|own| own == finalizer)
    }

    /// Deletion began, and waits for what the finalizer stands for.
    fn waits_for(&self, finalizer: &str) -> bool {
        self.is_being_deleted && self.has_finalizer(finalizer)
    }
}

/// An object and its dependents.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub item: Item,
    pub dependents: BTreeSet<String>,
    /// Named by a dependent, but not seen itself.
    pub is_virtual: bool,
    /// It is being deleted in the foreground.
    pub is_deleting_dependents: bool,
}

/// What a change asks for, by uid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// See whether the object still has a reason to be.
    Delete(String),
    /// Take its owner references from its dependents, then let it go.
    Orphan(String),
    /// An owner reference points to another namespace, which cannot be: say so.
    Report { dependent: String, owner: String },
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: BTreeMap<String, Node>,
    absent: VecDeque<String>,
}

impl Graph {
    pub fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// Whether an owner of that uid is known to be gone.
    pub fn is_absent(&self, uid: &str) -> bool {
        self.absent.iter().any(|absent| absent == uid)
    }

    pub fn remember_absent(&mut self, uid: &str) {
        if self.absent.len() == ABSENT_MAX {
            self.absent.pop_front();
        }
        self.absent.push_back(uid.to_owned());
    }

    /// Dependents that keep `uid` from going in the foreground.
    pub fn blocking_dependents(&self, uid: &str) -> Vec<&Node> {
        let blocks = |dependent: &&Node| {
            let mut owners = dependent.item.owners.iter();
            owners.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
        };
        self.dependents(uid).filter(blocks).collect()
    }

    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = &Node> {
        let dependents = self.nodes.get(uid).into_iter().flat_map(|node| &node.dependents);
        dependents.filter_map(|dependent| self.nodes.get(dependent))
    }

    /// An object is there, as `item` says.
    pub fn upsert(&mut self, item: Item) -> Vec<Task> {
        let mut tasks = Vec::new();
        let uid = item.uid.clone();
        let known = self.nodes.entry(uid.clone()).or_default();
        let before = std::mem::replace(&mut known.item, item.clone());
        known.is_virtual = false;
        self.reference(&item, &before, &mut tasks);
        self.unreference(&item, &before, &mut tasks);
        if item.waits_for(ORPHAN) && !before.waits_for(ORPHAN) {
            tasks.push(Task::Orphan(uid));
        } else if item.waits_for(FOREGROUND) && !before.waits_for(FOREGROUND) {
            let node = self.nodes.get_mut(&uid).expect("inserted just above");
            node.is_deleting_dependents = true;
            tasks.extend(node.dependents.iter().cloned().map(Task::Delete));
            tasks.push(Task::Delete(uid));
        }
        tasks
    }

    fn reference(&mut self, item: &Item, before: &Item, tasks: &mut Vec<Task>) {
        for owner in item.owners.iter().filter(|owner| !before.owners.iter().any(|old| old.uid == owner.uid))
        {
            let node = self.nodes.entry(owner.uid.clone()).or_insert_with(|| {
                tasks.push(Task::Delete(owner.uid.clone()));
                virtual_node(owner, &item.key.namespace)
            });
            node.dependents.insert(item.uid.clone());
            let namespace = &node.item.key.namespace;
            if !node.is_virtual && !namespace.is_empty() && *namespace != item.key.namespace {
                tasks.push(Task::Report { dependent: item.uid.clone(), owner: owner.uid.clone() });
                tasks.push(Task::Delete(item.uid.clone()));
            }
        }
    }

    /// An owner that waits for its dependents may go on when one stops to block or to depend.
    fn unreference(&mut self, item: &Item, before: &Item, tasks: &mut Vec<Task>) {
        for old in &before.owners {
            let now = item.owners.iter().find(|owner| owner.uid == old.uid);
            let blocked = |owner: &OwnerReference| owner.block_owner_deletion == Some(true);
            let Some(owner) = self.nodes.get_mut(&old.uid) else { continue };
            if now.is_none() {
                owner.dependents.remove(&item.uid);
            }
            if blocked(old) && !now.is_some_and(blocked) && owner.is_deleting_dependents {
                tasks.push(Task::Delete(old.uid.clone()));
            }
        }
    }

    /// An object is gone.
    pub fn remove(&mut self, uid: &str) -> Vec<Task> {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        let mut tasks = Vec::new();
        if !node.dependents.is_empty() {
            self.remember_absent(uid);
        }
        tasks.extend(node.dependents.into_iter().map(Task::Delete));
        for owner in &node.item.owners {
            let Some(owner_node) = self.nodes.get_mut(&owner.uid) else { continue };
            owner_node.dependents.remove(uid);
            if owner_node.is_deleting_dependents {
                tasks.push(Task::Delete(owner.uid.clone()));
            }
            if owner_node.is_virtual && owner_node.dependents.is_empty() {
                self.nodes.remove(&owner.uid);
            }
        }
        tasks
    }
}

fn virtual_node(owner: &OwnerReference, namespace: &str) -> Node {
    let item = Item {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        key: ObjectKey::new(namespace, &owner.name),
        uid: owner.uid.clone(),
        ..Default::default()
    };
    Node { item, is_virtual: true, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(uid: &str, owners: &[&str], finalizers: &[&str], deleting: bool) -> Item {
        let owner = |uid: &&str| OwnerReference {
            uid: (*uid).to_owned(),
            name: (*uid).to_owned(),
            block_owner_deletion: Some(true),
            ..Default::default()
        };
        Item {
            key: ObjectKey::new("default", uid),
            uid: uid.to_owned(),
            owners: owners.iter().map(owner).collect(),
            finalizers: finalizers.iter().map(|finalizer| (*finalizer).to_owned()).collect(),
            is_being_deleted: deleting,
            ..Default::default()
        }
    }

    fn delete(uid: &str) -> Task {
        Task::Delete(uid.to_owned())
    }

    #[test]
    fn dependents_are_looked_at_when_their_owner_goes() {
        let mut graph = Graph::default();
        assert_eq!(graph.upsert(item("rs", &[], &[], false)), []);
        assert_eq!(graph.upsert(item("pod", &["rs"], &[], false)), []);
        assert_eq!(graph.remove("rs"), [delete("pod")]);
        assert!(graph.is_absent("rs"));
        assert_eq!(graph.remove("pod"), []);
    }

    #[test]
    fn an_owner_that_was_never_seen_is_looked_up() {
        let mut graph = Graph::default();
        assert_eq!(graph.upsert(item("pod", &["rs"], &[], false)), [delete("rs")]);
        assert!(graph.get("rs").unwrap().is_virtual);
        assert_eq!(graph.remove("rs"), [delete("pod")], "the look-up found nothing");
    }

    #[test]
    fn foreground_deletion_goes_from_the_dependents_up() {
        let mut graph = Graph::default();
        graph.upsert(item("rs", &[], &[], false));
        graph.upsert(item("pod", &["rs"], &[], false));
        let tasks = graph.upsert(item("rs", &[], &[FOREGROUND], true));
        assert_eq!(tasks, [delete("pod"), delete("rs")]);
        assert_eq!(graph.blocking_dependents("rs").len(), 1);
        assert_eq!(graph.remove("pod"), [delete("rs")]);
        assert!(graph.blocking_dependents("rs").is_empty());
    }

    #[test]
    fn an_owner_that_orphans_is_told_once() {
        let mut graph = Graph::default();
        graph.upsert(item("rs", &[], &[], false));
        assert_eq!(graph.upsert(item("rs", &[], &[ORPHAN], true)), [Task::Orphan("rs".into())]);
        assert_eq!(graph.upsert(item("rs", &[], &[ORPHAN], true)), []);
    }

    #[test]
    fn a_dependent_that_lets_go_unblocks_its_owner() {
        let mut graph = Graph::default();
        graph.upsert(item("rs", &[], &[], false));
        graph.upsert(item("pod", &["rs"], &[], false));
        graph.upsert(item("rs", &[], &[FOREGROUND], true));
        assert_eq!(graph.upsert(item("pod", &[], &[], false)), [delete("rs")]);
    }
}
