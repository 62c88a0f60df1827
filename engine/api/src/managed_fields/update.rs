//! What a create, an update or a patch does to the managers. Counterpart: `Updater.Update`, `managedfieldsupdater.go`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::compare::{Comparison, compare, field_element};
use super::custom::FieldSchema;
use super::schema::Shape;
use super::set::FieldSet;
use super::{Entry, FieldsType, ManagedFields, Operation};
use crate::meta::{ObjectMeta, Time};
use crate::object::Object;
use crate::resource::GroupVersionKind;

/// More managers that update than these are merged into one.
const UPDATERS_MAX: usize = 10;
const OLDEST: &str = "ancient-changes";

/// Metadata that a write of the status leaves as it was.
const KEPT_BY_STATUS: &[&str] = &["labels", "ownerReferences"];

/// Fields of metadata that nobody manages.
const UNMANAGED: [&str; 8] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "generation",
    "managedFields",
    "resourceVersion",
];

/// Who writes, through what, and when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    pub manager: &'a str,
    /// Empty: the object itself.
    pub subresource: &'a str,
    /// Whether the kind's status can only be written through its subresource.
    pub has_status: bool,
    /// That of a custom resource; `None` for built-in kinds.
    pub schema: Option<FieldSchema>,
    pub now: Time,
}

impl Writer<'_> {
    /// The shape of the whole objects that are written.
    pub(super) fn shape(&self, gvk: &GroupVersionKind) -> Shape {
        self.schema.map_or_else(|| Shape::of(gvk), FieldSchema::shape)
    }

    pub(super) fn entry(&self, operation: Operation, object: &Object, fields: FieldSet) -> Entry {
        Entry {
            manager: if self.manager.is_empty() { "unknown" } else { self.manager }.to_owned(),
            operation,
            api_version: object.api_version.clone(),
            time: Some(self.now),
            fields_type: FieldsType::FieldsV1,
            fields: Arc::new(fields),
            subresource: self.subresource.to_owned(),
        }
    }

    /// Whether this way of writing changes nothing in that field of the object.
    pub(super) fn resets(&self, field: &str) -> bool {
        match (self.subresource, field) {
            (_, "apiVersion" | "kind") => true,
            ("status", field) => !matches!(field, "status" | "metadata"),
            (_, "status") => self.has_status,
            _ => false,
        }
    }

    /// A set without what this way of writing resets and without what nobody manages.
    pub(super) fn managed(&self, set: FieldSet) -> FieldSet {
        let metadata = set.child("f:metadata").cloned().unwrap_or_default();
        let is_unmanaged = |element: &str| {
            let name = element.strip_prefix("f:").unwrap_or_default();
            UNMANAGED.contains(&name) || self.subresource == "status" && KEPT_BY_STATUS.contains(&name)
        };
        let mut metadata = metadata.without(is_unmanaged);
        metadata.member = false;
        let rest = set.without(|element| {
            element == "f:metadata" || element.strip_prefix("f:").is_some_and(|name| self.resets(name))
        });
        rest.union(&FieldSet::node(false, vec![("f:metadata".into(), metadata)]))
    }

    /// How two states differ, seen this way of writing.
    pub(super) fn compare(&self, live: Option<&Object>, new: &Object) -> Comparison {
        let shape = self.shape(&new.gvk());
        let mut inner = Vec::new();
        let nothing = ObjectMeta::default();
        let before = live.map_or(&nothing, |live| &live.metadata);
        if !is_managed_metadata_same(before, &new.metadata) {
            let (old, now) = (managed_metadata(before), managed_metadata(&new.metadata));
            inner.push(("f:metadata".into(), compare(shape.field("metadata"), Some(&old), Some(&now))));
        }
        let implied = Value::Object(Map::new());
        let none = Map::new();
        let old_fields = live.map_or(&none, |live| &live.rest);
        let gone = old_fields.keys().filter(|name| !new.rest.contains_key(*name));
        for name in new.rest.keys().chain(gone).filter(|name| !self.resets(name)) {
            let stands_in =
                shape.struct_type().is_some_and(|of| of.is_always_there(name)).then_some(&implied);
            let old = old_fields.get(name).or(stands_in);
            let now = new.rest.get(name).or(stands_in);
            if old != now {
                inner.push((field_element(name), compare(shape.field(name), old, now)));
            }
        }
        Comparison::node(false, false, inner)
    }
}

