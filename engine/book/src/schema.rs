//! A JSON Schema as tables of fields for the book's reference: the doc comments of the Rust types are its text.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::page::Language;
use crate::words::Words;

/// The types of a schema: the document first, then the rest in the order in which it comes to them.
#[derive(Debug, Serialize)]
pub struct Schema {
    pub types: Vec<Type>,
}

/// An object, an enumeration, or another name for one of several kinds of value.
#[derive(Debug, Serialize)]
pub struct Type {
    pub name: String,
    pub description: String,
    pub fields: Vec<Field>,
    /// The values of an enumeration.
    pub values: Vec<Choice>,
    /// What it may be, where it is neither.
    pub kinds: Vec<Kind>,
}

#[derive(Debug, Serialize)]
pub struct Field {
    pub name: String,
    pub required: bool,
    pub kinds: Vec<Kind>,
    pub description: String,
}

/// A kind of value: `list of Step`.
#[derive(Debug, Default, Serialize)]
pub struct Kind {
    /// What stands before the name: `list of `, `map of `, or nothing.
    pub prefix: String,
    pub name: String,
    /// What stands behind it, in a language that says it so: ` 목록`.
    pub suffix: String,
    /// It is a type with a table of its own.
    pub linked: bool,
    /// It is a value to be written as it is.
    pub literal: bool,
}

#[derive(Debug, Serialize)]
pub struct Choice {
    pub value: String,
    pub description: String,
}

/// Where a type looks up the others, and the language that it is told in.
#[derive(Clone, Copy)]
struct Context<'a> {
    definitions: &'a Map<String, Value>,
    words: Words,
}

impl Schema {
    /// Reads a schema as schemars writes it: one document, its types under `$defs`.
    pub fn of(schema: &Value, words: Words) -> Schema {
        let title = schema.get("title").and_then(Value::as_str).unwrap_or("Document");
        let none = Map::new();
        let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&none);
        let told = definitions.iter().filter(|(_, schema)| only_value(schema).is_none());
        let context = Context { definitions, words };
        let document = std::iter::once(Type::of(title, schema, context));
        Schema { types: document.chain(told.map(|(name, schema)| Type::of(name, schema, context))).collect() }
    }
}

impl Type {
    fn of(name: &str, schema: &Value, context: Context<'_>) -> Type {
        let required: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let fields: Vec<Field> = properties
            .map(|(name, schema)| Field {
                name: name.clone(),
                required: required.contains(&name.as_str()),
                kinds: kinds(schema, context),
                description: description(schema, context.words),
            })
            .collect();
        let values = values(schema, context.words);
        let kinds = if fields.is_empty() && values.is_empty() { kinds(schema, context) } else { Vec::new() };
        let description = description(schema, context.words);
        Type { name: name.to_owned(), description, fields, values, kinds }
    }
}

/// The values of an enumeration, of either form that schemars writes.
fn values(schema: &Value, words: Words) -> Vec<Choice> {
    let named = list(schema, "enum").map(|value| Choice { value: plain(value), description: String::new() });
    let constants = list(schema, "oneOf").chain(list(schema, "anyOf")).filter_map(|alternative| {
        Some(Choice { value: plain(alternative.get("const")?), description: description(alternative, words) })
    });
    named.chain(constants).collect()
}

/// The value of a type that has just one, such as `Lab` for `kind`.
fn only_value(schema: &Value) -> Option<String> {
    let mut values = values(schema, Words(Language::En));
    let constant = schema.get("const").map(plain);
    constant.or_else(|| if values.len() == 1 { values.pop().map(|only| only.value) } else { None })
}

fn kinds(schema: &Value, context: Context<'_>) -> Vec<Kind> {
    let kind = |name: &str| Kind { name: name.to_owned(), ..Kind::default() };
    let plain_kind = |name: &str| kind(context.words.get(name));
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return match context.definitions.get(name).and_then(only_value) {
            Some(value) => vec![Kind { literal: true, ..kind(&value) }],
            None => vec![Kind { linked: true, ..kind(name) }],
        };
    }
    let alternatives: Vec<Kind> = ["anyOf", "oneOf", "allOf"]
        .iter()
        .flat_map(|key| list(schema, key))
        .filter(|alternative| alternative.get("type") != Some(&Value::from("null")))
        .flat_map(|alternative| kinds(alternative, context))
        .collect();
    if !alternatives.is_empty() {
        return alternatives;
    }
    let within = |of: &str, key: &str| {
        let inner = schema.get(key).filter(|inner| inner.is_object());
        let inner = inner.map_or_else(|| vec![plain_kind("any")], |inner| kinds(inner, context));
        let (before, behind) = context.words.get(of).split_once('#').unwrap_or_default();
        let around = |inner: Kind| Kind {
            prefix: format!("{before}{}", inner.prefix),
            suffix: format!("{}{behind}", inner.suffix),
            ..inner
        };
        inner.into_iter().map(around).collect()
    };
    // A number's format is only its size in memory.
    let format = schema.get("format").and_then(Value::as_str);
    let format = format
        .filter(|format| !["int", "uint", "float", "double"].iter().any(|size| format.starts_with(size)));
    match schema.get("type") {
        Some(Value::String(of)) if of == "array" => within("listOf", "items"),
        Some(Value::String(of)) if of == "object" => within("mapOf", "additionalProperties"),
        Some(Value::String(of)) => vec![plain_kind(format.unwrap_or(of))],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|of| *of != "null").map(plain_kind).collect()
        }
        _ => vec![plain_kind("any")],
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Doc comments break lines where the source does; a table does not.
fn description(schema: &Value, words: Words) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.of_schema(&text).to_owned()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
