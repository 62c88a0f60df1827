//! From the JSON of an object to its protobuf message, written straight to the wire.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::json::INLINE;

/// The fields that the message knows, in the order in which it declares them.
pub(super) fn object(descriptor: &MessageDescriptor, fields: &Map<String, Value>, out: &mut Vec<u8>) {
    for field in descriptor.fields() {
        match field.kind() {
            Kind::Message(part) if INLINE.contains(&field.name()) => {
                delimited(field.number(), out, |out| object(&part, fields, out));
            }
            _ => {
                if let Some(value) = fields.get(field.name()) {
                    self::field(&field, value, out);
                }
            }
        }
    }
}

/// One field, which may be a map or a list.
pub(super) fn field(field: &FieldDescriptor, value: &Value, out: &mut Vec<u8>) {
    let number = field.number();
    if field.is_map() {
        let entry = field.kind();
        let entry = entry.as_message().expect("the entries of a map are messages");
        let value_field = entry.map_entry_value_field();
        for (key, value) in value.as_object().into_iter().flatten() {
            delimited(number, out, |out| {
                text(1, key, out);
                single(&value_field, value, out);
            });
        }
    } else if field.is_list() {
        value.as_array().into_iter().flatten().for_each(|item| single(field, item, out));
    } else {
        single(field, value, out);
    }
}

/// What is not of the field's type is left out: validation has refused it before it was stored.
fn single(field: &FieldDescriptor, value: &Value, out: &mut Vec<u8>) {
    let number = field.number();
    match (field.kind(), value) {
        (_, Value::Null) => {}
        (Kind::Message(inner), value) => delimited(number, out, |out| message(&inner, value, out)),
        (Kind::Bool, Value::Bool(flag)) => integer(number, i64::from(*flag), out),
        (Kind::Int32 | Kind::Int64, value) => {
            if let Some(value) = value.as_i64() {
                integer(number, value, out);
            }
        }
        (Kind::String, Value::String(value)) => text(number, value, out),
        (Kind::Bytes, Value::String(value)) => {
            bytes(number, &STANDARD.decode(value).unwrap_or_default(), out);
        }
        _ => {}
    }
}

fn message(descriptor: &MessageDescriptor, value: &Value, out: &mut Vec<u8>) {
    match (descriptor.full_name(), value) {
        ("meta.v1.Time", value) => time(value, false, out),
        ("meta.v1.MicroTime", value) => time(value, true, out),
        ("meta.v1.Quantity", Value::String(quantity)) => text(1, quantity, out),
        ("meta.v1.Quantity", value) => text(1, &value.to_string(), out),
        ("meta.v1.IntOrString", Value::String(value)) => {
            integer(1, 1, out);
            text(3, value, out);
        }
        ("meta.v1.IntOrString", value) => integer(2, value.as_i64().unwrap_or_default(), out),
        ("meta.v1.FieldsV1" | "meta.v1.RawExtension", value) => bytes(1, value.to_string().as_bytes(), out),
        (_, Value::Object(fields)) => object(descriptor, fields, out),
        _ => {}
    }
}

/// Nothing where it is no time.
fn time(value: &Value, with_fraction: bool, out: &mut Vec<u8>) {
    if let Some(at) = value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        integer(1, at.as_second(), out);
        integer(2, if with_fraction { i64::from(at.subsec_nanosecond()) } else { 0 }, out);
    }
}

fn integer(number: u32, value: i64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value as u64, out);
}

pub(super) fn text(number: u32, value: &str, out: &mut Vec<u8>) {
    bytes(number, value.as_bytes(), out);
}

pub(super) fn bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// What `write` writes, with its length before it.
fn delimited(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(number, WireType::LengthDelimited, out);
    let start = out.len();
    write(out);
    let mut length = [0; 10];
    let mut rest = &mut length[..];
    encode_varint((out.len() - start) as u64, &mut rest);
    let used = 10 - rest.len();
    out.splice(start..start, length[..used].iter().copied());
}
