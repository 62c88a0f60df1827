//! Merging a configuration into an object, and taking fields out of one.
//! Counterpart: `typed/merge.go`, `typed/remove.go` of structured-merge-diff.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::schema::Shape;
use super::set::FieldSet;

/// Puts what the configuration says over what is there.
pub(super) fn merge(shape: Shape, live: &Value, config: &Value) -> Value {
    // Null is an empty map or list where there is one to be merged with, and otherwise a value of its own.
    if config.is_null() && (shape.fields_of(live).is_some() || shape.items_of(live).is_some()) {
        return live.clone();
    }
    if let Some(fields) = shape.fields_of(config) {
        let mut merged = live.as_object().cloned().unwrap_or_else(Map::new);
        for (name, value) in fields {
            let value = match merged.get(name) {
                Some(live) => merge(shape.field(name), live, value),
                None => value.clone(),
            };
            merged.insert(name.clone(), value);
        }
        return Value::Object(merged);
    }
    match (shape.items_of(live), shape.items_of(config)) {
        (Some(live), Some(config)) => Value::Array(merge_items(shape.item(), &live, &config)),
        _ => config.clone(),
    }
}

/// The configuration's elements come in its order; what only the live list has stays behind what it followed.
fn merge_items(item: Shape, live: &[(Box<str>, &Value)], config: &[(Box<str>, &Value)]) -> Vec<Value> {
    let there: BTreeMap<&str, &Value> = live.iter().map(|(element, value)| (&**element, *value)).collect();
    let wanted: BTreeSet<&str> = config.iter().map(|(element, _)| &**element).collect();
    let mut live = live.iter().peekable();
    let mut merged = Vec::new();
    for (element, value) in config {
        while let Some((_, own)) = live.next_if(|(element, _)| !wanted.contains(&**element)) {
            merged.push((*own).clone());
        }
        live.next_if(|(found, _)| found == element);
        let shared = there.get(&**element);
        merged.push(shared.map_or_else(|| (*value).clone(), |own| merge(item, own, value)));
    }
    merged.extend(live.filter(|(element, _)| !wanted.contains(&**element)).map(|(_, own)| (*own).clone()));
    merged
}

/// Takes out the members of the set with all that is in them; what is empty then goes, too.
pub(super) fn remove(shape: Shape, value: &mut Value, set: &FieldSet) {
    match value {
        Value::Object(fields) => {
            let mut gone = BTreeSet::new();
            for (element, inner) in set.children() {
                let Some(name) = element.strip_prefix("f:") else { continue };
                let Some(field) = fields.get_mut(name) else { continue };
                if !inner.member {
                    remove(shape.field(name), field, inner);
                }
                if inner.member || is_hollow(field) {
                    gone.insert(name);
                }
            }
            if !gone.is_empty() {
                fields.retain(|name, _| !gone.contains(name.as_str()));
            }
        }
        Value::Array(items) => items.retain_mut(|item| {
            let inner = shape.element(item).and_then(|element| set.child(&element));
            match inner {
                Some(inner) if inner.member => false,
                Some(inner) => {
                    remove(shape.item(), item, inner);
                    true
                }
                None => true,
            }
        }),
        _ => {}
    }
}

fn is_hollow(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// The set with the fields of objects through which its paths go. A map's entries and a list's elements on the way
/// belong to whoever has them.
pub(super) fn with_named_fields(shape: Shape, set: &FieldSet) -> FieldSet {
    let children = set.children().map(|(element, inner)| {
        let below = match element.strip_prefix("f:") {
            Some(name) => shape.field(name),
            None => shape.item(),
        };
        let mut inner = with_named_fields(below, inner);
        inner.member |= element.starts_with("f:") && shape.struct_type().is_some();
        (element.into(), inner)
    });
    FieldSet::node(set.member, children.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::GroupVersionKind;
    use serde_json::json;

    fn pod() -> Shape {
        Shape::of(&GroupVersionKind::new("", "v1", "Pod"))
    }

    #[test]
    fn lists_with_keys_merge_and_atomic_ones_are_replaced() {
        let container = |name: &str, image: &str| json!({"name": name, "image": image});
        let live = json!({"spec": {"tolerations": [{"key": "a"}], "containers": [
            container("mesh", "m"), container("a", "1"), container("log", "l"), container("b", "2")]}});
        let config = json!({"spec": {"tolerations": [{"key": "b"}], "containers": [container("b", "3"), {"name": "a"}, container("c", "4")]}});
        let merged = merge(pod(), &live, &config);
        let names: Vec<&str> = merged["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["mesh", "b", "a", "log", "c"]);
        assert_eq!(merged["spec"]["containers"][2]["image"], "1");
        assert_eq!(merged["spec"]["tolerations"], json!([{"key": "b"}]));
    }

    #[test]
    fn what_is_empty_after_a_removal_goes() {
        let mut value = json!({"metadata": {"labels": {"a": "b"}, "name": "x"}, "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b"}]}});
        let set =
            FieldSet::parse(&json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {
            "k:{\"name\":\"b\"}": {".": {}}, "k:{\"name\":\"a\"}": {"f:image": {}}}}}));
        remove(pod(), &mut value, &set.unwrap());
        assert_eq!(value, json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "a"}]}}));
    }
}
