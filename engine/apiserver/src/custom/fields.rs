//! Which fields of a custom resource have owners of their own: the shape of its schema, as server-side apply takes it.
//! Counterpart: `openapi` to `typed.ParseableType` by way of the definition's own document.

use std::collections::BTreeMap;

use labkit_api::managed_fields::{FieldSchema, FieldShape};

use super::schema::{Additional, ListType, Schema};

pub(crate) fn of(schema: &Schema) -> FieldSchema {
    FieldSchema::new(&shape(schema, true))
}

fn shape(schema: &Schema, is_root: bool) -> FieldShape {
    if schema.is_atomic_map && !is_root {
        return FieldShape::Leaf;
    }
    match schema.kind.as_str() {
        "object" => match &schema.additional {
            Additional::Of(value) => FieldShape::Map(Box::new(shape(value, false))),
            _ if schema.properties.is_empty() && !is_root && !schema.is_embedded => FieldShape::Unknown,
            _ => {
                let named = schema.properties.iter().map(|(name, inner)| (name.clone(), shape(inner, false)));
                let mut fields: BTreeMap<String, FieldShape> = named.collect();
                if is_root || schema.is_embedded {
                    fields.insert("metadata".to_owned(), FieldShape::Metadata);
                }
                FieldShape::Struct { fields, is_open: schema.preserves_unknown }
            }
        },
        "array" => match (&schema.list, schema.items.as_deref()) {
            (ListType::Set, _) => FieldShape::Set,
            (ListType::Map(keys), Some(items)) => {
                let default = |key: &String| items.properties.get(key).and_then(|of| of.default.clone());
                let keys = keys.iter().map(|key| (key.clone(), default(key))).collect();
                FieldShape::List { keys, item: Box::new(shape(items, false)) }
            }
            _ => FieldShape::Leaf,
        },
        "" if schema.preserves_unknown => FieldShape::Unknown,
        _ => FieldShape::Leaf,
    }
}
