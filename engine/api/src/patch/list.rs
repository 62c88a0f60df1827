//! Lists in a strategic merge patch: merged by key, and put in order.

use serde_json::{Map, Value};

use super::keys::{Schema, Strategy};
use super::strategic::{Mode, PATCH, bad_patch_type, merge_map, unexpected, without_directives};
use crate::canonical::go_text;
use crate::status::Status;

/// Merges a patch's list into a list that merges, by key or as a set.
pub(super) fn merge(
    mut original: Vec<Value>,
    patch: &[Value],
    inner: Schema,
    strategy: Strategy,
    mode: Mode,
) -> Result<Vec<Value>, Status> {
    let Some(of_objects) = holds_objects(&original, patch)? else { return Ok(original) };
    if !of_objects {
        let mut merged = original.clone();
        merged.extend(patch.iter().cloned());
        return arrange(without_duplicates(merged), patch, &original, None);
    }
    let Some(key) = strategy.merge_key() else {
        return Err(unexpected("cannot merge lists without merge key".to_owned()));
    };
    let changes = follow_element_directives(&mut original, patch, key, mode)?;
    let mut merged = original.clone();
    for change in &changes {
        let wanted = identity(change, Some(key))?;
        match merged.iter().position(|item| item.get(key) == Some(wanted)) {
            Some(index) => {
                let fields = merged[index].as_object_mut().expect("an element with a key is an object");
                merge_map(fields, object(change)?, inner, mode)?;
            }
            None => merged.extend(without_directives(change, mode)),
        }
    }
    arrange(merged, &changes, &original, Some(key))
}

/// Carries out `$patch` in the patch's elements and returns those that are left.
fn follow_element_directives(
    original: &mut Vec<Value>,
    patch: &[Value],
    key: &str,
    mode: Mode,
) -> Result<Vec<Value>, Status> {
    let mut changes = Vec::new();
    let mut replace = false;
    for change in patch {
        let fields = object(change)?;
        let Some(directive) = fields.get(PATCH) else {
            changes.push(change.clone());
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let gone = identity(change, Some(key))?;
                original.retain(|item| item.get(key) != Some(gone));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(unexpected("merging lists cannot yet be specified in the patch".to_owned()));
            }
            _ => return Err(bad_patch_type(directive, fields)),
        }
    }
    if replace {
        let elements = std::mem::take(&mut changes);
        *original = elements.iter().filter_map(|element| without_directives(element, mode)).collect();
    }
    Ok(changes)
}

/// The order that counts as the server's in [`arrange`]: its own, and after it as many of the patch's new
/// elements as the patch deletes. Upstream reuses the places of the deleted ones.
pub(super) fn known_order(server: &[Value], patch: &[Value], merge_key: Option<&str>) -> Vec<Value> {
    let (deletions, elements): (Vec<&Value>, Vec<&Value>) = patch.iter().partition(|item| is_deletion(item));
    let deleted = deletions.iter().filter(|item| index(server, item, merge_key).is_some()).count();
    let new = elements.into_iter().filter(|item| index(server, item, merge_key).is_none());
    server.iter().chain(new.take(deleted)).cloned().collect()
}

/// Puts a merged list in order: elements of the patch as `order` has them, the others as the server had them;
/// where the server knew both, its order decides between the two groups. Deletions go last.
pub(super) fn arrange(
    merged: Vec<Value>,
    order: &[Value],
    server_order: &[Value],
    merge_key: Option<&str>,
) -> Result<Vec<Value>, Status> {
    for item in merged.iter().chain(order) {
        identity(item, merge_key)?;
    }
    let (of_patch, of_server): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| index(order, item, merge_key).is_some());
    let mut of_patch = sort_by_order(of_patch, order, merge_key).into_iter().peekable();
    let mut of_server = sort_by_order(of_server, server_order, merge_key).into_iter().peekable();
    let mut arranged = Vec::new();
    while let (Some(server), Some(patch)) = (of_server.peek(), of_patch.peek()) {
        let places = index(server_order, server, merge_key).zip(index(server_order, patch, merge_key));
        let server_first = places.is_some_and(|(server, patch)| server < patch);
        arranged.extend(if server_first { of_server.next() } else { of_patch.next() });
    }
    arranged.extend(of_patch);
    arranged.extend(of_server);
    Ok(arranged)
}

/// Sorts elements by their place in `order`, deletions last.
pub(super) fn sort_by_order(mut items: Vec<Value>, order: &[Value], merge_key: Option<&str>) -> Vec<Value> {
    let place = |item: &Value| index(order, item, merge_key).unwrap_or(usize::MAX);
    items.sort_by_key(|item| (is_deletion(item), place(item)));
    items
}

fn is_deletion(item: &Value) -> bool {
    item.get(PATCH).and_then(Value::as_str) == Some("delete")
}

fn index(list: &[Value], wanted: &Value, merge_key: Option<&str>) -> Option<usize> {
    let same = |item: &Value| match merge_key {
        Some(key) => item.get(key) == wanted.get(key),
        None => item == wanted,
    };
    list.iter().position(same)
}

/// What tells an element of a list from the others: the value of its merge key, or all of it.
pub(super) fn identity<'a>(item: &'a Value, merge_key: Option<&str>) -> Result<&'a Value, Status> {
    let Some(key) = merge_key else { return Ok(item) };
    let fields = object(item)?;
    fields.get(key).ok_or_else(|| {
        unexpected(format!("map: {} does not contain declared merge key: {key}", go_text(item)))
    })
}

/// Whether the elements of both lists are objects rather than scalars; `None` if there is no element.
pub(super) fn holds_objects(left: &[Value], right: &[Value]) -> Result<Option<bool>, Status> {
    let mut items = left.iter().chain(right);
    let Some(first) = items.next() else { return Ok(None) };
    if first.is_array() {
        return Err(Status::failure(422, "", "lists of lists are not supported"));
    }
    if items.any(|item| std::mem::discriminant(item) != std::mem::discriminant(first)) {
        let lists = Value::from(vec![Value::from(left), Value::from(right)]);
        return Err(unexpected(format!("list element types are not identical: {}", go_text(&lists))));
    }
    Ok(Some(first.is_object()))
}

pub(super) fn without_duplicates(items: Vec<Value>) -> Vec<Value> {
    let mut unique: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}

fn object(value: &Value) -> Result<&Map<String, Value>, Status> {
    value.as_object().ok_or_else(|| not_a_map(value))
}

fn not_a_map(value: &Value) -> Status {
    unexpected(format!("expected a map, but received: {}", go_text(value)))
}
