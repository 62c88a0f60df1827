//! kubectl's client-side apply.

use serde_json::{Map, Value};

use crate::resource::GroupVersionKind;

/// The patch that makes `live` what was `modified`, and takes away what was only in `last_applied`.
pub fn apply_patch(gvk: &GroupVersionKind, last_applied: &Value, modified: &Value, live: &Value) -> Value {
    let mut patch = Map::new();
    for (name, wanted) in modified.as_object().into_iter().flatten() {
        let (old, now) = (&last_applied[name.as_str()], &live[name.as_str()]);
        if wanted.is_object() && now.is_object() {
            let inner = apply_patch(gvk, old, wanted, now);
            if inner.as_object().is_some_and(|fields| !fields.is_empty()) {
                patch.insert(name.clone(), inner);
            }
        } else if wanted != now {
            patch.insert(name.clone(), wanted.clone());
        }
    }
    for name in last_applied.as_object().into_iter().flatten().map(|(name, _)| name) {
        if modified.get(name).is_none() && live.get(name).is_some() {
            patch.insert(name.clone(), Value::Null);
        }
    }
    Value::Object(patch)
}
