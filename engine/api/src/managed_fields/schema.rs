//! Which lists and maps of a kind have elements with owners of their own. The facts are in `schema.txt`: those of
//! upstream's OpenAPI extensions `x-kubernetes-list-type`, `-list-map-keys` and `-map-type`.
//!
//! One type a line, below the version it belongs to; of its fields those that are not one leaf: `a=Type` an object,
//! `a={}` a map, `a=[]` a set, `a=[key,key:default]Type` a list of objects told apart by these keys. `a!=` marks what Go
//! writes even when it is empty, so that it never comes or goes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::resource::GroupVersionKind;

/// How what stands at one place is put together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// One value, whatever is in it.
    Leaf,
    Struct(TypeId),
    Map,
    /// Of values that are more than a leaf.
    MapOf(&'static Shape),
    Set,
    /// Of objects; without a type each element is one leaf.
    List(&'static [Key], Option<TypeId>),
    /// Nothing is known: objects are maps of the same, all else is a leaf.
    Unknown,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum TypeId {
    /// A line of `schema.txt`.
    BuiltIn(usize),
    Custom(&'static Type),
}

/// The fields of a type that are more than a leaf.
#[derive(Debug)]
pub(super) struct Type {
    pub fields: BTreeMap<&'static str, Field>,
    /// What a field is that is not among them.
    pub others: Shape,
}

#[derive(Debug)]
pub(super) struct Field {
    pub shape: Shape,
    pub is_always_there: bool,
}

/// One of the fields that tell a list's elements apart, and what it is where it is missing.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub default: Option<Value>,
}

struct Schema {
    types: Vec<Type>,
    ids: BTreeMap<String, TypeId>,
}

/// A type all of whose fields are leaves.
const PLAIN: TypeId = TypeId::BuiltIn(0);

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(include_str!("schema.txt")));

impl Schema {
    fn parse(text: &'static str) -> Schema {
        let mut version = "";
        let mut rows = Vec::new();
        for line in text.lines() {
            match line.strip_prefix("  ").map(|row| row.split_once(' ').unwrap_or((row, ""))) {
                Some((name, fields)) => rows.push((version, format!("{version}.{name}"), fields)),
                None => version = line,
            }
        }
        let number =
            |(index, (_, name, _)): (usize, &(_, String, _))| (name.clone(), TypeId::BuiltIn(index + 2));
        let ids: BTreeMap<String, TypeId> = rows.iter().enumerate().map(number).collect();
        let plain = Type { fields: BTreeMap::new(), others: Shape::Leaf };
        let metadata = Shape::Struct(ids["meta/v1.ObjectMeta"]);
        let metadata = BTreeMap::from([("metadata", Field { shape: metadata, is_always_there: true })]);
        let unknown = Type { fields: metadata, others: Shape::Unknown };
        let mut types = vec![plain, unknown];
        types.extend(rows.iter().map(|(version, _, fields)| Schema::row(&ids, version, fields)));
        Schema { types, ids }
    }

    fn row(ids: &BTreeMap<String, TypeId>, version: &str, fields: &'static str) -> Type {
        let find = |name: &str| {
            let full = match name.split_once('.') {
                Some((package, name)) => format!("{package}/v1.{name}"),
                None => format!("{version}.{name}"),
            };
            ids.get(&full).copied().unwrap_or(PLAIN)
        };
        let field = |(name, what): (&'static str, &'static str)| {
            let shape = match what.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some(("", _)) => Shape::Set,
                Some((keys, item)) => Shape::List(Key::parse(keys), (!item.is_empty()).then(|| find(item))),
                None if what == "{}" => Shape::Map,
                None => Shape::Struct(find(what)),
            };
            (name.trim_end_matches('!'), Field { shape, is_always_there: name.ends_with('!') })
        };
        let fields = fields.split(' ').filter_map(|word| word.split_once('=')).map(field).collect();
        Type { fields, others: Shape::Leaf }
    }
}

impl Key {
    fn parse(keys: &'static str) -> &'static [Key] {
        let key = |key: &'static str| match key.split_once(':') {
            Some((name, default)) => Key { name, default: Some(Value::from(default)) },
            None => Key { name: key, default: None },
        };
        keys.split(',').map(key).collect::<Vec<Key>>().leak()
    }
}

impl TypeId {
    /// A whole object of a kind that has no line.
    pub(super) const UNKNOWN: TypeId = TypeId::BuiltIn(1);

