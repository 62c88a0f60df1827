//! Which fields a kind has, and of which type: its descriptor read as a schema of its JSON. Counterpart: strict
//! decoding in `k8s.io/apimachinery/pkg/runtime/serializer/json`.

use std::collections::BTreeSet;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::json::INLINE;
use crate::resource::GroupVersionKind;

/// More unknown fields than that are not named.
const NAMED_MAX: usize = 100;

/// Messages whose JSON is not an object of their fields, with Go's name of their type.
const SPECIAL: [(&str, &str); 6] = [
    ("meta.v1.Time", "Time"),
    ("meta.v1.MicroTime", "MicroTime"),
    ("meta.v1.Quantity", "Quantity"),
    ("meta.v1.IntOrString", "IntOrString"),
    ("meta.v1.FieldsV1", "FieldsV1"),
    ("meta.v1.RawExtension", "RawExtension"),
];

/// Drops the fields that the kind does not have and names them: `unknown field "spec.foo"`. Fails in Go's words
/// where a field is of the wrong type. Kinds that are not in `proto/` are left alone.
pub fn prune_unknown(gvk: &GroupVersionKind, object: &mut Value) -> Result<Vec<String>, String> {
    let Some(descriptor) = super::descriptor(gvk) else { return Ok(Vec::new()) };
    let mut unknown = Vec::new();
    let Value::Object(fields) = object else {
        return Err(format!("json: cannot unmarshal {} into Go value of type {}", name(object), gvk.kind));
    };
    let meta = ["apiVersion", "kind"].map(|name| (name, fields.shift_remove(name)));
    let pruned = message(&descriptor, fields, &Path::ROOT, &mut unknown);
    for (index, (name, value)) in meta.into_iter().enumerate() {
        if let Some(value) = value {
            fields.shift_insert(index.min(fields.len()), name.to_owned(), value);
        }
    }
    pruned.map(|()| unknown)
}

/// Where a value stands, from the inside out; written down only where something is to be said of it.
struct Path<'a> {
    outer: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    /// Of a map.
    Key(&'a str),
    /// Of a list.
    Index(usize),
}

impl<'a> Path<'a> {
    const ROOT: Path<'static> = Path { outer: None, step: Step::Root };

    fn then(&'a self, step: Step<'a>) -> Path<'a> {
        Path { outer: Some(self), step }
    }

    /// With the indices of lists and the keys of maps, as strict errors have it.
    fn full(&self) -> String {
        let outer = self.outer.map(Path::full).unwrap_or_default();
        match self.step {
            Step::Root => outer,
            Step::Index(index) => format!("{outer}[{index}]"),
            Step::Field(name) | Step::Key(name) if outer.is_empty() => name.to_owned(),
            Step::Field(name) | Step::Key(name) => format!("{outer}.{name}"),
        }
    }

    /// Without them, as Go's errors have it.
    fn plain(&self) -> String {
        let outer = self.outer.map(Path::plain).unwrap_or_default();
        match self.step {
            Step::Root | Step::Index(_) | Step::Key(_) => outer,
            Step::Field(name) if outer.is_empty() => name.to_owned(),
            Step::Field(name) => format!("{outer}.{name}"),
        }
    }
}

fn message(
    descriptor: &MessageDescriptor,
    fields: &mut Map<String, Value>,
    path: &Path<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let mut drop = BTreeSet::new();
    for (name, value) in fields.iter_mut() {
        let at = path.then(Step::Field(name));
        match find(descriptor, name) {
            Some(field) => check(descriptor, &field, value, &at, unknown)?,
            // An object within an object, such as a claim's template, says what it is.
            None if matches!(name.as_str(), "apiVersion" | "kind") && super::is_kind(descriptor) => {}
            None => {
                if unknown.len() < NAMED_MAX {
                    unknown.push(format!("unknown field {:?}", at.full()));
                }
                drop.insert(name.clone());
            }
        }
    }
    if !drop.is_empty() {
        fields.retain(|name, _| !drop.contains(name));
    }
    Ok(())
}

/// The field of that name, here or in a part that stands inline.
fn find(descriptor: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    let is_inline = |field: &FieldDescriptor| INLINE.contains(&name) && field.kind().as_message().is_some();
    let own = descriptor.get_field_by_name(name).filter(|field| !is_inline(field));
    own.or_else(|| {
        let inner = INLINE.iter().filter_map(|part| descriptor.get_field_by_name(part));
        inner.filter_map(|part| part.kind().as_message().cloned()).find_map(|part| find(&part, name))
    })
}

