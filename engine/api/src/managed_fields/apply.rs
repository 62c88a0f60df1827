//! Server-side apply: a configuration is merged in, and what its manager no longer says goes.
//! Counterpart: `Updater.Apply`, `lastappliedmanager.go`, `lastappliedupdater.go`, `conflict.go`.

use std::sync::Arc;

use serde_json::Value;

use super::compare::{compare, fields_in};
use super::custom::FieldSchema;
use super::merge::{merge, remove, with_named_fields};
use super::schema::Shape;
use super::set::{FieldSet, shown};
use super::update::Writer;
use super::{Entry, ManagedFields, Operation};
use crate::object::Object;
use crate::patch::{LAST_APPLIED, last_applied, with_last_applied};
use crate::resource::GroupVersionKind;
use crate::status::{Status, StatusCause};

/// The manager that takes over what the same person applied from the client's side.
const KUBECTL: &str = "kubectl";

/// Why a configuration is not applied.
#[derive(Debug)]
pub enum ApplyError {
    /// Others manage what it would change.
    Conflicts(Vec<Conflict>),
    /// The result is no object.
    Malformed(String),
}

/// A field that another manager has with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// `"kubectl-edit" using apps/v1`
    pub manager: String,
    /// `.spec.replicas`
    pub field: String,
}

/// The object with the configuration applied, and with its managers.
pub fn apply(live: &Object, config: &Value, force: bool, writer: Writer<'_>) -> Result<Object, ApplyError> {
    match try_apply(live, config, force, writer) {
        Err(ApplyError::Conflicts(conflicts)) if writer.manager == KUBECTL => {
            let taken_over = applied_from_the_client(live, writer);
            let left: Vec<Conflict> =
                conflicts.into_iter().filter(|conflict| !taken_over.contains(&conflict.field)).collect();
            if left.is_empty() {
                try_apply(live, config, true, writer)
            } else {
                Err(ApplyError::Conflicts(left))
            }
        }
        result => result,
    }
}

fn try_apply(live: &Object, config: &Value, force: bool, writer: Writer<'_>) -> Result<Object, ApplyError> {
    let shape = writer.shape(&live.gvk());
    let own = writer.entry(Operation::Apply, live, writer.managed(fields_in(shape, config)));
    let mut entries = live.metadata.managed_fields.entries().to_vec();
    let previous = entries.iter().position(|entry| entry.is_of(&own)).map(|index| entries.remove(index));

    let mut present = live.clone();
    present.metadata.managed_fields = ManagedFields::default();
    let mut value = merge(shape, &present.to_value(), config);
    if let Some(previous) = &previous {
        let appliers = entries.iter().filter(|entry| entry.operation == Operation::Apply);
        let kept = appliers.fold((*own.fields).clone(), |all, entry| all.union(&entry.fields));
        let kept = with_named_fields(shape, &kept);
        remove(shape, &mut value, &with_named_fields(shape, &previous.fields).difference(&kept));
    }
    if writer.schema.is_none() {
        drop_nulls(&mut value);
    }
    let mut new = Object::from_value(value).map_err(|error| ApplyError::Malformed(error.to_string()))?;

    let comparison = writer.compare(Some(live), &new);
    // What the configuration sets to null is changed, not given up.
    let set_to_null = comparison.removed.intersection(&own.fields);
    let (changed, removed) = (&comparison.changed.union(&set_to_null), &comparison.removed);
    if !force {
        let conflicts = conflicts(&entries, changed);
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
    }
    for entry in &mut entries {
        entry.fields = Arc::new(entry.fields.difference(changed).difference(removed));
    }
    // An apply that changes nothing leaves the time as it was.
    let time = if comparison.is_same() { previous.and_then(|previous| previous.time) } else { own.time };
    entries.push(Entry { time, ..own });
    entries.retain(|entry| !entry.fields.is_empty());
    new.metadata.managed_fields = ManagedFields::new(entries);
    if writer.manager == KUBECTL
        && new.metadata.annotations.get(LAST_APPLIED).is_some_and(|text| !text.is_empty())
    {
        let text = with_last_applied(config)["metadata"]["annotations"][LAST_APPLIED].take();
        let text = text.as_str().unwrap_or_default().to_owned();
        new.metadata.annotations.insert(LAST_APPLIED.to_owned(), text);
    }
    Ok(new)
}

