//! Objects as tables, which is what `kubectl get` asks for. Counterpart: `pkg/printers/internalversion`.

use std::time::Duration;

use jiff::Timestamp;
use labkit_api::duration::human_duration;
use labkit_api::{Object, Time};
use serde_json::{Value, json};

use crate::kinds::Kind;

/// A column after NAME.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    /// `string` or `integer`.
    pub format: &'static str,
    pub description: &'static str,
    /// 0: always shown. 1: with `-o wide`.
    pub priority: u8,
}

/// A column that is always shown.
pub(crate) const fn text(name: &'static str, description: &'static str) -> Column {
    Column { name, format: "string", description, priority: 0 }
}

/// A column of numbers that is always shown.
pub(crate) const fn number(name: &'static str, description: &'static str) -> Column {
    Column { name, format: "integer", description, priority: 0 }
}

/// A column that `-o wide` adds.
pub(crate) const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { name, format: "string", description, priority: 1 }
}

pub(crate) const AGE: Column = text(
    "Age",
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not \
     guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It \
     is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More \
     info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
);

/// The one column of kinds that have no columns of their own.
pub(crate) const CREATED_AT: Column =
    text("Created At", "When the object was created, in RFC 3339 form and in UTC.");

/// What a row carries beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    Metadata,
    Object,
    None,
}

/// `columnDefinitions` of a kind.
pub(crate) fn column_definitions(kind: &Kind) -> Value {
    let name = json!({
        "name": "Name", "type": "string", "format": "name",
        "description": "Name must be unique within a namespace. Is required when creating resources, although some \
                        resources may allow a client to request the generation of an appropriate name \
                        automatically.",
        "priority": 0,
    });
    if let Some(custom) = kind.custom {
        let own = custom.columns.iter().map(|column| column.definition());
        return Value::Array([name].into_iter().chain(own).collect());
    }
    let others = kind.columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.format, "format": "", "description": column.description,
            "priority": column.priority,
        })
    });
    let name = leads_with_name(kind).then_some(name);
    Value::Array(name.into_iter().chain(others).collect())
}

/// Every table begins with NAME, but for events, which have it last.
fn leads_with_name(kind: &Kind) -> bool {
    kind.columns.iter().all(|column| column.name != "Name")
}

/// One row.
pub(crate) fn row(kind: &Kind, object: &Object, include: IncludeObject, now: Timestamp) -> Value {
    let mut cells = kind.strategy.cells(object, now);
    let columns = kind.custom.map_or(kind.columns.len(), |custom| custom.columns.len());
    debug_assert_eq!(cells.len(), columns, "{} has a cell for each column", kind.plural);
    if leads_with_name(kind) {
        cells.insert(0, json!(kind.strategy.shown_name(object)));
    }
    match include {
        IncludeObject::None => json!({"cells": cells}),
        IncludeObject::Object => json!({"cells": cells, "object": object.to_value()}),
        IncludeObject::Metadata => json!({"cells": cells, "object": partial_object(object)}),
    }
}

/// The object without everything but its metadata.
pub(crate) fn partial_object(object: &Object) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.metadata})
}

/// The cell AGE.
pub(crate) fn age(object: &Object, now: Timestamp) -> Value {
    Value::String(since(object.metadata.creation_timestamp, now))
}

/// How long ago that was.
pub(crate) fn since(time: Option<Time>, now: Timestamp) -> String {
    let Some(Time(time)) = time else { return "<unknown>".to_owned() };
    let seconds = now.as_second() - time.as_second();
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    human_duration(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

/// A timestamp in an object's JSON.
pub(crate) fn time(value: Option<&Value>) -> Option<Time> {
    value.and_then(Value::as_str).and_then(|text| text.parse().ok()).map(Time)
}

/// The text, or `<none>`.
pub(crate) fn or_none(text: &str) -> Value {
    Value::String(if text.is_empty() { "<none>".to_owned() } else { text.to_owned() })
}

/// A number or percentage as text; `missing` where there is none.
pub(crate) fn number_or(value: Option<&Value>, missing: &str) -> String {
    match value {
        None => missing.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// `a=b,c=d`, or `<none>`.
pub(crate) fn labels(value: Option<&Value>) -> Value {
    let pairs: Vec<String> =
        crate::pod_spec::string_map(value).iter().map(|(key, value)| format!("{key}={value}")).collect();
    or_none(&pairs.join(","))
}
