//! Who manages which fields of an object, and server-side apply, which lives by it.
//! Counterparts: `k8s.io/apimachinery/pkg/util/managedfields`, `sigs.k8s.io/structured-merge-diff`.
//!
//! - `set`: sets of fields, in the form of `fieldsV1`.
//! - `schema`: which lists and maps have elements with owners of their own; `custom`: those of custom resources.
//! - `compare`, `merge`: on plain JSON, by schema.
//! - `update`, `apply`: what a write does to the managers.

mod apply;
mod compare;
mod custom;
mod merge;
mod schema;
mod set;
mod update;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::meta::Time;

pub use apply::{ApplyError, Conflict, apply, path_text};
pub use custom::{FieldSchema, FieldShape};
pub use set::FieldSet;
pub use update::{Writer, update};

/// `metadata.managedFields`. Clones share their entries.
#[derive(Debug, Clone, Default)]
pub struct ManagedFields(Option<Arc<[Entry]>>);

/// How a manager came to its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    Apply,
    Update,
}

/// One manager with its fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    fields_type: FieldsType,
    #[serde(rename = "fieldsV1")]
    pub fields: Arc<FieldSet>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum FieldsType {
    FieldsV1,
}

impl ManagedFields {
    /// In upstream's order: those who apply, then those who update, each by time.
    fn new(mut entries: Vec<Entry>) -> ManagedFields {
        if entries.is_empty() {
            return ManagedFields(None);
        }
        let seconds = |entry: &Entry| entry.time.map(|Time(at)| at.as_second());
        entries.sort_by(|left, right| {
            let key = |entry| (Entry::operation(entry), seconds(entry));
            let names =
                |entry: &Entry| [entry.manager.clone(), entry.api_version.clone(), entry.subresource.clone()];
            key(left).cmp(&key(right)).then_with(|| names(left).cmp(&names(right)))
        });
        ManagedFields(Some(entries.into()))
    }

    pub fn entries(&self) -> &[Entry] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// Whether a client sent the empty list with which it takes everybody's fields away.
    fn is_reset(&self) -> bool {
        self.0.as_ref().is_some_and(|entries| entries.is_empty())
    }

    /// Whether the managers and their fields are the same, whenever they came to them.
    pub fn is_same_but_for_times(&self, other: &ManagedFields) -> bool {
        let untimed = |entry: &Entry| Entry { time: None, ..entry.clone() };
        *self == *other || self.entries().iter().map(untimed).eq(other.entries().iter().map(untimed))
    }
}

impl PartialEq for ManagedFields {
    fn eq(&self, other: &ManagedFields) -> bool {
        match (&self.0, &other.0) {
            (Some(left), Some(right)) => Arc::ptr_eq(left, right) || left == right,
            (left, right) => left.is_none() && right.is_none(),
        }
    }
}

impl Entry {
    fn operation(&self) -> Operation {
        self.operation
    }

    /// Whether both are the same manager. One that applies stays the same in another version.
    fn is_of(&self, other: &Entry) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    fn parse(value: &Value) -> Option<Entry> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("fieldsType") != "FieldsV1" || text("apiVersion").is_empty() {
            return None;
        }
        let time = value.get("time").filter(|time| !time.is_null());
        Some(Entry {
            manager: text("manager"),
            operation: Operation::deserialize(value.get("operation")?).ok()?,
            api_version: text("apiVersion"),
            time: time.map(Time::deserialize).transpose().ok()?,
            fields_type: FieldsType::FieldsV1,
            fields: Arc::new(value.get("fieldsV1").map_or(Some(FieldSet::default()), FieldSet::parse)?),
            subresource: text("subresource"),
        })
    }
}

impl Serialize for ManagedFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries().serialize(serializer)
    }
}

/// A list of which an entry cannot be read counts as none, so that no client loses managers by accident.
impl<'de> Deserialize<'de> for ManagedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ManagedFields, D::Error> {
        let Some(values) = Option::<Vec<Value>>::deserialize(deserializer)? else {
            return Ok(ManagedFields(None));
        };
        let is_reset = values.iter().all(|value| value.as_object().is_some_and(|entry| entry.is_empty()));
        if is_reset && values.len() < 2 {
            return Ok(ManagedFields(Some(Arc::new([]))));
        }
        Ok(ManagedFields(values.iter().map(Entry::parse).collect::<Option<Vec<Entry>>>().map(Arc::from)))
    }
}