    fn of(self) -> &'static Type {
        match self {
            TypeId::BuiltIn(number) => &SCHEMA.types[number],
            TypeId::Custom(own) => own,
        }
    }

    /// The fields that come and go with the object that they are in.
    pub(super) fn always_there(self) -> impl Iterator<Item = &'static str> {
        self.of().fields.iter().filter(|(_, field)| field.is_always_there).map(|(name, _)| *name)
    }

    pub(super) fn is_always_there(self, name: &str) -> bool {
        self.of().fields.get(name).is_some_and(|field| field.is_always_there)
    }
}

impl Shape {
    /// The shape of whole objects of a kind.
    pub(super) fn of(gvk: &GroupVersionKind) -> Shape {
        let package = gvk.group.split('.').next().filter(|package| !package.is_empty()).unwrap_or("core");
        let name = format!("{package}/{}.{}", gvk.version, gvk.kind);
        Shape::Struct(SCHEMA.ids.get(&name).copied().unwrap_or(TypeId::UNKNOWN))
    }

    /// The shape of `metadata`.
    pub(super) fn metadata() -> Shape {
        Shape::Struct(SCHEMA.ids["meta/v1.ObjectMeta"])
    }

    /// The shape of what is in a field of an object of this shape.
    pub(super) fn field(self, name: &str) -> Shape {
        match self {
            Shape::Struct(id) => id.of().fields.get(name).map_or(id.of().others, |field| field.shape),
            Shape::MapOf(value) => *value,
            Shape::Unknown => Shape::Unknown,
            _ => Shape::Leaf,
        }
    }

    pub(super) fn struct_type(self) -> Option<TypeId> {
        match self {
            Shape::Struct(id) => Some(id),
            _ => None,
        }
    }

    /// The fields, where this shape has fields and the value is an object.
    pub(super) fn fields_of(self, value: &Value) -> Option<&Map<String, Value>> {
        matches!(self, Shape::Struct(_) | Shape::Map | Shape::MapOf(_) | Shape::Unknown)
            .then(|| value.as_object())
            .flatten()
    }

    /// The elements with their names in a set of fields, where this shape has elements and all can be told apart.
    /// Of several with one name the last counts.
    pub(super) fn items_of(self, value: &Value) -> Option<Vec<(Box<str>, &Value)>> {
        let (Shape::List(..) | Shape::Set) = self else { return None };
        value.as_array()?.iter().map(|item| Some((self.element(item)?, item))).collect()
    }

    /// The shape of a list's elements.
    pub(super) fn item(self) -> Shape {
        match self {
            Shape::List(_, Some(id)) => Shape::Struct(id),
            _ => Shape::Leaf,
        }
    }

    /// What a list's element is called: `k:{"name":"c"}`, `v:"x"`.
    pub(super) fn element(self, item: &Value) -> Option<Box<str>> {
        let Shape::List(keys, _) = self else { return Some(format!("v:{item}").into()) };
        let mut name = Map::new();
        for key in keys {
            let value = item.get(key.name).or(key.default.as_ref())?;
            name.insert(key.name.to_owned(), value.clone());
        }
        Some(format!("k:{}", Value::Object(name)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(group: &str, kind: &str, path: &[&str]) -> Shape {
        let root = Shape::of(&GroupVersionKind::new(group, "v1", kind));
        path.iter().fold(root, |shape, field| match shape {
            Shape::List(..) => shape.item().field(field),
            shape => shape.field(field),
        })
    }

    #[test]
    fn the_facts_are_found_by_path() {
        let ports = at("apps", "Deployment", &["spec", "template", "spec", "containers", "ports"]);
        let name = ports.element(&json!({"containerPort": 80})).unwrap();
        assert_eq!(&*name, r#"k:{"containerPort":80,"protocol":"TCP"}"#);
        assert_eq!(ports.element(&json!({"name": "web"})), None);
        assert!(matches!(at("apps", "Deployment", &["spec", "selector"]), Shape::Leaf));
        assert!(matches!(at("", "Pod", &["spec", "tolerations"]), Shape::Leaf));
        assert!(matches!(at("", "Pod", &["spec", "securityContext"]), Shape::Struct(_)));
        assert!(matches!(at("", "ConfigMap", &["data"]), Shape::Map));
        assert!(matches!(at("", "ConfigMap", &["metadata", "finalizers"]), Shape::Set));
        assert!(matches!(at("example.com", "Gadget", &["metadata", "labels"]), Shape::Map));
        assert!(matches!(at("example.com", "Gadget", &["spec", "size"]), Shape::Unknown));
    }

    #[test]
    fn every_type_that_a_line_names_is_well_formed() {
        assert!(SCHEMA.ids.len() > 100);
        assert!(SCHEMA.ids.contains_key("autoscaling/v2.HorizontalPodAutoscaler"));
    }
}