fn check(
    of: &MessageDescriptor,
    field: &FieldDescriptor,
    value: &mut Value,
    path: &Path<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let refuse = |value: &Value, go: &str| {
        let message = format!(
            "json: cannot unmarshal {} into Go struct field {}.{} of type {go}",
            name(value),
            of.name(),
            path.plain()
        );
        Err(message)
    };
    if value.is_null() {
        return Ok(());
    }
    if field.is_map() {
        let element = field.kind().as_message().map(MessageDescriptor::map_entry_value_field);
        let element = element.expect("the entries of a map are messages");
        let go = format!("map[string]{}", go_type(&element));
        let Value::Object(entries) = value else { return refuse(value, &go) };
        return entries
            .iter_mut()
            .try_for_each(|(key, entry)| check(of, &element, entry, &path.then(Step::Key(key)), unknown));
    }
    if field.is_list() {
        let Value::Array(items) = value else { return refuse(value, &format!("[]{}", go_type(field))) };
        let mut items = items.iter_mut().enumerate();
        return items.try_for_each(|(index, item)| {
            single(field, item, &path.then(Step::Index(index)), unknown, &refuse)
        });
    }
    single(field, value, path, unknown, &refuse)
}

fn single(
    field: &FieldDescriptor,
    value: &mut Value,
    path: &Path<'_>,
    unknown: &mut Vec<String>,
    refuse: &dyn Fn(&Value, &str) -> Result<(), String>,
) -> Result<(), String> {
    let fits = match field.kind() {
        Kind::Message(inner) => match SPECIAL.iter().find(|(name, _)| *name == inner.full_name()) {
            Some((_, "Quantity" | "IntOrString")) => value.is_string() || value.is_number(),
            Some((_, "Time" | "MicroTime")) => value.is_string(),
            Some(_) => true,
            None => {
                if let Value::Object(fields) = value {
                    return message(&inner, fields, path, unknown);
                }
                false
            }
        },
        Kind::Bool => value.is_boolean(),
        Kind::Int32 | Kind::Int64 => value.is_i64(),
        Kind::String | Kind::Bytes => value.is_string(),
        _ => true,
    };
    if fits { Ok(()) } else { refuse(value, &go_type(field)) }
}

/// `int32`, `string`, `v1.PodSpec`.
fn go_type(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Bool => "bool".to_owned(),
        Kind::Int32 => "int32".to_owned(),
        Kind::Int64 => "int64".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::Bytes => "[]uint8".to_owned(),
        Kind::Message(inner) => format!("v1.{}", inner.name()),
        other => format!("{other:?}"),
    }
}

/// What Go calls a JSON value.
fn name(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if number.is_i64() => "number".to_owned(),
        Value::Number(number) => format!("number {number}"),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(mut pod: Value, expected: Result<&[&str], &str>, left: Option<Value>) {
        let found = prune_unknown(&GroupVersionKind::new("", "v1", "Pod"), &mut pod);
        let expected = expected.map(|all| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(found, expected.map_err(str::to_owned));
        if let Some(left) = left {
            assert_eq!(pod.to_string(), left.to_string());
        }
    }

    #[test]
    fn unknown_fields_are_named_and_dropped() {
        check(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {
                "foo": 1, "containers": [{"name": "c", "image": "i", "imagee": "x", "readinessProbe": {"httpGet": {"port": "web"}}}],
                "volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "w", "emptyDir": {}}]}}),
            Ok(&["unknown field \"spec.foo\"", "unknown field \"spec.containers[0].imagee\""]),
            Some(
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {
                "containers": [{"name": "c", "image": "i", "readinessProbe": {"httpGet": {"port": "web"}}}],
                "volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "w", "emptyDir": {}}]}}),
            ),
        );
    }

    #[test]
    fn wrong_types_are_refused_in_gos_words() {
        let text = "json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64";
        check(json!({"spec": {"terminationGracePeriodSeconds": "30"}}), Err(text), None);
        let text = "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container";
        check(json!({"spec": {"containers": {"name": "c"}}}), Err(text), None);
        let text =
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string";
        check(json!({"metadata": {"labels": {"a": 1}}}), Err(text), None);
        let text = "json: cannot unmarshal bool into Go struct field EnvVar.spec.containers.env.value of type string";
        check(json!({"spec": {"containers": [{"env": [{"name": "A", "value": true}]}]}}), Err(text), None);
    }
}
