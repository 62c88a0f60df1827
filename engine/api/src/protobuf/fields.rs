//! Which fields a kind has, and of which type: its descriptor read as a schema of its JSON. Counterpart: strict
//! decoding in `k8s.io/apimachinery/pkg/runtime/serializer/json`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::json::INLINE;
use super::texts;
use crate::resource::GroupVersionKind;

/// More unknown fields than that are not named.
const NAMED_MAX: usize = 100;

/// Drops the fields that the kind does not have and names them: `unknown field "spec.foo"`. Fails in Go's words
/// where a field is of the wrong type. Kinds that are not in `proto/` are left alone.
pub fn prune_unknown(gvk: &GroupVersionKind, object: &mut Value) -> Result<Vec<String>, String> {
    let Some(kind) = Struct::of_kind(gvk) else { return Ok(Vec::new()) };
    let mut unknown = Vec::new();
    let Value::Object(fields) = object else {
        return Err(format!("json: cannot unmarshal {} into Go value of type {}", go_name(object), gvk.kind));
    };
    let meta = ["apiVersion", "kind"].map(|name| (name, fields.shift_remove(name)));
    let pruned = prune(&kind, fields, &Path::ROOT, &mut unknown);
    for (index, (name, value)) in meta.into_iter().enumerate() {
        if let Some(value) = value {
            fields.shift_insert(index.min(fields.len()), name.to_owned(), value);
        }
    }
    pruned.map(|()| unknown)
}

/// A kind, and its message.
type Known = (GroupVersionKind, Arc<Struct>);

/// A message as its JSON has it. Its fields are looked at when it is first needed.
struct Struct {
    descriptor: MessageDescriptor,
    fields: OnceLock<BTreeMap<String, Field>>,
}

struct Field {
    holds: Holds,
    element: Element,
    /// What Go calls the element's type: `int32`, `string`, `v1.PodSpec`.
    go: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Holds {
    One,
    List,
    Map,
}

enum Element {
    Struct(Arc<Struct>),
    Bool,
    Integer,
    Text,
    /// Base64.
    Bytes,
    Time,
    Quantity,
    TextOrNumber,
    Texts,
    Any,
}

impl Struct {
    /// That of a kind; `None` for kinds that are not in `proto/`.
    fn of_kind(gvk: &GroupVersionKind) -> Option<Arc<Struct>> {
        static KINDS: LazyLock<Mutex<BTreeMap<String, Vec<Known>>>> = LazyLock::new(Mutex::default);
        let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) =
            kinds.get(&gvk.kind).and_then(|known| known.iter().find(|(known, _)| known == gvk))
        {
            return Some(known.clone());
        }
        let made = super::descriptor(gvk).map(Struct::of)?;
        kinds.entry(gvk.kind.clone()).or_default().push((gvk.clone(), made.clone()));
        Some(made)
    }

    /// One for each message of the pool, as messages may contain themselves.
    fn of(descriptor: MessageDescriptor) -> Arc<Struct> {
        static STRUCTS: LazyLock<Mutex<BTreeMap<String, Arc<Struct>>>> = LazyLock::new(Mutex::default);
        let mut structs = STRUCTS.lock().unwrap_or_else(PoisonError::into_inner);
        let made = structs.entry(descriptor.full_name().to_owned());
        made.or_insert_with(|| Arc::new(Struct { descriptor, fields: OnceLock::new() })).clone()
    }

    fn fields(&self) -> &BTreeMap<String, Field> {
        self.fields.get_or_init(|| {
            let mut fields = BTreeMap::new();
            collect(&self.descriptor, &mut fields);
            fields
        })
    }
}

/// The fields of a message, with those of the parts that stand inline.
fn collect(descriptor: &MessageDescriptor, fields: &mut BTreeMap<String, Field>) {
    let inline = |field: &FieldDescriptor| {
        if INLINE.contains(&field.name()) { field.kind().as_message().cloned() } else { None }
    };
    for field in descriptor.fields().filter(|field| inline(field).is_none()) {
        fields.entry(field.name().to_owned()).or_insert_with(|| Field::of(&field));
    }
    descriptor.fields().filter_map(|field| inline(&field)).for_each(|part| collect(&part, fields));
}

