//! From protobuf messages to the JSON that Kubernetes writes for the same object.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, ReflectMessage, Value as ProtoValue};
use serde_json::{Map, Value, json};

/// Parts of a message whose fields stand directly in the JSON object; embedded structs upstream.
pub(super) const INLINE: [&str; 8] = [
    "ephemeralContainerCommon",
    "handler",
    "ingressRuleValue",
    "localObjectReference",
    "persistentVolumeSource",
    "rule",
    "ruleWithOperations",
    "volumeSource",
];

/// The fields of a message in the order of their numbers, without those that nobody set.
pub(super) fn object(message: &DynamicMessage) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    for field in message.descriptor().fields().filter(|field| message.has_field(field)) {
        let value = message.get_field(&field);
        match value.as_ref() {
            ProtoValue::Message(inner) if INLINE.contains(&field.name()) => fields.extend(object(inner)?),
            value => {
                let set = self::value(value)?.filter(|value| is_pointer(&field) || !is_empty(value));
                fields.extend(set.map(|value| (field.name().to_owned(), value)));
            }
        }
    }
    Ok(fields)
}

/// Whether a zero in this field is a value that somebody gave: see `proto/meta.proto`.
fn is_pointer(field: &FieldDescriptor) -> bool {
    field.field_descriptor_proto().proto3_optional()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// `None` for a time that is not set.
fn value(value: &ProtoValue) -> Result<Option<Value>, String> {
    Ok(Some(match value {
        ProtoValue::Bool(flag) => json!(flag),
        ProtoValue::I32(number) => json!(number),
        ProtoValue::I64(number) => json!(number),
        ProtoValue::String(text) => json!(text),
        ProtoValue::Bytes(bytes) => json!(STANDARD.encode(bytes)),
        ProtoValue::Message(inner) => return message(inner),
        ProtoValue::List(items) => {
            let items = items.iter().map(self::value).collect::<Result<Vec<_>, _>>()?;
            Value::Array(items.into_iter().map(Option::unwrap_or_default).collect())
        }
        ProtoValue::Map(entries) => {
            let mut pairs = Vec::with_capacity(entries.len());
            for (key, entry) in entries {
                let MapKey::String(key) = key else { unreachable!("the maps of proto/ have string keys") };
                pairs.push((key.clone(), self::value(entry)?.unwrap_or_default()));
            }
            pairs.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(pairs.into_iter().collect())
        }
        other => unreachable!("no field of proto/ has the type of {other:?}"),
    }))
}

fn message(message: &DynamicMessage) -> Result<Option<Value>, String> {
    let field = |name: &str| message.get_field_by_name(name).expect("the special messages have this field");
    Ok(match message.descriptor().full_name() {
        "meta.v1.Time" => time(message)?.map(|at| json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())),
        "meta.v1.MicroTime" => {
            time(message)?.map(|at| json!(at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()))
        }
        "meta.v1.Quantity" => {
            let text = field("string").as_str().unwrap_or_default().to_owned();
            Some(json!(if text.is_empty() { "0".to_owned() } else { text }))
        }
        "meta.v1.IntOrString" => {
            let is_number = field("type").as_i64() == Some(0);
            value(field(if is_number { "intVal" } else { "strVal" }).as_ref())?
        }
        "meta.v1.FieldsV1" | "meta.v1.RawExtension" => {
            let raw = field("raw");
            let raw = raw.as_bytes().map(AsRef::as_ref).unwrap_or_default();
            Some(serde_json::from_slice(raw).map_err(|error| error.to_string())?)
        }
        _ if message.descriptor().name() == "ExtraValue" => value(field("items").as_ref())?,
        _ => Some(Value::Object(object(message)?)),
    })
}

fn time(message: &DynamicMessage) -> Result<Option<Timestamp>, String> {
    let number = |name: &str| message.get_field_by_name(name).map(|value| value.into_owned());
    let seconds = number("seconds").and_then(|value| value.as_i64()).unwrap_or_default();
    let nanos = number("nanos").and_then(|value| value.as_i32()).unwrap_or_default();
    if seconds == 0 && nanos == 0 {
        return Ok(None);
    }
    Timestamp::new(seconds, nanos).map(Some).map_err(|error| error.to_string())
}
