//! What is done to a custom resource when it comes in: fields that the schema does not have go, and so do nulls that
//! it does not allow; defaults are filled in. Counterparts: `schema/pruning`, `schema/defaulting`.

use std::fmt::Write;

use serde_json::Value;

use super::schema::{Additional, META_FIELDS, Schema};

/// Drops what the schema does not have, and returns the paths of what it dropped, sorted.
pub(crate) fn prune(value: &mut Value, schema: &Schema) -> Vec<String> {
    let mut pruned = Vec::new();
    visit(value, Some(schema), true, &mut String::new(), &mut pruned);
    pruned.sort();
    pruned
}

/// The same for a part of an object.
pub(crate) fn prune_within(value: &mut Value, schema: &Schema) -> Vec<String> {
    let mut pruned = Vec::new();
    visit(value, Some(schema), false, &mut String::new(), &mut pruned);
    pruned
}

fn visit(
    value: &mut Value,
    schema: Option<&Schema>,
    is_root: bool,
    path: &mut String,
    pruned: &mut Vec<String>,
) {
    let here = path.len();
    match value {
        Value::Object(fields) => {
            let preserves = schema.is_some_and(|schema| schema.preserves_unknown);
            let has_meta = is_root || schema.is_some_and(|schema| schema.is_embedded);
            fields.retain(|name, field| {
                if has_meta && META_FIELDS.contains(&name.as_str()) {
                    return true;
                }
                let dot = if here == 0 { "" } else { "." };
                write!(path, "{dot}{name}").expect("a string takes all");
                let known = schema.is_some_and(|schema| {
                    schema.properties.contains_key(name) || !matches!(schema.additional, Additional::Unsaid)
                });
                let inner = schema.and_then(|schema| schema.field(name));
                match (known, preserves) {
                    (false, true) => {}
                    (false, false) => pruned.push(path.clone()),
                    (true, _) if inner.is_none() && preserves => {}
                    (true, _) => visit(field, inner, false, path, pruned),
                }
                path.truncate(here);
                known || preserves
            });
        }
        Value::Array(items) => {
            let inner = schema.and_then(|schema| schema.items.as_deref());
            if schema.is_some_and(|schema| schema.preserves_unknown) && inner.is_none() {
                return;
            }
            for (index, item) in items.iter_mut().enumerate() {
                write!(path, "[{index}]").expect("a string takes all");
                visit(item, inner, false, path, pruned);
                path.truncate(here);
            }
        }
        _ => {}
    }
}

/// Drops nulls that the schema neither allows nor replaces by a default.
pub(crate) fn drop_nulls(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(fields) => fields.retain(|name, field| {
            let Some(inner) = schema.field(name) else { return true };
            if field.is_null() {
                return inner.is_nullable || inner.default.is_some();
            }
            drop_nulls(field, inner);
            true
        }),
        Value::Array(items) => {
            if let Some(inner) = schema.items.as_deref() {
                items.iter_mut().for_each(|item| drop_nulls(item, inner));
            }
        }
        _ => {}
    }
}

/// Fills in defaults, also for nulls that the schema does not allow.
pub(crate) fn fill_defaults(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in &schema.properties {
                let Some(default) = &inner.default else { continue };
                let lacks = fields.get(name).is_none_or(|found| found.is_null() && !inner.is_nullable);
                if lacks {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, field) in fields.iter_mut() {
                let Some(inner) = schema.field(name) else { continue };
                if field.is_null() && !inner.is_nullable {
                    *field = inner.default.clone().unwrap_or_default();
                }
                fill_defaults(field, inner);
            }
        }
        Value::Array(items) => {
            let Some(inner) = schema.items.as_deref() else { return };
            for item in items {
                if item.is_null() && !inner.is_nullable {
                    *item = inner.default.clone().unwrap_or_default();
                }
                fill_defaults(item, inner);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "image": {"type": "string", "default": "nginx"}, "note": {"type": "string", "nullable": true},
                "size": {"type": "integer"},
                "parts": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 1}}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": {"type": "object"}}},
                "object": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}}}}}}))
    }

    #[test]
    fn unknown_fields_go_unless_the_schema_preserves_them() {
        let mut value = json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "a"}, "extra": 1, "spec": {
            "foo": {"bar": 1}, "parts": [{"name": "p", "zap": 1}], "labels": {"any": "x"},
            "raw": {"x": {"y": [1]}, "known": {"gone": 1}},
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"x": 1}, "spec": {"y": 1}, "status": {}}}});
        let pruned = prune(&mut value, &schema());
        let expected = [
            "extra",
            "spec.foo",
            "spec.object.spec.y",
            "spec.object.status",
            "spec.parts[0].zap",
            "spec.raw.known.gone",
        ];
        assert_eq!(pruned, expected);
        assert_eq!(value["spec"]["raw"], json!({"x": {"y": [1]}, "known": {}}));
        assert_eq!(
            value["spec"]["object"],
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"x": 1}, "spec": {}})
        );
        assert_eq!(value["spec"]["parts"], json!([{"name": "p"}]));
    }

    #[test]
    fn defaults_come_where_nothing_is_said_and_for_nulls_that_are_not_allowed() {
        let mut value =
            json!({"spec": {"image": null, "note": null, "size": null, "parts": [{"name": "p"}]}});
        drop_nulls(&mut value, &schema());
        fill_defaults(&mut value, &schema());
        assert_eq!(
            value,
            json!({"spec": {"image": "nginx", "note": null, "parts": [{"name": "p", "count": 1}]}})
        );
    }
}
