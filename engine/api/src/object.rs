//! Any resource, as it is stored and passed around. Counterpart: `unstructured.Unstructured`.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::meta::ObjectMeta;
use crate::resource::GroupVersionKind;

/// An object of any kind: typed metadata, everything else as JSON in the order in which it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    pub api_version: String,
    pub kind: String,
    pub metadata: ObjectMeta,
    /// `spec`, `status`, `data` and whatever else the kind has.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What `kubectl` calls `namespace/name`; the namespace is empty for cluster-scoped objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

/// A list as the API returns it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObjectList {
    pub items: Vec<Object>,
    /// The revision at which the list was true; a watch goes on from there.
    pub resource_version: String,
}

impl Object {
    /// An object with just its kind and name.
    pub fn new(gvk: &GroupVersionKind, namespace: &str, name: &str) -> Object {
        let metadata =
            ObjectMeta { name: name.to_owned(), namespace: namespace.to_owned(), ..Default::default() };
        Object { api_version: gvk.api_version(), kind: gvk.kind.clone(), metadata, rest: Map::new() }
    }

    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::parse(&self.api_version, &self.kind)
    }

    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.metadata.namespace, &self.metadata.name)
    }

    /// Parses JSON. Fails where metadata is not of its shape.
    pub fn from_value(value: Value) -> Result<Object, serde_json::Error> {
        let Value::Object(mut rest) = value else { return serde_json::from_value(value) };
        let text = |rest: &mut Map<String, Value>, name: &str| match rest.shift_remove(name) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => String::deserialize(other),
            None => Ok(String::new()),
        };
        let (api_version, kind) = (text(&mut rest, "apiVersion")?, text(&mut rest, "kind")?);
        let metadata = rest.shift_remove("metadata").map(ObjectMeta::deserialize).transpose()?;
        Ok(Object { api_version, kind, metadata: metadata.unwrap_or_default(), rest })
    }

    pub fn to_value(&self) -> Value {
        self.clone().into_value()
    }

    /// The same without a copy of what is JSON already.
    pub fn into_value(self) -> Value {
        let metadata =
            serde_json::to_value(self.metadata).expect("metadata is made of JSON values and strings");
        let mut fields = Map::with_capacity(self.rest.len() + 3);
        fields.insert("apiVersion".to_owned(), Value::String(self.api_version));
        fields.insert("kind".to_owned(), Value::String(self.kind));
        fields.insert("metadata".to_owned(), metadata);
        fields.extend(self.rest);
        Value::Object(fields)
    }

    /// The value at a path of field names, such as `["spec", "replicas"]`, outside metadata.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, inner) = path.split_first()?;
        inner.iter().try_fold(self.rest.get(*first)?, |value, field| value.get(field))
    }

    pub fn str_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).and_then(Value::as_str)
    }

    pub fn i64_at(&self, path: &[&str]) -> Option<i64> {
        self.at(path).and_then(Value::as_i64)
    }

    /// Sets the value at a path outside metadata, making the objects on the way.
    pub fn set_at(&mut self, path: &[&str], value: Value) {
        let (last, parents) = path.split_last().expect("a path has at least one field");
        let mut map = &mut self.rest;
        for field in parents {
            let slot = map.entry((*field).to_owned()).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            map = slot.as_object_mut().expect("made an object just above");
        }
        map.insert((*last).to_owned(), value);
    }

    pub fn remove_at(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        let mut map = &mut self.rest;
        for field in parents {
            map = map.get_mut(*field)?.as_object_mut()?;
        }
        map.shift_remove(*last)
    }
}

/// By hand, for a derived one would put `rest` aside in a form of its own first.
impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("struct Object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let (mut api_version, mut kind, mut metadata) = (None, None, None);
        let mut rest = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "apiVersion" => once(&mut api_version, "apiVersion", map.next_value()?)?,
                "kind" => once(&mut kind, "kind", map.next_value()?)?,
                "metadata" => once(&mut metadata, "metadata", map.next_value()?)?,
                _ => drop(rest.insert(name, map.next_value()?)),
            }
        }
        Ok(Object {
            api_version: api_version.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            metadata: metadata.unwrap_or_default(),
            rest,
        })
    }
}

fn once<T, E: serde::de::Error>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    if slot.replace(value).is_some() { Err(E::duplicate_field(name)) } else { Ok(()) }
}

impl ObjectKey {
    pub fn new(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let value = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{
                "manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"containers": [{"name": "c", "image": "nginx"}]}, "new": 1
        });
        assert_eq!(Object::from_value(value.clone()).unwrap().to_value(), value);
    }

    #[test]
    fn text_is_read_as_values_are_and_a_field_stands_there_once() {
        let text = r#"{"spec":{"a":[1,null]},"metadata":{"name":"a","newer":{"b":1}},"kind":"Pod","status":{},"apiVersion":"v1"}"#;
        let object: Object = serde_json::from_str(text).unwrap();
        assert_eq!(object, Object::from_value(serde_json::from_str(text).unwrap()).unwrap());
        assert_eq!(object.clone().into_value(), serde_json::to_value(&object).unwrap());
        assert_eq!(serde_json::from_str::<Object>("{}").unwrap(), Object::default());
        for (text, error) in [
            (r#"{"kind":"a","kind":"b"}"#, "duplicate field `kind`"),
            (r#"{"kind":1}"#, "invalid type: integer `1`, expected a string"),
            ("[]", "invalid type: sequence, expected struct Object"),
        ] {
            let found = serde_json::from_str::<Object>(text).unwrap_err().to_string();
            assert!(found.starts_with(error), "{found}");
        }
    }

    #[test]
    fn null_metadata_fields_are_absent_ones() {
        let object =
            Object::from_value(json!({"metadata": {"name": "a", "creationTimestamp": null, "labels": null}}))
                .unwrap();
        assert_eq!(object.to_value(), json!({"apiVersion": "", "kind": "", "metadata": {"name": "a"}}));
    }

    #[test]
    fn values_are_set_and_removed_by_path() {
        let mut object = Object::default();
        object.set_at(&["status", "phase"], json!("Running"));
        assert_eq!(object.str_at(&["status", "phase"]), Some("Running"));
        assert_eq!(object.remove_at(&["status", "phase"]), Some(json!("Running")));
        assert_eq!(object.at(&["status", "phase"]), None);
    }
}
