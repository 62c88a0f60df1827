//! A JSON Schema as tables of fields for the book's reference: the doc comments of the Rust types are its text.

use serde::Serialize;
use serde_json::Value;

/// The types of a schema, the document first, the rest by name.
#[derive(Debug, Serialize)]
pub struct Schema {
    pub types: Vec<Type>,
}

/// An object or a set of alternatives.
#[derive(Debug, Serialize)]
pub struct Type {
    pub name: String,
    pub description: String,
    pub fields: Vec<Field>,
    /// The values of an enumeration.
    pub values: Vec<Choice>,
}

#[derive(Debug, Serialize)]
pub struct Field {
    pub name: String,
    pub required: bool,
    /// The kind of value in words: `list of`.
    pub prefix: String,
    pub kind: String,
    /// The kind is a type with a table of its own.
    pub linked: bool,
    pub description: String,
}

#[derive(Debug, Serialize)]
pub struct Choice {
    pub value: String,
    pub description: String,
}

impl Schema {
    /// Reads a schema as schemars writes it: one document, its types under `$defs`.
    pub fn of(schema: &Value) -> Schema {
        let title = schema.get("title").and_then(Value::as_str).unwrap_or("Document");
        let empty = serde_json::Map::new();
        let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
        let mut types: Vec<Type> = definitions.iter().map(|(name, schema)| Type::of(name, schema)).collect();
        types.sort_by(|a, b| a.name.cmp(&b.name));
        types.insert(0, Type::of(title, schema));
        types.retain(|of| !of.fields.is_empty() || !of.values.is_empty() || !of.description.is_empty());
        Schema { types }
    }
}

impl Type {
    fn of(name: &str, schema: &Value) -> Type {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        let fields = properties
            .into_iter()
            .flatten()
            .map(|(name, of)| Field::of(name, of, required.contains(&name.as_str())));
        let alternatives = ["oneOf", "anyOf"].iter().filter_map(|key| schema.get(*key)?.as_array()).flatten();
        let named = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        let values = named.map(|value| Choice { value: plain(value), description: String::new() });
        let constants = alternatives.filter_map(|alternative| {
            Some(Choice { value: plain(alternative.get("const")?), description: description(alternative) })
        });
        Type {
            name: name.to_owned(),
            description: description(schema),
            fields: fields.collect(),
            values: values.chain(constants).collect(),
        }
    }
}

impl Field {
    fn of(name: &str, schema: &Value, required: bool) -> Field {
        let (prefix, kind, linked) = kind(schema);
        Field { name: name.to_owned(), required, prefix, kind, linked, description: description(schema) }
    }
}

/// `("list of ", "Step", true)`
fn kind(schema: &Value) -> (String, String, bool) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return (String::new(), reference.rsplit('/').next().unwrap_or_default().to_owned(), true);
    }
    let alternatives = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema.get(*key)?.as_array());
    let not_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) != Some("null");
    if let Some(alternative) = alternatives.and_then(|alternatives| alternatives.iter().find(not_null)) {
        return kind(alternative);
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|of| *of != "null").collect()
        }
        _ => Vec::new(),
    };
    let inner = |key: &str| schema.get(key).filter(|inner| inner.is_object());
    match types.as_slice() {
        ["array"] => within("list of ", inner("items")),
        ["object"] => within("map of ", inner("additionalProperties")),
        [] => (String::new(), "any".to_owned(), false),
        types => (String::new(), types.join(" | "), false),
    }
}

fn within(what: &str, inner: Option<&Value>) -> (String, String, bool) {
    let (prefix, name, linked) = inner.map_or_else(|| (String::new(), "any".to_owned(), false), kind);
    (format!("{what}{prefix}"), name, linked)
}

/// Doc comments break lines where the source does; a table does not.
fn description(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