/// Whether [`managed_metadata`] is the same of both.
fn is_managed_metadata_same(old: &ObjectMeta, new: &ObjectMeta) -> bool {
    old.generate_name == new.generate_name
        && old.labels == new.labels
        && old.annotations == new.annotations
        && old.finalizers == new.finalizers
        && old.owner_references == new.owner_references
        && old.deletion_timestamp == new.deletion_timestamp
        && old.deletion_grace_period_seconds == new.deletion_grace_period_seconds
}

/// What of an object's metadata has managers.
fn managed_metadata(meta: &ObjectMeta) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_set = match &value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        };
        if is_set {
            fields.insert(name.to_owned(), value);
        }
    };
    let texts = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect()
    };
    put("generateName", Value::from(meta.generate_name.as_str()));
    put("labels", Value::Object(texts(&meta.labels)));
    put("annotations", Value::Object(texts(&meta.annotations)));
    put("finalizers", meta.finalizers.iter().map(String::as_str).collect());
    let owners = |owner| serde_json::to_value(owner).expect("owners are made of strings and flags");
    put("ownerReferences", meta.owner_references.iter().map(owners).collect());
    if let Some(time) = meta.deletion_timestamp {
        put("deletionTimestamp", Value::from(time.to_string()));
    }
    put("deletionGracePeriodSeconds", meta.deletion_grace_period_seconds.map_or(Value::Null, Value::from));
    Value::Object(fields)
}

/// The managers of `new` after a write that made it of `live` (`None`: of nothing). What the client says of managers
/// counts, except through a subresource.
pub fn update(live: Option<&Object>, new: &Object, writer: Writer<'_>) -> ManagedFields {
    let given = &new.metadata.managed_fields;
    let none = ManagedFields::default();
    let before = match live {
        _ if writer.subresource.is_empty() && given.is_reset() => &none,
        _ if writer.subresource.is_empty() && !given.is_empty() => given,
        Some(live) => &live.metadata.managed_fields,
        None => &none,
    };
    let Comparison { changed, removed } = writer.compare(live, new);
    if changed.is_empty() && removed.is_empty() {
        return before.clone();
    }
    let mut entries = before.entries().to_vec();
    for entry in &mut entries {
        if entry.fields.meets(&changed) || entry.fields.meets(&removed) {
            entry.fields = Arc::new(entry.fields.difference(&changed).difference(&removed));
        }
    }
    if !changed.is_empty() {
        let mut own = writer.entry(Operation::Update, new, changed);
        if let Some(index) = entries.iter().position(|entry| entry.is_of(&own)) {
            own.fields = Arc::new(own.fields.union(&entries.swap_remove(index).fields));
        }
        entries.push(own);
    }
    entries.retain(|entry| !entry.fields.is_empty());
    cap(&mut entries);
    ManagedFields::new(entries)
}

/// Merges the oldest of too many managers that update.
fn cap(entries: &mut Vec<Entry>) {
    let updaters =
        |entries: &[Entry]| entries.iter().filter(|entry| entry.operation == Operation::Update).count();
    if updaters(entries) <= UPDATERS_MAX {
        return;
    }
    let sorted = ManagedFields::new(std::mem::take(entries));
    *entries = sorted.entries().to_vec();
    let mut index = 0;
    while updaters(entries) > UPDATERS_MAX && index < entries.len() {
        let is_update = |entry: &Entry| entry.operation == Operation::Update;
        let version = entries[index].api_version.clone();
        let earlier =
            entries[..index].iter().position(|entry| is_update(entry) && entry.api_version == version);
        match earlier.filter(|_| is_update(&entries[index])) {
            Some(bucket) => {
                let merged = entries.remove(index);
                let bucket = &mut entries[bucket];
                bucket.fields = Arc::new(bucket.fields.union(&merged.fields));
                bucket.time = merged.time;
                OLDEST.clone_into(&mut bucket.manager);
                bucket.subresource.clear();
            }
            None => index += 1,
        }
    }
}
