//! What is wrong with a field, in upstream's words. Counterpart: `k8s.io/apimachinery/pkg/util/validation/field`.

use std::collections::BTreeMap;

use labkit_api::StatusCause;
use serde_json::Value;

/// A value as a message shows it: text quoted, numbers and booleans bare.
#[derive(Debug)]
pub(crate) struct Shown(String);

impl Shown {
    /// Already in its final form, such as a Go literal.
    pub fn literal(text: impl Into<String>) -> Shown {
        Shown(text.into())
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Shown {
        Shown(quoted(text))
    }
}

impl From<&String> for Shown {
    fn from(text: &String) -> Shown {
        Shown(quoted(text))
    }
}

impl From<bool> for Shown {
    fn from(flag: bool) -> Shown {
        Shown(flag.to_string())
    }
}

impl From<i64> for Shown {
    fn from(number: i64) -> Shown {
        Shown(number.to_string())
    }
}

impl From<&Value> for Shown {
    fn from(value: &Value) -> Shown {
        match value {
            Value::String(text) => text.into(),
            other => Shown(other.to_string()),
        }
    }
}

/// Go's `%q`.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Go's `%#v` of a `map[string]string`.
pub(crate) fn go_map(map: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        map.iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value))).collect();
    format!("map[string]string{{{}}}", pairs.join(", "))
}

fn cause(reason: &str, field: impl Into<String>, what: &str, detail: &str) -> StatusCause {
    let message = if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") };
    StatusCause { reason: reason.to_owned(), message, field: field.into() }
}

pub(crate) fn required(field: impl Into<String>, detail: &str) -> StatusCause {
    cause("FieldValueRequired", field, "Required value", detail)
}

pub(crate) fn invalid(field: impl Into<String>, value: impl Into<Shown>, detail: &str) -> StatusCause {
    cause("FieldValueInvalid", field, &format!("Invalid value: {}", value.into().0), detail)
}

pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> StatusCause {
    cause("FieldValueForbidden", field, "Forbidden", detail)
}

pub(crate) fn duplicate(field: impl Into<String>, value: impl Into<Shown>) -> StatusCause {
    cause("FieldValueDuplicate", field, &format!("Duplicate value: {}", value.into().0), "")
}

pub(crate) fn not_found(field: impl Into<String>, value: impl Into<Shown>) -> StatusCause {
    cause("FieldValueNotFound", field, &format!("Not found: {}", value.into().0), "")
}

pub(crate) fn not_supported(
    field: impl Into<String>,
    value: impl Into<Shown>,
    supported: &[&str],
) -> StatusCause {
    let supported: Vec<String> = supported.iter().map(|value| quoted(value)).collect();
    let detail = format!("supported values: {}", supported.join(", "));
    cause("FieldValueNotSupported", field, &format!("Unsupported value: {}", value.into().0), &detail)
}

pub(crate) fn too_long(field: impl Into<String>, bytes_max: usize) -> StatusCause {
    cause("FieldValueTooLong", field, "Too long", &format!("may not be more than {bytes_max} bytes"))
}

pub(crate) fn too_many(field: impl Into<String>, items: usize, items_max: u64) -> StatusCause {
    let what = format!("Too many: {items}");
    cause("FieldValueTooMany", field, &what, &format!("must have at most {items_max} items"))
}

/// A value of another type than the schema's.
pub(crate) fn type_invalid(field: impl Into<String>, value: impl Into<Shown>, detail: &str) -> StatusCause {
    cause("FieldValueTypeInvalid", field, &format!("Invalid value: {}", value.into().0), detail)
}

/// [`invalid`] once for each complaint of a syntax rule.
pub(crate) fn invalid_all(field: &str, value: &str, complaints: Vec<String>) -> Vec<StatusCause> {
    complaints.iter().map(|complaint| invalid(field, value, complaint)).collect()
}

/// `field is immutable`, if it changed.
pub(crate) fn immutable(field: &str, new: &Value, old: &Value) -> Option<StatusCause> {
    (new != old).then(|| invalid(field, new, "field is immutable"))
}

/// A number that must not be negative.
pub(crate) fn non_negative(field: &str, value: Option<i64>) -> Option<StatusCause> {
    let value = value.filter(|value| *value < 0)?;
    Some(invalid(field, value, "must be greater than or equal to 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_upstreams() {
        let message = |cause: StatusCause| format!("{}: {}", cause.field, cause.message);
        assert_eq!(
            message(non_negative("spec.replicas", Some(-1)).unwrap()),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        );
        assert_eq!(message(required("spec.containers", "")), "spec.containers: Required value");
        assert_eq!(
            message(not_supported("spec.type", "X", &["ClusterIP", "NodePort"])),
            "spec.type: Unsupported value: \"X\": supported values: \"ClusterIP\", \"NodePort\""
        );
        assert_eq!(message(duplicate("a[1].name", "c")), "a[1].name: Duplicate value: \"c\"");
    }
}
