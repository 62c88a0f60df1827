//! The patch that kubectl's client-side apply sends. Counterparts: `CreateThreeWayMergePatch` of
//! `k8s.io/apimachinery/pkg/util/strategicpatch`, `util.GetModifiedConfiguration` of kubectl.

use serde_json::{Map, Value, json};

use super::keys::{Schema, Strategy};
use super::list::{holds_objects, identity, sort_by_order, without_duplicates};
use super::strategic::{DELETE_FROM_LIST, Mode, PATCH, RETAIN_KEYS, SET_ORDER, merge_map};
use crate::canonical::{go_text, sorted};
use crate::resource::GroupVersionKind;
use crate::status::Status;

/// The annotation in which kubectl keeps what was applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object with itself in the annotation [`LAST_APPLIED`], as kubectl sends it.
pub fn with_last_applied(object: &Value) -> Value {
    let mut annotated = object.clone();
    if !annotated["metadata"]["annotations"].is_object() {
        annotated["metadata"]["annotations"] = json!({});
    }
    let annotations =
        annotated["metadata"]["annotations"].as_object_mut().expect("made an object just above");
    annotations.shift_remove(LAST_APPLIED);
    let text = escape_html(&sorted(&annotated).to_string());
    annotated["metadata"]["annotations"][LAST_APPLIED] = json!(format!("{text}\n"));
    annotated
}

/// What was applied last to a live object, if it was ever applied.
pub fn last_applied(live: &Value) -> Option<Value> {
    serde_json::from_str(live.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()?).ok()
}

/// Go's JSON encoder writes these characters as escapes.
fn escape_html(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The strategic merge patch that changes `live` where `modified` says something else, and deletes what
/// `last_applied` had and `modified` lacks. Null stands for an object that was never applied.
///
/// Where a list's element lacks its merge key, kubectl gives up; here the patch is all of `modified`, so that
/// the server's answer names the mistake.
pub fn apply_patch(gvk: &GroupVersionKind, last_applied: &Value, modified: &Value, live: &Value) -> Value {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (last_applied, wanted, live) = (fields(last_applied), fields(modified), fields(live));
    let schema = Schema::of(gvk);
    let patch = || -> Result<Map<String, Value>, Status> {
        let changes = diff_maps(&live, &wanted, schema, false, Wanted::ChangesAndAdditions)?;
        let mut patch = diff_maps(&last_applied, &wanted, schema, false, Wanted::Deletions)?;
        merge_map(&mut patch, &changes, schema, Mode::Patch)?;
        Ok(patch)
    };
    patch().map_or_else(|_| modified.clone(), |patch| sorted(&Value::Object(patch)))
}

/// Which differences a diff reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    ChangesAndAdditions,
    Deletions,
}

use Wanted::{ChangesAndAdditions, Deletions};

/// The patch from `original` to `modified`, empty if there is nothing to report.
fn diff_maps(
    original: &Map<String, Value>,
    modified: &Map<String, Value>,
    schema: Schema,
    retain_keys: bool,
    wanted: Wanted,
) -> Result<Map<String, Value>, Status> {
    let mut patch = Map::new();
    for (name, new) in modified {
        let (inner, strategy) = schema.field(name);
        match (original.get(name), new) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                let changes = diff_maps(old, new, inner, strategy.retains_keys(), wanted)?;
                if !changes.is_empty() {
                    patch.insert(name.clone(), Value::Object(changes));
                }
            }
            (Some(Value::Array(old)), Value::Array(new)) if strategy.merges_lists() => {
                let diff = diff_lists(old, new, inner, strategy, wanted)?;
                let directive = |prefix: &str| format!("{prefix}/{name}");
                let entries = [
                    (name.clone(), diff.changes),
                    (directive(DELETE_FROM_LIST), diff.deletions),
                    (directive(SET_ORDER), diff.order),
                ];
                let entries = entries.into_iter().filter(|(_, list)| !list.is_empty());
                patch.extend(entries.map(|(name, list)| (name, Value::Array(list))));
            }
            (old, new) => {
                if wanted == ChangesAndAdditions && old != Some(new) {
                    patch.insert(name.clone(), new.clone());
                }
            }
        }
    }
    let mut gone = original.iter().filter(|(name, _)| !modified.contains_key(*name));
    let loses_a_value = gone.clone().any(|(_, value)| !value.is_null());
    if wanted == Deletions {
        patch.extend(gone.by_ref().map(|(name, _)| (name.clone(), Value::Null)));
    }
    if retain_keys && (!patch.is_empty() || loses_a_value) {
        let mut names: Vec<&String> =
            modified.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name).collect();
        names.sort();
        if !names.is_empty() {
            patch.insert(RETAIN_KEYS.to_owned(), json!(names));
        }
    }
    Ok(patch)
}

