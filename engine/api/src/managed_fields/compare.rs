//! What changed between two states of an object, and what an applied configuration speaks of.
//! Counterpart: `typed/compare.go`, `typed/tofieldset.go` of structured-merge-diff.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::Shape;
use super::set::FieldSet;

/// The fields in which two states differ.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// New, or with another value.
    pub changed: FieldSet,
    pub removed: FieldSet,
}

impl Comparison {
    pub fn is_same(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// That of an object or a list, from those of its elements. Where one side has none, it came or went itself.
    pub fn node(came: bool, went: bool, inner: Vec<(Box<str>, Comparison)>) -> Comparison {
        let (mut changed, mut removed) = (Vec::new(), Vec::new());
        for (element, comparison) in inner {
            if !comparison.removed.is_empty() {
                removed.push((element.clone(), comparison.removed));
            }
            if !comparison.changed.is_empty() {
                changed.push((element, comparison.changed));
            }
        }
        Comparison { changed: FieldSet::node(came, changed), removed: FieldSet::node(went, removed) }
    }
}

/// Compares what stands at one place in the old state and in the new one.
pub(super) fn compare(shape: Shape, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    let is_nothing = |side: Option<&Value>| side.is_none_or(is_empty);
    let inner = match shape {
        _ if is_nothing(old) && is_nothing(new) => None,
        Shape::Leaf => None,
        Shape::Struct(_) | Shape::Map | Shape::MapOf(_) | Shape::Unknown => compare_fields(shape, old, new),
        Shape::Set | Shape::List(..) => compare_items(shape, old, new),
    };
    match inner {
        Some(inner) => Comparison::node(old.is_none(), new.is_none(), inner),
        None => {
            let here = |holds| if holds { FieldSet::here() } else { FieldSet::default() };
            let (changed, removed) = (new.is_some() && old != new, old.is_some() && new.is_none());
            Comparison { changed: here(changed), removed: here(removed) }
        }
    }
}

/// `f:NAME`
pub(super) fn field_element(name: &str) -> Box<str> {
    ["f:", name].concat().into()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

type Inner = Vec<(Box<str>, Comparison)>;

/// `None` where one side is no object.
fn compare_fields(shape: Shape, old: Option<&Value>, new: Option<&Value>) -> Option<Inner> {
    let none = Map::new();
    let (no_fields, no_items) = (Value::Object(Map::new()), Value::Array(Vec::new()));
    let fields = |side: Option<&'_ Value>| side.is_none_or(|value| shape.fields_of(value).is_some());
    if !fields(old) || !fields(new) {
        return None;
    }
    let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
    let mut inner = Vec::new();
    let mut visit = |name: &str| {
        let inner_shape = shape.field(name);
        let nothing = if matches!(inner_shape, Shape::List(..)) { &no_items } else { &no_fields };
        let stands_in = shape.struct_type().is_some_and(|of| of.is_always_there(name)).then_some(nothing);
        let old = old.and_then(|fields| fields.get(name).or(stands_in));
        let new = new.and_then(|fields| fields.get(name).or(stands_in));
        let comparison = compare(inner_shape, old, new);
        if !comparison.is_same() {
            inner.push((field_element(name), comparison));
        }
    };
    new.unwrap_or(&none).keys().for_each(|name| visit(name));
    let gone = |name: &&String| !new.is_some_and(|fields| fields.contains_key(*name));
    old.unwrap_or(&none).keys().filter(gone).for_each(|name| visit(name));
    if old.is_some() != new.is_some()
        && let Some(of) = shape.struct_type()
    {
        let written = old.or(new).unwrap_or(&none);
        of.always_there().filter(|name| !written.contains_key(*name)).for_each(&mut visit);
    }
    Some(inner)
}

/// `None` where one side is no list, or its elements cannot be told apart.
fn compare_items(shape: Shape, old: Option<&Value>, new: Option<&Value>) -> Option<Inner> {
    let items = |side: Option<&'_ Value>| -> Option<BTreeMap<Box<str>, usize>> {
        let Some(value) = side else { return Some(BTreeMap::new()) };
        let named = shape.items_of(value)?.into_iter().enumerate();
        Some(named.map(|(index, (element, _))| (element, index)).collect())
    };
    let (before, after) = (items(old)?, items(new)?);
    let mut inner = Vec::new();
    let gone = before.keys().filter(|element| !after.contains_key(*element));
    for element in after.keys().chain(gone) {
        let old = before.get(element).and_then(|index| old?.get(*index));
        let new = after.get(element).and_then(|index| new?.get(*index));
        let comparison = compare(shape.item(), old, new);
        if !comparison.is_same() {
            inner.push((element.clone(), comparison));
        }
    }
    Some(inner)
}

/// The fields that a configuration speaks of.
pub(super) fn fields_in(shape: Shape, value: &Value) -> FieldSet {
    if let Some(fields) = shape.fields_of(value) {
        let is_struct = shape.struct_type().is_some();
        let inner = fields.iter().map(|(name, value)| {
            let mut set = fields_in(shape.field(name), value);
            set.member |= !is_struct || is_empty(value);
            (field_element(name), set)
        });
        return FieldSet::node(false, inner.collect());
    }
    match shape.items_of(value) {
        Some(items) => {
            let inner = items.into_iter().map(|(element, item)| {
                let mut set = fields_in(shape.item(), item);
                set.member = true;
                (element, set)
            });
            FieldSet::node(false, inner.collect())
        }
        None => FieldSet::here(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::GroupVersionKind;
    use serde_json::json;

    fn deployment() -> Shape {
        Shape::of(&GroupVersionKind::new("apps", "v1", "Deployment"))
    }

    #[track_caller]
    fn check(old: Value, new: Value, changed: Value, removed: Value) {
        let found = compare(deployment(), Some(&old), Some(&new));
        assert_eq!(serde_json::to_value(found.changed).unwrap(), changed);
        assert_eq!(serde_json::to_value(found.removed).unwrap(), removed);
    }

    #[test]
    fn a_new_object_has_dots_where_go_could_have_left_something_out() {
        check(
            json!({}),
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "strategy": {"rollingUpdate": {"maxSurge": 1}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"securityContext": {}, "containers": [
                    {"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}}}),
            json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {
                "f:replicas": {}, "f:selector": {}, "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}},
                "f:template": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:securityContext": {}, "f:containers": {
                    "k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:resources": {}, "f:ports": {".": {},
                        "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}}}}}}}}),
            json!({}),
        );
    }

    #[test]
    fn changes_are_told_from_removals() {
        check(
            json!({"spec": {"replicas": 1, "paused": true, "template": {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b"}]}}}}),
            json!({"spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "a", "image": "y"}]}}}}),
            json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}}}}),
            json!({"f:spec": {"f:paused": {}, "f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"b\"}": {".": {}, "f:name": {}, "f:resources": {}}}}}}}),
        );
    }

    #[test]
    fn a_configuration_owns_what_it_says() {
        let config = json!({"metadata": {"labels": {"app": "web"}, "finalizers": ["a/b"]}, "spec": {
            "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": [{"name": "c", "image": "i"}], "securityContext": {}}}}});
        let expected = json!({"f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"a/b\"": {}}}, "f:spec": {
            "f:selector": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}}}, "f:securityContext": {}}}}});
        assert_eq!(serde_json::to_value(fields_in(deployment(), &config)).unwrap(), expected);
    }
}
