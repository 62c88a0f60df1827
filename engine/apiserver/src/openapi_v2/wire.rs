//! The document in gnostic's protobuf, `openapi.v2.Document`. Tables say which field of the JSON has which number; a map is
//! a list of names with values, and what begins with `x-` is told as YAML.

use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map, Value};

/// The fields of a message, and the number of its vendor extensions.
struct Table {
    fields: &'static [(&'static str, u32, Wire)],
    extensions: u32,
}

/// How a field is written. Numbers in brackets are those of messages around it.
enum Wire {
    Text,
    Texts,
    Flag,
    Integer,
    Double,
    /// Anything, as YAML.
    Any,
    Anys,
    /// A text in a message of its own.
    TextWithin(u32),
    Message(&'static [u32], &'static Table),
    /// An object as a list of names and values.
    Named(u32, &'static [u32], &'static Table),
    /// A schema or a flag.
    SchemaOrFlag,
    Parameters,
    /// A list of requirements, each with its scopes.
    Security,
}

static DOCUMENT: Table = Table {
    fields: &[
        ("swagger", 1, Wire::Text),
        ("info", 2, Wire::Message(&[], &INFO)),
        ("paths", 8, Wire::Named(2, &[], &PATH)),
        ("definitions", 9, Wire::Named(1, &[], &SCHEMA)),
        ("security", 12, Wire::Security),
        ("securityDefinitions", 13, Wire::Named(1, &[2], &API_KEY)),
    ],
    extensions: 16,
};

static INFO: Table = Table { fields: &[("title", 1, Wire::Text), ("version", 2, Wire::Text)], extensions: 7 };

static API_KEY: Table = Table {
    fields: &[
        ("type", 1, Wire::Text),
        ("name", 2, Wire::Text),
        ("in", 3, Wire::Text),
        ("description", 4, Wire::Text),
    ],
    extensions: 5,
};

static PATH: Table = Table {
    fields: &[
        ("get", 2, Wire::Message(&[], &OPERATION)),
        ("put", 3, Wire::Message(&[], &OPERATION)),
        ("post", 4, Wire::Message(&[], &OPERATION)),
        ("delete", 5, Wire::Message(&[], &OPERATION)),
        ("patch", 8, Wire::Message(&[], &OPERATION)),
        ("parameters", 9, Wire::Parameters),
    ],
    extensions: 10,
};

static OPERATION: Table = Table {
    fields: &[
        ("description", 3, Wire::Text),
        ("operationId", 5, Wire::Text),
        ("produces", 6, Wire::Texts),
        ("consumes", 7, Wire::Texts),
        ("parameters", 8, Wire::Parameters),
        ("responses", 9, Wire::Named(1, &[1], &RESPONSE)),
        ("schemes", 10, Wire::Texts),
    ],
    extensions: 13,
};

static RESPONSE: Table = Table {
    fields: &[("description", 1, Wire::Text), ("schema", 2, Wire::Message(&[1], &SCHEMA))],
    extensions: 5,
};

static BODY: Table = Table {
    fields: &[
        ("description", 1, Wire::Text),
        ("name", 2, Wire::Text),
        ("in", 3, Wire::Text),
        ("required", 4, Wire::Flag),
        ("schema", 5, Wire::Message(&[], &SCHEMA)),
    ],
    extensions: 6,
};

static QUERY: Table = Table {
    fields: &[
        ("required", 1, Wire::Flag),
        ("in", 2, Wire::Text),
        ("description", 3, Wire::Text),
        ("name", 4, Wire::Text),
        ("type", 6, Wire::Text),
        ("uniqueItems", 20, Wire::Flag),
    ],
    extensions: 23,
};

static PLACE: Table = Table {
    fields: &[
        ("required", 1, Wire::Flag),
        ("in", 2, Wire::Text),
        ("description", 3, Wire::Text),
        ("name", 4, Wire::Text),
        ("type", 5, Wire::Text),
        ("uniqueItems", 19, Wire::Flag),
    ],
    extensions: 22,
};

static SCHEMA: Table = Table {
    fields: &[
        ("$ref", 1, Wire::Text),
        ("format", 2, Wire::Text),
        ("title", 3, Wire::Text),
        ("description", 4, Wire::Text),
        ("default", 5, Wire::Any),
        ("multipleOf", 6, Wire::Double),
        ("maximum", 7, Wire::Double),
        ("exclusiveMaximum", 8, Wire::Flag),
        ("minimum", 9, Wire::Double),
        ("exclusiveMinimum", 10, Wire::Flag),
        ("maxLength", 11, Wire::Integer),
        ("minLength", 12, Wire::Integer),
        ("pattern", 13, Wire::Text),
        ("maxItems", 14, Wire::Integer),
        ("minItems", 15, Wire::Integer),
        ("uniqueItems", 16, Wire::Flag),
        ("maxProperties", 17, Wire::Integer),
        ("minProperties", 18, Wire::Integer),
        ("required", 19, Wire::Texts),
        ("enum", 20, Wire::Anys),
        ("additionalProperties", 21, Wire::SchemaOrFlag),
        ("type", 22, Wire::TextWithin(1)),
        ("items", 23, Wire::Message(&[1], &SCHEMA)),
        ("properties", 25, Wire::Named(1, &[], &SCHEMA)),
        ("example", 30, Wire::Any),
    ],
    extensions: 31,
};

