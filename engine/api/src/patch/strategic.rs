//! Merging a strategic merge patch. Counterpart: `k8s.io/apimachinery/pkg/util/strategicpatch`.
//!
//! Directives in the patch: `$patch: replace | delete` in an object or a list's element, `$retainKeys`,
//! `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::keys::Schema;
use super::list::{self, identity};
use crate::canonical::go_text;
use crate::resource::GroupVersionKind;
use crate::status::Status;

pub(super) const PATCH: &str = "$patch";
pub(super) const RETAIN_KEYS: &str = "$retainKeys";
pub(super) const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
pub(super) const SET_ORDER: &str = "$setElementOrder";

/// What the patch is merged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// An object: directives are carried out and disappear, nulls delete.
    Object,
    /// Another patch: directives and nulls are kept for whoever gets the result.
    Patch,
}

/// Merges the patch into the target, lists by the merge keys of the target's kind. On an error the target is
/// as it was. Kinds without merge keys of their own have those of metadata only.
pub fn strategic_merge_patch(
    gvk: &GroupVersionKind,
    target: &mut Value,
    patch: &Value,
) -> Result<(), Status> {
    let Value::Object(changes) = patch else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    let mut merged = target.as_object().cloned().unwrap_or_default();
    merge_map(&mut merged, changes, Schema::of(gvk), Mode::Object)?;
    *target = Value::Object(merged);
    Ok(())
}

pub(super) fn merge_map(
    original: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    schema: Schema,
    mode: Mode,
) -> Result<(), Status> {
    if let Some(directive) = patch.get(PATCH) {
        return follow_patch_directive(original, patch, directive, mode);
    }
    apply_retain_keys(original, patch, mode)?;
    let ordered = merge_ordered_lists(original, patch, schema, mode)?;
    let mut drop_any = false;
    for (name, change) in patch {
        if name == RETAIN_KEYS || name.starts_with(SET_ORDER) || ordered.contains(name.as_str()) {
            continue;
        }
        if name.starts_with(DELETE_FROM_LIST) {
            delete_from_list(original, name, change, mode)?;
        } else if change.is_null() {
            match mode {
                Mode::Object => drop_any |= original.contains_key(name),
                Mode::Patch => {
                    original.shift_remove(name);
                    original.insert(name.clone(), Value::Null);
                }
            }
        } else {
            merge_field(original, name, change, schema, mode)?;
        }
    }
    if drop_any {
        // In one pass, for there may be very many of them.
        let is_dropped = |name: &str| patch.get(name).is_some_and(Value::is_null) && !ordered.contains(name);
        original.retain(|name, _| !is_dropped(name));
    }
    Ok(())
}

fn merge_field(
    original: &mut Map<String, Value>,
    name: &str,
    change: &Value,
    schema: Schema,
    mode: Mode,
) -> Result<(), Status> {
    let (inner, strategy) = schema.field(name);
    match (original.get_mut(name), change) {
        (Some(Value::Object(fields)), Value::Object(changes)) => merge_map(fields, changes, inner, mode),
        (Some(Value::Array(items)), Value::Array(changes)) if strategy.merges_lists() => {
            *items = list::merge(std::mem::take(items), changes, inner, strategy, mode)?;
            Ok(())
        }
        _ => {
            match without_directives(change, mode) {
                Some(value) => original.insert(name.to_owned(), value),
                None => original.shift_remove(name),
            };
            Ok(())
        }
    }
}

fn follow_patch_directive(
    original: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    directive: &Value,
    mode: Mode,
) -> Result<(), Status> {
    match directive.as_str() {
        Some("replace") => {
            *original = patch.clone();
            original.shift_remove(PATCH);
            if mode == Mode::Object {
                *original = fields_without_directives(original, mode);
            }
        }
        Some("delete") => original.clear(),
        _ => return Err(bad_patch_type(directive, patch)),
    }
    Ok(())
}

/// `$retainKeys`: what is not named goes, and the patch may set only what is named.
fn apply_retain_keys(
    original: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    mode: Mode,
) -> Result<(), Status> {
    let Some(retained) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    if mode == Mode::Patch {
        let kept = original.entry(RETAIN_KEYS).or_insert_with(|| retained.clone());
        if kept != retained {
            let (kept, retained) = (go_text(kept), go_text(retained));
            return Err(unexpected(format!(
                "{kept} and {retained} are not deep equal: this may happen when calculating the 3-way diff patch"
            )));
        }
        return Ok(());
    }
    let bad_format = || Status::bad_request("invalid patch format of retainKeys");
    let names: BTreeSet<&str> =
        retained.as_array().ok_or_else(bad_format)?.iter().filter_map(Value::as_str).collect();
    let is_named = |name: &str| names.contains(name);
    for (name, change) in patch.iter().filter(|(name, _)| *name != RETAIN_KEYS) {
        let is_directive = name.starts_with(DELETE_FROM_LIST) || name.starts_with(SET_ORDER);
        if !change.is_null() && !is_directive && !is_named(name) {
            return Err(bad_format());
        }
    }
    original.retain(|name, _| is_named(name));
    Ok(())
}

