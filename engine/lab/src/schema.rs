//! The JSON Schemas of the files, made from the Rust types: for editors, for our own messages, for the book.

use std::collections::BTreeMap;
use std::sync::LazyLock;

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

/// What the schemas say, in Korean, by what they say in English on one line.
static KOREAN: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("schema.ko.json")).expect("schema.ko.json is checked by a test")
});

/// A text of a schema in Korean. `text` stands on one line.
pub fn korean(text: &str) -> Option<&'static str> {
    KOREAN.get(text).map(String::as_str)
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::golden;

    fn texts(schema: &Value, found: &mut BTreeSet<String>) {
        if let Some(text) = schema.get("description").and_then(Value::as_str) {
            found.insert(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        match schema {
            Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
            _ => {}
        }
    }

    fn code(text: &str) -> BTreeSet<&str> {
        text.split('`').skip(1).step_by(2).collect()
    }

    /// A text that is nothing but code needs no other language.
    #[test]
    fn every_text_of_the_schemas_is_there_in_korean() {
        let mut found = BTreeSet::new();
        schemas().values().for_each(|schema| texts(schema, &mut found));
        found.retain(|text| !text.starts_with('`') || text.trim_matches('`').contains('`'));
        let told: BTreeSet<String> = KOREAN.keys().cloned().collect();
        let missing: Vec<_> = found.difference(&told).collect();
        let unused: Vec<_> = told.difference(&found).collect();
        assert!(
            missing.is_empty() && unused.is_empty(),
            "schema.ko.json: add {missing:#?}, drop {unused:#?}"
        );
        for text in &found {
            let korean = korean(text).unwrap();
            assert_eq!(code(text), code(korean), "{korean}");
            assert!(korean.contains(|letter| ('가'..='힣').contains(&letter)), "{korean}");
        }
    }

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
