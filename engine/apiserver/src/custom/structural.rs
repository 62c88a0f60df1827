//! Whether a schema is structural: every field has its type in the one tree that is followed without passing through
//! `allOf`, `anyOf`, `oneOf` or `not`. Counterparts: `schema/validation.go`, `schema/complete.go`.

use labkit_api::StatusCause;
use serde_json::{Map, Value, json};

use super::schema::Pattern;
use crate::field;

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What may not be said within a value validation, and how it has to be instead.
const NOT_NESTED: [(&str, &str); 10] = [
    ("type", "must be empty to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
];
const UNDEFINED_NESTED: [&str; 3] =
    ["additionalProperties", "x-kubernetes-list-type", "x-kubernetes-map-type"];

/// The complaints about a whole schema, sorted as upstream sorts them.
pub(crate) fn validate(schema: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    invariants(schema, Level::Root, path, &mut errors);
    complete(schema, Some(schema), path, path, &mut errors);
    errors.sort_by_key(|error| format!("{}: {}", error.field, error.message));
    errors
}

pub(crate) fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

/// The properties in the order of their names.
pub(crate) fn properties(schema: &Value) -> Vec<(&String, &Value)> {
    let mut all: Vec<(&String, &Value)> =
        schema.get("properties").and_then(Value::as_object).into_iter().flatten().collect();
    all.sort_by_key(|(name, _)| *name);
    all
}

pub(crate) fn list<'a>(schema: &'a Value, name: &str) -> &'a [Value] {
    schema.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn inner<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema.get(name).filter(|inner| inner.is_object())
}

fn invariants(schema: &Value, level: Level, path: &str, errors: &mut Vec<StatusCause>) {
    let kind = text(schema, "type");
    match inner(schema, "items") {
        Some(items) => invariants(items, Level::Item, &format!("{path}.items"), errors),
        None if kind == "array" => errors.push(field::required(format!("{path}.items"), "must be specified")),
        None => {}
    }
    for (name, property) in properties(schema) {
        invariants(property, Level::Field, &format!("{path}.properties[{name}]"), errors);
    }
    let additional = schema.get("additionalProperties");
    if additional.is_some() && level == Level::Root {
        errors.push(field::forbidden(format!("{path}.additionalProperties"), "must not be used at the root"));
    }
    if let Some(additional) = inner(schema, "additionalProperties") {
        invariants(additional, Level::Field, &format!("{path}.additionalProperties"), errors);
    }
    let is_int_or_string = flag(schema, "x-kubernetes-int-or-string");
    let preserves = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let is_embedded = flag(schema, "x-kubernetes-embedded-resource");
    for (is_set, name) in
        [(preserves, "x-kubernetes-preserve-unknown-fields"), (is_embedded, "x-kubernetes-embedded-resource")]
    {
        if is_int_or_string && is_set {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(field::invalid(format!("{path}.{name}"), true, detail));
        }
    }
    let choice = json!([{"type": "integer"}, {"type": "string"}]);
    let skip_any_of = schema.get("anyOf") == Some(&choice);
    let skip_first = list(schema, "allOf").first().is_some_and(|first| first.get("anyOf") == Some(&choice));
    value_validation(schema, skip_any_of, skip_first, path, errors);
    types(schema, level, path, errors);
    let has_meta = level == Level::Root || is_embedded;
    for name in ["kind", "apiVersion"] {
        if let Some(property) = schema.get("properties").and_then(|all| all.get(name))
            && has_meta
            && text(property, "type") != "string"
        {
            let path = format!("{path}.properties[{name}].type");
            errors.push(field::invalid(path, text(property, "type"), "must be string"));
        }
    }
    if let Some(metadata) = schema.get("properties").and_then(|all| all.get("metadata")) {
        metadata_invariants(metadata, has_meta, level, &format!("{path}.properties[metadata]"), errors);
    }
    if is_embedded && !preserves && properties(schema).is_empty() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(field::required(format!("{path}.properties"), detail));
    }
}

fn types(schema: &Value, level: Level, path: &str, errors: &mut Vec<StatusCause>) {
    let kind = text(schema, "type");
    let at = format!("{path}.type");
    let is_embedded = flag(schema, "x-kubernetes-embedded-resource");
    let says_otherwise =
        flag(schema, "x-kubernetes-int-or-string") || flag(schema, "x-kubernetes-preserve-unknown-fields");
    if is_embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() {
            field::required(at.as_str(), detail)
        } else {
            field::invalid(at.as_str(), kind, detail)
        });
    } else if kind.is_empty() && !says_otherwise {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(field::required(at.as_str(), detail));
    }
    if is_embedded && schema.get("additionalProperties").is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(field::forbidden(format!("{path}.additionalProperties"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(field::invalid(at, kind, "must be object at the root"));
    }
}

/// At the root a schema may only restrict the name of an object.
fn metadata_invariants(
    metadata: &Value,
    has_meta: bool,
    level: Level,
    path: &str,
    errors: &mut Vec<StatusCause>,
) {
    if has_meta && text(metadata, "type") != "object" {
        errors.push(field::invalid(format!("{path}.type"), text(metadata, "type"), "must be object"));
    }
    if level != Level::Root {
        return;
    }
    let is_harmless = |(name, value): (&String, &Value)| match name.as_str() {
        "type" | "default" => true,
        "properties" => value
            .as_object()
            .is_some_and(|fields| fields.keys().all(|name| matches!(name.as_str(), "name" | "generateName"))),
        _ => false,
    };
    if !metadata.as_object().into_iter().flatten().all(is_harmless) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(field::forbidden(path, detail));
    }
}

