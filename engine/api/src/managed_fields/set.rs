//! Sets of fields, as `fieldsV1` writes them. Counterpart: `structured-merge-diff/fieldpath`.

use std::fmt::Write;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Fields of an object: a tree of path elements, each of which may be a member of the set itself.
///
/// An element is written as `fieldsV1` writes it: `f:NAME` a field, `k:{"name":"c"}` the element of a list with
/// those keys, `v:"x"` the element of a list of scalars. `{"f:labels":{".":{},"f:app":{}}}` holds `labels` itself and
/// `labels.app`; without the dot only the latter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    pub(super) member: bool,
    /// In the order of the elements; none of them is empty.
    children: Vec<(Box<str>, FieldSet)>,
}

impl FieldSet {
    /// The set of that one place.
    pub(super) fn here() -> FieldSet {
        FieldSet { member: true, children: Vec::new() }
    }

    /// Puts together a node; empty children are left out.
    pub(super) fn node(member: bool, mut children: Vec<(Box<str>, FieldSet)>) -> FieldSet {
        children.retain(|(_, child)| !child.is_empty());
        children.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        children.dedup_by(|later, first| {
            later.0 == first.0 && {
                first.1 = first.1.union(&later.1);
                true
            }
        });
        FieldSet { member, children }
    }

    pub fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    pub(super) fn children(&self) -> impl Iterator<Item = (&str, &FieldSet)> {
        self.children.iter().map(|(element, child)| (&**element, child))
    }

    pub(super) fn child(&self, element: &str) -> Option<&FieldSet> {
        let found = self.children.binary_search_by(|(name, _)| (**name).cmp(element)).ok()?;
        Some(&self.children[found].1)
    }

    pub(super) fn union(&self, other: &FieldSet) -> FieldSet {
        let mut children = self.children.clone();
        for (element, theirs) in &other.children {
            match children.binary_search_by(|(name, _)| name.cmp(element)) {
                Ok(at) => children[at].1 = children[at].1.union(theirs),
                Err(at) => children.insert(at, (element.clone(), theirs.clone())),
            }
        }
        FieldSet { member: self.member || other.member, children }
    }

    pub(super) fn difference(&self, other: &FieldSet) -> FieldSet {
        let left = |(element, own): &(Box<str>, FieldSet)| {
            let left = other.child(element).map_or_else(|| own.clone(), |theirs| own.difference(theirs));
            (!left.is_empty()).then(|| (element.clone(), left))
        };
        let children = self.children.iter().filter_map(left).collect();
        FieldSet { member: self.member && !other.member, children }
    }

    pub(super) fn intersection(&self, other: &FieldSet) -> FieldSet {
        let both = |(element, own): &(Box<str>, FieldSet)| {
            let both = own.intersection(other.child(element)?);
            (!both.is_empty()).then(|| (element.clone(), both))
        };
        let children = self.children.iter().filter_map(both).collect();
        FieldSet { member: self.member && other.member, children }
    }

    /// Whether there is anything in [`FieldSet::intersection`].
    pub(super) fn meets(&self, other: &FieldSet) -> bool {
        self.member && other.member
            || self
                .children
                .iter()
                .any(|(element, own)| other.child(element).is_some_and(|their| own.meets(their)))
    }

    /// The set without what is below these top-level elements.
    pub(super) fn without(mut self, mut drops: impl FnMut(&str) -> bool) -> FieldSet {
        self.children.retain(|(element, _)| !drops(element));
        self
    }

    /// The members as paths, in upstream's order: those of one level, then those further down.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, at: &str, paths: &mut Vec<String>) {
        for (element, child) in self.children().filter(|(_, child)| child.member) {
            debug_assert!(child.member);
            paths.push(format!("{at}{}", shown(element)));
        }
        for (element, child) in self.children() {
            child.collect_paths(&format!("{at}{}", shown(element)), paths);
        }
    }

    /// Reads `fieldsV1`. `None` where it is none.
    pub(super) fn parse(value: &Value) -> Option<FieldSet> {
        let fields = value.as_object()?;
        let mut member = false;
        let mut children = Vec::with_capacity(fields.len());
        for (element, inner) in fields {
            if element == "." {
                member = true;
                continue;
            }
            if !matches!(element.get(..2), Some("f:" | "k:" | "v:" | "i:")) {
                return None;
            }
            let inner = FieldSet::parse(inner)?;
            children.push((element.as_str().into(), if inner.is_empty() { FieldSet::here() } else { inner }));
        }
        Some(FieldSet::node(member, children))
    }
}

/// An element as a path shows it: `.spec`, `[name="c"]`, `[="x"]`.
pub(super) fn shown(element: &str) -> String {
    let (kind, text) = element.split_at(2);
    match kind {
        "f:" => format!(".{text}"),
        "k:" => {
            let mut shown = String::new();
            let keys: Value = serde_json::from_str(text).unwrap_or_default();
            for (name, value) in keys.as_object().into_iter().flatten() {
                let comma = if shown.is_empty() { "" } else { "," };
                write!(shown, "{comma}{name}={value}").expect("a string takes all");
            }
            format!("[{shown}]")
        }
        "v:" => format!("[={text}]"),
        _ => format!("[{text}]"),
    }
}

impl Serialize for FieldSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let with_dot = self.member && !self.children.is_empty();
        let mut map = serializer.serialize_map(Some(self.children.len() + usize::from(with_dot)))?;
        if with_dot {
            map.serialize_entry(".", &FieldSet::default())?;
        }
        for (element, child) in &self.children {
            map.serialize_entry(element, child)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: Value) -> FieldSet {
        FieldSet::parse(&value).unwrap()
    }

    #[test]
    fn sets_are_read_and_written_as_fields_v1() {
        let value = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:containers": {
            "k:{\"name\":\"c\"}": {".": {}, "f:image": {}}}, "f:finalizers": {"v:\"x\"": {}}}});
        assert_eq!(serde_json::to_value(set(value.clone())).unwrap(), value);
        let paths = [
            ".metadata.labels",
            ".metadata.labels.app",
            ".spec.containers[name=\"c\"]",
            ".spec.containers[name=\"c\"].image",
            ".spec.finalizers[=\"x\"]",
        ];
        assert_eq!(set(value).paths(), paths);
        assert_eq!(FieldSet::parse(&json!({"spec": {}})), None);
    }

    #[test]
    fn set_algebra_is_by_member() {
        let (a, b) =
            (json!({"f:a": {".": {}, "f:x": {}}, "f:b": {}}), json!({"f:a": {"f:x": {}}, "f:c": {}}));
        let (a, b) = (set(a), set(b));
        assert_eq!(a.difference(&b), set(json!({"f:a": {}, "f:b": {}})));
        assert_eq!(a.intersection(&b), set(json!({"f:a": {"f:x": {}}})));
        assert_eq!(b.union(&a), set(json!({"f:a": {".": {}, "f:x": {}}, "f:b": {}, "f:c": {}})));
        assert!(a.meets(&b) && !a.meets(&set(json!({"f:a": {"f:y": {}}}))));
    }
}
