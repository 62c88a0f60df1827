//! The JSON Schemas of the files, made from the Rust types: for editors, for our own messages, for the book.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Map, Value};

use crate::course::Course;
use crate::lab::Lab;
use crate::submission::Submission;

/// Every schema by its file name under `schemas/`.
pub fn schemas() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("course.schema.json", course()),
        ("lab.schema.json", lab()),
        ("submission.schema.json", submission()),
    ])
}

/// A schema as it stands in its file.
pub fn schema_text(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).expect("a schema is plain data");
    text.push('\n');
    text
}

pub(crate) fn course() -> Value {
    of::<Course>("course")
}

pub(crate) fn lab() -> Value {
    of::<Lab>("lab")
}

pub(crate) fn submission() -> Value {
    of::<Submission>("submission")
}

fn of<T: JsonSchema>(name: &str) -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    without_null(&mut schema);
    let fields = schema.as_object_mut().expect("a struct's schema is an object");
    fields.insert("$id".to_owned(), Value::from(format!("https://labkit.dev/schemas/{name}.schema.json")));
    schema
}

/// An optional field is left out, not written as null.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(without_null);
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(branches)) = fields.get("anyOf")
                && let [one, null] = branches.as_slice()
                && null["type"] == "null"
            {
                let one = one.as_object().cloned().unwrap_or_default();
                replace_any_of(fields, one);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// The one branch in the place of `anyOf`; the field's own description stays.
fn replace_any_of(fields: &mut Map<String, Value>, branch: Map<String, Value>) {
    fields.shift_remove("anyOf");
    for (name, value) in branch {
        fields.entry(name).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn the_schemas_in_the_repository_are_fresh() {
        for (name, schema) in schemas() {
            golden::check(
                &format!("{}/../../schemas/{name}", env!("CARGO_MANIFEST_DIR")),
                &schema_text(&schema),
            );
        }
    }
}
