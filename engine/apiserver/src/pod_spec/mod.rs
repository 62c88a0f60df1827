//! Pod specs, in pods and in templates: defaults and validation. Counterpart: `pkg/apis/core/v1/defaults.go`,
//! `pkg/apis/core/validation`.

pub(crate) mod containers;
pub(crate) mod defaults;
pub(crate) mod ephemeral;
pub(crate) mod qos;
pub(crate) mod resources;
pub(crate) mod validate;
pub(crate) mod volumes;
pub(crate) mod warnings;

use std::collections::BTreeMap;

use serde_json::Value;

/// A JSON object of strings; whatever is not a string is left out.
pub(crate) fn string_map(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The text of a field; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