/// The difference of two lists that merge.
#[derive(Default)]
struct ListDiff {
    /// Elements to merge, then those to delete by their key.
    changes: Vec<Value>,
    /// Scalars to delete.
    deletions: Vec<Value>,
    order: Vec<Value>,
}

fn diff_lists(
    original: &[Value],
    modified: &[Value],
    inner: Schema,
    strategy: Strategy,
    wanted: Wanted,
) -> Result<ListDiff, Status> {
    if original.is_empty() {
        let changes = if wanted == ChangesAndAdditions { modified.to_vec() } else { Vec::new() };
        return Ok(ListDiff { changes, ..Default::default() });
    }
    if holds_objects(original, modified)? != Some(true) {
        return Ok(diff_scalars(original, modified, wanted));
    }
    let key = strategy.merge_key().unwrap_or_default();
    let mut diff = diff_objects(original, modified, inner, strategy, wanted)?;
    diff.changes = sort_by_order(diff.changes, modified, Some(key));
    let keys = |list: &[Value]| list.iter().map(|item| item.get(key).cloned()).collect::<Vec<_>>();
    let reordered = wanted == ChangesAndAdditions && keys(original) != keys(modified);
    if !diff.changes.is_empty() || reordered {
        let mut order = modified.iter().map(|item| json!({key: item[key]})).collect();
        diff.order.append(&mut order);
    }
    Ok(diff)
}

/// Pairs up elements with equal keys, in order where a key occurs twice.
fn diff_objects(
    original: &[Value],
    modified: &[Value],
    inner: Schema,
    strategy: Strategy,
    wanted: Wanted,
) -> Result<ListDiff, Status> {
    let key = strategy.merge_key().unwrap_or_default();
    let mut changes = Vec::new();
    let mut unmatched: Vec<(String, &Value)> = Vec::with_capacity(original.len());
    for item in original {
        unmatched.push((go_text(identity(item, Some(key))?), item));
    }
    for new in modified {
        let new_key = identity(new, Some(key))?;
        let text = go_text(new_key);
        let matched = unmatched.iter().position(|(old_key, _)| *old_key == text);
        let Some(matched) = matched else {
            if wanted == ChangesAndAdditions {
                changes.push(new.clone());
            }
            continue;
        };
        let (_, old) = unmatched.remove(matched);
        let (Value::Object(old), Value::Object(new)) = (old, new) else { continue };
        let mut change = diff_maps(old, new, inner, strategy.retains_keys(), wanted)?;
        if !change.is_empty() {
            change.insert(key.to_owned(), new_key.clone());
            changes.push(Value::Object(change));
        }
    }
    if wanted == Deletions {
        unmatched.sort_by(|left, right| left.0.cmp(&right.0));
        changes.extend(unmatched.iter().map(|(_, item)| json!({key: item[key], PATCH: "delete"})));
    }
    Ok(ListDiff { changes, ..Default::default() })
}

/// Like kubectl, this sorts what is there first. So deletions are sorted, and an order that is not alphabetic
/// is sent even if nothing changed.
fn diff_scalars(original: &[Value], modified: &[Value], wanted: Wanted) -> ListDiff {
    let mut original = original.to_vec();
    original.sort_by_key(go_text);
    let reordered = wanted == ChangesAndAdditions && original != modified;
    let mut additions = Vec::new();
    for item in modified {
        match original.iter().position(|old| old == item) {
            Some(matched) => _ = original.remove(matched),
            None => additions.push(item.clone()),
        }
    }
    let (changes, deletions) = match wanted {
        ChangesAndAdditions => (additions, Vec::new()),
        Deletions => (Vec::new(), without_duplicates(original)),
    };
    let order = if reordered || !deletions.is_empty() { modified.to_vec() } else { Vec::new() };
    ListDiff { changes, deletions, order }
}