/// The whole document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    message(&DOCUMENT, document)
}

fn message(table: &Table, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(fields) = value.as_object() else { return bytes };
    for (name, number, wire) in table.fields {
        if let Some(value) = fields.get(*name).filter(|value| !value.is_null()) {
            field(&mut bytes, *number, wire, value);
        }
    }
    for (name, value) in fields.iter().filter(|(name, _)| name.starts_with("x-")) {
        put(&mut bytes, table.extensions, &named(name, &any(value)));
    }
    bytes
}

fn field(bytes: &mut Vec<u8>, number: u32, wire: &Wire, value: &Value) {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    match wire {
        Wire::Text => put(bytes, number, value.as_str().unwrap_or_default().as_bytes()),
        Wire::Texts => texts.for_each(|text| put(bytes, number, text.as_bytes())),
        Wire::Flag => {
            encode_key(number, WireType::Varint, bytes);
            encode_varint(u64::from(value == &Value::Bool(true)), bytes);
        }
        Wire::Integer => {
            encode_key(number, WireType::Varint, bytes);
            encode_varint(value.as_u64().unwrap_or_default(), bytes);
        }
        Wire::Double => {
            encode_key(number, WireType::SixtyFourBit, bytes);
            bytes.extend_from_slice(&value.as_f64().unwrap_or_default().to_le_bytes());
        }
        Wire::Any => put(bytes, number, &any(value)),
        Wire::Anys => {
            value.as_array().into_iter().flatten().for_each(|value| put(bytes, number, &any(value)))
        }
        Wire::TextWithin(inner) => {
            put(bytes, number, &within(&[*inner], value.as_str().unwrap_or_default().as_bytes().to_vec()));
        }
        Wire::Message(around, table) => put(bytes, number, &within(around, message(table, value))),
        Wire::Named(own, around, table) => {
            let mut all = Vec::new();
            for (name, value) in value.as_object().into_iter().flat_map(Map::iter) {
                put(&mut all, *own, &named(name, &within(around, message(table, value))));
            }
            put(bytes, number, &all);
        }
        Wire::SchemaOrFlag => {
            let mut item = Vec::new();
            match value {
                Value::Bool(_) => field(&mut item, 2, &Wire::Flag, value),
                schema => field(&mut item, 1, &Wire::Message(&[], &SCHEMA), schema),
            }
            put(bytes, number, &item);
        }
        Wire::Parameters => {
            for parameter in value.as_array().into_iter().flatten() {
                let (around, table): (&[u32], &Table) = match parameter["in"].as_str() {
                    Some("body") => (&[1, 1], &BODY),
                    Some("path") => (&[1, 2, 4], &PLACE),
                    _ => (&[1, 2, 3], &QUERY),
                };
                put(bytes, number, &within(around, message(table, parameter)));
            }
        }
        Wire::Security => {
            for requirement in value.as_array().into_iter().flatten() {
                let mut all = Vec::new();
                for name in requirement.as_object().into_iter().flat_map(Map::keys) {
                    put(&mut all, 1, &named(name, &[]));
                }
                put(bytes, number, &all);
            }
        }
    }
}

/// Bytes as a field of that number.
fn put(bytes: &mut Vec<u8>, number: u32, content: &[u8]) {
    encode_key(number, WireType::LengthDelimited, bytes);
    encode_varint(content.len() as u64, bytes);
    bytes.extend_from_slice(content);
}

/// A message within messages, the outermost number first.
fn within(around: &[u32], content: Vec<u8>) -> Vec<u8> {
    around.iter().rev().fold(content, |content, number| {
        let mut bytes = Vec::new();
        put(&mut bytes, *number, &content);
        bytes
    })
}

fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, 1, name.as_bytes());
    put(&mut bytes, 2, value);
    bytes
}

fn any(value: &Value) -> Vec<u8> {
    let yaml = serde_yaml::to_string(value).expect("JSON is YAML");
    let mut bytes = Vec::new();
    put(&mut bytes, 2, yaml.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(table: &Table, value: Value, expected: &[u8]) {
        assert_eq!(message(table, &value), expected, "{value}");
    }

    #[test]
    fn fields_have_gnostics_numbers() {
        check(&INFO, json!({"version": "1", "title": "K"}), b"\x0a\x01K\x12\x011");
        check(&SCHEMA, json!({"type": "string"}), b"\xb2\x01\x08\x0a\x06string");
        check(&SCHEMA, json!({"items": {"$ref": "a"}}), b"\xba\x01\x05\x0a\x03\x0a\x01a");
        check(&SCHEMA, json!({"additionalProperties": true}), b"\xaa\x01\x02\x10\x01");
        check(&SCHEMA, json!({"minimum": 1.0}), b"\x49\0\0\0\0\0\0\xf0\x3f");
        check(&SCHEMA, json!({"x-a": "b"}), b"\xfa\x01\x0b\x0a\x03x-a\x12\x04\x12\x02b\n");
        let name = json!({"parameters": [{"in": "path", "name": "n"}]});
        check(&PATH, name, b"\x4a\x0f\x0a\x0d\x12\x0b\x22\x09\x12\x04path\x22\x01n");
    }
}