/// A field of a built-in kind that is null is not there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The fields that still are as `kubectl apply` left them: whoever applies them from the server's side owns them already.
fn applied_from_the_client(live: &Object, writer: Writer<'_>) -> Vec<String> {
    let mut live = live.clone();
    live.metadata.managed_fields = ManagedFields::default();
    let value = live.to_value();
    let Some(applied) = last_applied(&value).filter(|applied| applied["apiVersion"] == *live.api_version)
    else {
        return Vec::new();
    };
    let shape = writer.shape(&live.gvk());
    let comparison = compare(shape, Some(&applied), Some(&value));
    let set = writer.managed(fields_in(shape, &applied));
    set.difference(&comparison.changed).difference(&comparison.removed).paths()
}

fn conflicts(entries: &[Entry], changed: &FieldSet) -> Vec<Conflict> {
    let of = |entry: &Entry| {
        let mut manager = format!("{:?}", entry.manager);
        if !entry.subresource.is_empty() {
            manager.push_str(&format!(" with subresource {:?}", entry.subresource));
        }
        if entry.operation == Operation::Update {
            manager.push_str(&format!(" using {}", entry.api_version));
        }
        let fields = entry.fields.intersection(changed).paths();
        fields.into_iter().map(move |field| Conflict { manager: manager.clone(), field }).collect::<Vec<_>>()
    };
    entries.iter().flat_map(of).collect()
}

/// A path such as `spec.containers[0].foo` as conflicts show it: `.spec.containers[name="c"].foo`.
pub fn path_text(gvk: &GroupVersionKind, schema: Option<FieldSchema>, object: &Value, path: &str) -> String {
    let mut text = String::new();
    let (mut shape, mut value) = (schema.map_or_else(|| Shape::of(gvk), FieldSchema::shape), object);
    for part in path.split('.') {
        let (name, indices) = part.split_once('[').map_or((part, ""), |(name, rest)| (name, rest));
        text.push_str(&format!(".{name}"));
        (shape, value) = (shape.field(name), &value[name]);
        for index in indices.split('[').filter_map(|index| index.trim_end_matches(']').parse::<usize>().ok())
        {
            let item = &value[index];
            let element = shape.items_of(value).and_then(|_| shape.element(item));
            text.push_str(&element.map_or_else(|| format!("[{index}]"), |element| shown(&element)));
            (shape, value) = (shape.item(), item);
        }
    }
    text
}

impl ApplyError {
    /// 409 with a cause for each conflict, or 500.
    pub fn into_status(self) -> Status {
        let mut conflicts = match self {
            ApplyError::Malformed(error) => return Status::failure(500, "", error),
            ApplyError::Conflicts(conflicts) => conflicts,
        };
        conflicts.sort_by(|left, right| left.manager.cmp(&right.manager));
        let message = match conflicts.as_slice() {
            [one] => format!("Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.field),
            many => {
                let mut lines = Vec::new();
                for (index, conflict) in many.iter().enumerate() {
                    if index == 0 || many[index - 1].manager != conflict.manager {
                        lines.push(format!("conflicts with {}:", conflict.manager));
                    }
                    lines.push(format!("- {}", conflict.field));
                }
                format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
            }
        };
        let cause = |conflict: &Conflict| StatusCause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {}", conflict.manager),
            field: conflict.field.clone(),
        };
        let causes = conflicts.iter().map(cause).collect();
        let mut status = Status::failure(409, "Conflict", message);
        status.details = Some(crate::status::StatusDetails { causes, ..Default::default() });
        status
    }
}