/// Merges the lists for which the patch gives an order, and returns their names.
fn merge_ordered_lists<'a>(
    original: &mut Map<String, Value>,
    patch: &'a Map<String, Value>,
    schema: Schema,
    mode: Mode,
) -> Result<BTreeSet<&'a str>, Status> {
    let mut ordered = BTreeSet::new();
    for (directive, order) in patch.iter().filter(|(name, _)| name.starts_with(SET_ORDER)) {
        let name = list_name(directive, SET_ORDER)?;
        if mode == Mode::Patch && original.entry(directive.clone()).or_insert_with(|| order.clone()) != order
        {
            return Err(bad_list_format(SET_ORDER));
        }
        let order = array(order)?;
        let (inner, strategy) = schema.field(name);
        let live = original.get(name).map(array).transpose()?;
        let changes = patch.get(name).map(array).transpose()?;
        validate_order(changes.map(Vec::as_slice).unwrap_or_default(), order, strategy.merge_key())?;
        ordered.insert(name);
        let merged = match (live, changes) {
            (None, None) => continue,
            (Some(live), None) => live.clone(),
            (None, Some(changes)) => without_directives_in_list(changes, mode),
            (Some(live), Some(changes)) if strategy.merges_lists() => {
                list::merge(live.clone(), changes, inner, strategy, mode)?
            }
            (Some(_), Some(changes)) => without_directives_in_list(changes, mode),
        };
        let live = live.map(Vec::as_slice).unwrap_or_default();
        let changes = changes.map(Vec::as_slice).unwrap_or_default();
        if list::holds_objects(live, changes)?.is_none() {
            return Err(unexpected("no elements in any of the given slices".to_owned()));
        }
        let known = list::known_order(live, changes, strategy.merge_key());
        let arranged = list::arrange(merged, order, &known, strategy.merge_key())?;
        original.insert(name.to_owned(), Value::Array(arranged));
    }
    Ok(ordered)
}

/// The patch's elements must stand in the given order.
fn validate_order(changes: &[Value], order: &[Value], merge_key: Option<&str>) -> Result<(), Status> {
    let is_directive = |item: &Value| item.as_object().is_some_and(|fields| fields.contains_key(PATCH));
    if changes.is_empty() || order.is_empty() {
        return Ok(());
    }
    let order_keys = order.iter().map(|item| identity(item, merge_key)).collect::<Result<Vec<_>, _>>()?;
    let mut rest = order_keys.into_iter();
    for change in changes.iter().filter(|change| !is_directive(change)) {
        let wanted = identity(change, merge_key)?;
        if !rest.any(|key| key == wanted) {
            let (changes, order) = (Value::from(changes), Value::from(order));
            return Err(unexpected(format!(
                "The order in patch list:\n{}\n doesn't match {SET_ORDER} list:\n{}\n",
                go_text(&changes),
                go_text(&order)
            )));
        }
    }
    Ok(())
}

fn delete_from_list(
    original: &mut Map<String, Value>,
    directive: &str,
    change: &Value,
    mode: Mode,
) -> Result<(), Status> {
    if mode == Mode::Patch {
        original.insert(directive.to_owned(), change.clone());
        return Ok(());
    }
    let name = list_name(directive, DELETE_FROM_LIST)?;
    if let (Some(Value::Array(items)), Value::Array(gone)) = (original.get_mut(name), change) {
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

/// The field's name in `$directive/FIELD`.
fn list_name<'a>(key: &'a str, directive: &'static str) -> Result<&'a str, Status> {
    let name = key.strip_prefix(directive).and_then(|rest| rest.strip_prefix('/'));
    name.ok_or_else(|| bad_list_format(directive))
}

/// A value that was not there before: without its directives and, in an object, without its nulls. `None` if
/// the value itself is a directive.
pub(super) fn without_directives(value: &Value, mode: Mode) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => Some(Value::Object(fields_without_directives(fields, mode))),
        Value::Array(items) => Some(Value::Array(without_directives_in_list(items, mode))),
        scalar => Some(scalar.clone()),
    }
}

fn fields_without_directives(fields: &Map<String, Value>, mode: Mode) -> Map<String, Value> {
    let is_dropped = |name: &str, field: &Value| {
        mode == Mode::Object
            && (field.is_null()
                || name == RETAIN_KEYS
                || name.starts_with(SET_ORDER)
                || name.starts_with(DELETE_FROM_LIST))
    };
    let kept = fields.iter().filter(|(name, field)| !is_dropped(name, field));
    kept.filter_map(|(name, field)| Some((name.clone(), without_directives(field, mode)?))).collect()
}

fn without_directives_in_list(items: &[Value], mode: Mode) -> Vec<Value> {
    items.iter().filter_map(|item| without_directives(item, mode)).collect()
}

fn array(value: &Value) -> Result<&Vec<Value>, Status> {
    value.as_array().ok_or_else(|| {
        let received = match value {
            Value::Object(_) => "map[string]interface {}",
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_f64() => "float64",
            Value::Number(_) => "int64",
            Value::Null | Value::Array(_) => "%!s(<nil>)",
        };
        unexpected(format!("expected a []interface {{}}, but received a {received}"))
    })
}

/// An error that upstream passes on as it is: no reason, code 500.
pub(super) fn unexpected(message: String) -> Status {
    Status::failure(500, "", message)
}

pub(super) fn bad_patch_type(directive: &Value, patch: &Map<String, Value>) -> Status {
    let patch = go_text(&Value::Object(patch.clone()));
    unexpected(format!("unknown patch type: {} in map: {patch}", go_text(directive)))
}

fn bad_list_format(directive: &str) -> Status {
    let list = if directive == SET_ORDER { "setElementOrder list" } else { "primitive list" };
    Status::bad_request(format!("invalid patch format of {list}"))
}
