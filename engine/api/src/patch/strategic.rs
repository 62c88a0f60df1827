//! Strategic merge patch: lists of objects merge by key.

use serde_json::{Map, Value};

use super::keys::merge_key;
use crate::resource::GroupVersionKind;
use crate::status::Status;

/// Merges the patch into the target, lists by their merge keys.
pub fn strategic_merge_patch(
    gvk: &GroupVersionKind,
    target: &mut Value,
    patch: &Value,
) -> Result<(), Status> {
    let Value::Object(changes) = patch else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let fields = target.as_object_mut().expect("made an object just above");
    for (name, change) in changes.iter().filter(|(name, _)| !name.starts_with('$')) {
        let slot = fields.entry(name.clone()).or_insert(Value::Null);
        match (slot, change) {
            (_, Value::Null) => _ = fields.shift_remove(name),
            (slot, Value::Object(_)) => strategic_merge_patch(gvk, slot, change)?,
            (Value::Array(items), Value::Array(new)) if merge_key(name).is_some() => {
                let key = merge_key(name).unwrap_or_default();
                for item in new {
                    let same = items.iter_mut().find(|old| old.get(key) == item.get(key));
                    match same {
                        Some(old) => strategic_merge_patch(gvk, old, item)?,
                        None => items.push(item.clone()),
                    }
                }
            }
            (slot, change) => *slot = change.clone(),
        }
    }
    Ok(())
}
