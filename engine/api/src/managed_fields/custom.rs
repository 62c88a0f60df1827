//! The shapes of custom resources, which their schemas say. Counterpart: `typeconverter.go` over the OpenAPI of
//! a definition.

use std::collections::BTreeMap;

use serde_json::Value;

use super::schema::{Field, Key, Shape, Type, TypeId};

/// How what stands at one place of a custom resource is put together.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldShape {
    /// One value, whatever is in it.
    Leaf,
    /// Nothing is known: objects are maps of the same, all else is a leaf.
    Unknown,
    /// `metadata` of an object.
    Metadata,
    Struct {
        fields: BTreeMap<String, FieldShape>,
        /// Whether fields that are not named may stand there, too.
        is_open: bool,
    },
    Map(Box<FieldShape>),
    Set,
    /// Of objects, told apart by these keys, each with what it is where it is missing.
    List {
        keys: Vec<(String, Option<Value>)>,
        item: Box<FieldShape>,
    },
}

/// The shape of whole objects of a custom kind. It stays in memory for the life of the process.
#[derive(Debug, Clone, Copy)]
pub struct FieldSchema(Shape);

impl FieldSchema {
    pub fn new(root: &FieldShape) -> FieldSchema {
        FieldSchema(settled(root, true))
    }

    pub(super) fn shape(self) -> Shape {
        self.0
    }
}

fn settled(shape: &FieldShape, is_root: bool) -> Shape {
    match shape {
        FieldShape::Leaf => Shape::Leaf,
        FieldShape::Unknown if is_root => Shape::Struct(TypeId::UNKNOWN),
        FieldShape::Unknown => Shape::Unknown,
        FieldShape::Metadata => Shape::metadata(),
        FieldShape::Set => Shape::Set,
        FieldShape::Map(value) => match settled(value, false) {
            Shape::Leaf => Shape::Map,
            value => Shape::MapOf(Box::leak(Box::new(value))),
        },
        FieldShape::List { keys, item } => {
            let keys = keys
                .iter()
                .map(|(name, default)| Key { name: name.clone().leak(), default: default.clone() });
            let item = match settled(item, false) {
                Shape::Struct(id) => Some(id),
                _ => None,
            };
            Shape::List(keys.collect::<Vec<Key>>().leak(), item)
        }
        FieldShape::Struct { fields, is_open } => {
            let field = |(name, shape): (&String, &FieldShape)| {
                let name: &'static str = name.clone().leak();
                (name, Field { shape: settled(shape, false), is_always_there: is_root && name == "metadata" })
            };
            let fields = fields.iter().filter(|(_, shape)| **shape != FieldShape::Leaf).map(field).collect();
            let others = if *is_open { Shape::Unknown } else { Shape::Leaf };
            Shape::Struct(TypeId::Custom(Box::leak(Box::new(Type { fields, others }))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed_fields::{Writer, update};
    use crate::{Object, Time};
    use serde_json::json;

    #[test]
    fn a_custom_resource_has_elements_with_owners_where_its_schema_says_so() {
        let of = |fields: &[(&str, FieldShape)]| FieldShape::Struct {
            fields: fields.iter().map(|(name, shape)| ((*name).to_owned(), shape.clone())).collect(),
            is_open: false,
        };
        let item = of(&[("limits", FieldShape::Map(Box::new(FieldShape::Leaf)))]);
        let spec = of(&[
            ("parts", FieldShape::List { keys: vec![("name".to_owned(), None)], item: Box::new(item) }),
            ("tags", FieldShape::Set),
            ("raw", FieldShape::Unknown),
        ]);
        let root = of(&[("metadata", FieldShape::Metadata), ("spec", spec)]);
        let object = Object::from_value(json!({
            "apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "a", "labels": {"x": "y"}},
            "spec": {"parts": [{"name": "p", "limits": {"cpu": "1"}}], "tags": ["t"], "raw": {"a": {"b": 1}}, "list": [1]},
        }));
        let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
        let schema = Some(FieldSchema::new(&root));
        let writer = Writer { manager: "m", subresource: "", has_status: false, schema, now };
        let managers = serde_json::to_value(update(None, &object.unwrap(), writer)).unwrap();
        let parts = json!({".": {}, "k:{\"name\":\"p\"}": {".": {}, "f:name": {}, "f:limits": {".": {}, "f:cpu": {}}}});
        let spec = json!({".": {}, "f:list": {}, "f:parts": parts, "f:raw": {".": {}, "f:a": {".": {}, "f:b": {}}}, "f:tags": {".": {}, "v:\"t\"": {}}});
        assert_eq!(
            managers[0]["fieldsV1"],
            json!({"f:metadata": {"f:labels": {".": {}, "f:x": {}}}, "f:spec": spec})
        );
    }
}