fn value_validation(
    schema: &Value,
    skip_any_of: bool,
    skip_first_all_of: bool,
    path: &str,
    errors: &mut Vec<StatusCause>,
) {
    if !skip_any_of {
        for (index, one) in list(schema, "anyOf").iter().enumerate() {
            nested(one, false, &format!("{path}.anyOf[{index}]"), errors);
        }
    }
    for (index, one) in list(schema, "allOf").iter().enumerate() {
        nested(one, skip_first_all_of && index == 0, &format!("{path}.allOf[{index}]"), errors);
    }
    for (index, one) in list(schema, "oneOf").iter().enumerate() {
        nested(one, false, &format!("{path}.oneOf[{index}]"), errors);
    }
    if let Some(not) = inner(schema, "not") {
        nested(not, false, &format!("{path}.not"), errors);
    }
    let pattern = text(schema, "pattern");
    if !pattern.is_empty()
        && let Err(why) = Pattern::new(pattern).regex
    {
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        errors.push(field::invalid(format!("{path}.pattern"), pattern, &detail));
    }
}

fn nested(schema: &Value, skip_any_of: bool, path: &str, errors: &mut Vec<StatusCause>) {
    value_validation(schema, skip_any_of, false, path, errors);
    if let Some(items) = inner(schema, "items") {
        nested(items, false, &format!("{path}.items"), errors);
    }
    for (name, property) in properties(schema) {
        nested(property, false, &format!("{path}.properties[{name}]"), errors);
    }
    for (name, detail) in NOT_NESTED {
        if schema.get(name).is_some_and(is_said) {
            errors.push(field::forbidden(format!("{path}.{name}"), detail));
        }
    }
    for name in UNDEFINED_NESTED {
        if schema.get(name).is_some_and(|value| *value != Value::Bool(false)) {
            errors.push(field::forbidden(format!("{path}.{name}"), "must be undefined to be structural"));
        }
    }
    if schema.get("properties").is_some_and(|all| all.get("metadata").is_some()) {
        let path = format!("{path}.properties[metadata]");
        errors.push(field::forbidden(path, "must not be specified in a nested context"));
    }
}

fn is_said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// Whatever a value validation speaks of is there in the structure.
fn complete(
    validation: &Value,
    structure: Option<&Value>,
    at: &str,
    path: &str,
    errors: &mut Vec<StatusCause>,
) {
    let mut visit = |one: &Value, path: String| nested_complete(one, structure, at, &path, errors);
    if let Some(not) = inner(validation, "not") {
        visit(not, format!("{path}.not"));
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (index, one) in list(validation, name).iter().enumerate() {
            visit(one, format!("{path}.{name}[{index}]"));
        }
    }
}

fn nested_complete(
    validation: &Value,
    structure: Option<&Value>,
    at: &str,
    path: &str,
    errors: &mut Vec<StatusCause>,
) {
    let Some(known) = structure else {
        errors.push(field::required(at, &format!("because it is defined in {path}")));
        return;
    };
    complete(validation, structure, at, path, errors);
    if let Some(items) = inner(validation, "items") {
        nested_complete(
            items,
            inner(known, "items"),
            &format!("{at}.items"),
            &format!("{path}.items"),
            errors,
        );
    }
    let none = Map::new();
    let own = known.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for (name, property) in properties(validation) {
        let (at, path) = (format!("{at}.properties[{name}]"), format!("{path}.properties[{name}]"));
        nested_complete(property, own.get(name), &at, &path, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: Value, expected: &[&str]) {
        let errors = validate(&schema, "s");
        let found: Vec<String> =
            errors.into_iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_field_needs_a_type() {
        check(
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"x-kubernetes-int-or-string": true}}}),
            &[],
        );
        check(
            json!({"properties": {"a": {}, "b": {"type": "array", "items": {}}, "c": {"type": "array"}}}),
            &[
                "s.properties[a].type: Required value: must not be empty for specified object fields",
                "s.properties[b].items.type: Required value: must not be empty for specified array items",
                "s.properties[c].items: Required value: must be specified",
                "s.type: Required value: must not be empty at the root",
            ],
        );
        check(
            json!({"type": "array", "items": {"type": "string"}}),
            &["s.type: Invalid value: \"array\": must be object at the root"],
        );
    }

    #[test]
    fn value_validations_say_nothing_of_the_structure() {
        check(
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"properties": {"b": {"type": "string"}}}],
                "not": {"default": 1}}),
            &[
                "s.anyOf[0].properties[b].type: Forbidden: must be empty to be structural",
                "s.not.default: Forbidden: must be undefined to be structural",
                "s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]",
            ],
        );
        let choice = json!([{"type": "integer"}, {"type": "string"}]);
        check(
            json!({"type": "object", "properties": {"a": {"x-kubernetes-int-or-string": true, "anyOf": choice}}}),
            &[],
        );
    }

    #[test]
    fn metadata_is_left_alone() {
        check(
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}}}),
            &[],
        );
        check(
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            &[
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
            ],
        );
    }

    #[test]
    fn patterns_are_bounded_regular_expressions() {
        let of = |pattern: &str| {
            validate(
                &json!({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}),
                "s",
            )
        };
        assert!(of("^a+$").is_empty());
        for bad in ["a(", "[z-a]", "(?=a)", "((a{500}){500}){500}"] {
            let errors = of(bad);
            assert_eq!(errors.len(), 1, "{bad}");
            assert!(
                errors[0].message.contains("must be a valid regular expression, but isn't"),
                "{}",
                errors[0].message
            );
        }
    }
}