impl Field {
    fn of(field: &FieldDescriptor) -> Field {
        if field.is_map() {
            let entries = field.kind();
            let entry = entries.as_message().expect("the entries of a map are messages");
            return Field { holds: Holds::Map, ..Field::of(&entry.map_entry_value_field()) };
        }
        let (element, go) = match field.kind() {
            Kind::Bool => (Element::Bool, "bool".to_owned()),
            Kind::Int32 => (Element::Integer, "int32".to_owned()),
            Kind::Int64 => (Element::Integer, "int64".to_owned()),
            Kind::String => (Element::Text, "string".to_owned()),
            Kind::Bytes => (Element::Bytes, "[]uint8".to_owned()),
            Kind::Message(inner) => {
                let go = format!("v1.{}", inner.name());
                // Messages whose JSON is not an object of their fields.
                let element = match inner.full_name() {
                    "meta.v1.Time" | "meta.v1.MicroTime" => Element::Time,
                    "meta.v1.Quantity" => Element::Quantity,
                    "meta.v1.IntOrString" => Element::TextOrNumber,
                    "authentication.v1.ExtraValue"
                    | "authorization.v1.ExtraValue"
                    | "certificates.v1.ExtraValue" => Element::Texts,
                    "meta.v1.FieldsV1" | "meta.v1.RawExtension" => Element::Any,
                    _ => Element::Struct(Struct::of(inner)),
                };
                (element, go)
            }
            other => (Element::Any, format!("{other:?}")),
        };
        Field { holds: if field.is_list() { Holds::List } else { Holds::One }, element, go }
    }
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

fn prune(
    of: &Struct,
    fields: &mut Map<String, Value>,
    path: &Path<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let known = of.fields();
    let mut drop = BTreeSet::new();
    for (name, value) in fields.iter_mut() {
        let at = path.then(Step::Field(name));
        match known.get(name) {
            Some(field) => check(of, field, value, &at, unknown)?,
            // An object within an object, such as a claim's template, says what it is.
            None if matches!(name.as_str(), "apiVersion" | "kind") && super::is_kind(&of.descriptor) => {}
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

fn check(
    of: &Struct,
    field: &Field,
    value: &mut Value,
    path: &Path<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let go = &field.go;
    let refuse = |value: &Value, at: &Path<'_>, go: &str| {
        let (value, of) = (go_name(value), of.descriptor.name());
        Err(format!("json: cannot unmarshal {value} into Go struct field {of}.{} of type {go}", at.plain()))
    };
    let mut single = |value: &mut Value, at: &Path<'_>| {
        let fits = match (&field.element, &mut *value) {
            (Element::Struct(inner), Value::Object(fields)) => return prune(inner, fields, at, unknown),
            (Element::Struct(_), _) => false,
            (Element::Bool, value) => value.is_boolean(),
            (Element::Integer, value) => value.is_i64(),
            (Element::Text, value) => value.is_string(),
            (Element::Bytes, Value::String(text)) => return texts::settle_base64(text),
            (Element::Time, Value::String(text)) => return texts::check_time(text),
            (Element::Bytes | Element::Time, _) => false,
            (Element::Quantity, value) => return texts::settle_quantity(value),
            (Element::TextOrNumber, value) => value.is_string() || value.is_number(),
            (Element::Texts, Value::Array(items)) => items.iter().all(Value::is_string),
            (Element::Texts, _) => false,
            (Element::Any, _) => true,
        };
        if fits { Ok(()) } else { refuse(value, at, go) }
    };
    match (field.holds, value) {
        (_, Value::Null) => Ok(()),
        (Holds::Map, Value::Object(entries)) => entries
            .iter_mut()
            .filter(|(_, entry)| !entry.is_null())
            .try_for_each(|(key, entry)| single(entry, &path.then(Step::Key(key)))),
        (Holds::Map, value) => refuse(value, path, &format!("map[string]{go}")),
        (Holds::List, Value::Array(items)) => items
            .iter_mut()
            .enumerate()
            .try_for_each(|(index, item)| single(item, &path.then(Step::Index(index)))),
        (Holds::List, value) => refuse(value, path, &format!("[]{go}")),
        (Holds::One, value) => single(value, path),
    }
}

/// Whether objects of the kind have a spec of fields.
pub fn has_spec(gvk: &GroupVersionKind) -> bool {
    let Some(kind) = Struct::of_kind(gvk) else { return false };
    let spec = kind.fields().get("spec");
    spec.is_some_and(|spec| spec.holds == Holds::One && matches!(spec.element, Element::Struct(_)))
}

/// What Go calls a JSON value: `array`, `number 1.5`.
pub fn go_name(value: &Value) -> String {
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
        let text =
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        let of = |cpu: Value| json!({"spec": {"containers": [{"resources": {"limits": {"cpu": cpu}}}]}});
        check(of(json!("1x")), Err(text), None);
        check(of(json!(true)), Err(text), None);
        check(of(json!({})), Err(text), None);
        let text =
            "parsing time \"soon\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"soon\" as \"2006\"";
        check(json!({"metadata": {"creationTimestamp": "soon"}}), Err(text), None);
    }

    #[test]
    fn amounts_are_written_as_upstream_writes_them() {
        let of = |cpu: Value, memory: &str| json!({"spec": {"containers": [{"resources": {"limits": {"cpu": cpu, "memory": memory}}}]}});
        check(of(json!(1), "1024Mi"), Ok(&[]), Some(of(json!("1"), "1Gi")));
        check(of(json!(0.1), "0.5Gi"), Ok(&[]), Some(of(json!("100m"), "512Mi")));
        check(of(json!("1000m"), " 1e3"), Ok(&[]), Some(of(json!("1"), "1e3")));
    }
}
