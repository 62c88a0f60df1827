//! A stored object as etcd has it: its bytes and the revision at which they were written. Answers are cut from the
//! bytes; the object that they stand for is kept beside them only as long as it is likely to be asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use labkit_api::{GroupVersionKind, ManagedFields, Object, ObjectMeta, Status};
use labkit_etcd::KeyValue;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::storage::layout::Layout;

#[derive(Debug)]
pub(crate) struct Entry {
    /// Without resourceVersion. Shared with a store of this process.
    value: Bytes,
    /// 0: never stored.
    pub revision: i64,
    /// `None` where somebody else wrote the value in a way of their own.
    layout: Option<Layout>,
    known: Mutex<Known>,
}

/// What was made of the value.
#[derive(Debug, Default)]
struct Known {
    object: Option<Arc<Object>>,
    message: Option<Option<Bytes>>,
    is_cold: bool,
    is_past: bool,
}

impl Entry {
    /// An object that is about to be written, or was at this revision, as this value.
    pub fn of(mut object: Object, value: Bytes, revision: i64) -> Entry {
        object.metadata.resource_version = revision.to_string();
        Entry::new(value, revision, Some(object))
    }

    /// An object that is not stored; it keeps the resourceVersion that it has.
    pub fn unstored(object: Object) -> Entry {
        let revision = object.metadata.resource_version.parse().unwrap_or_default();
        Entry::new(encode(&object), revision, Some(object))
    }

    fn new(value: Bytes, revision: i64, object: Option<Object>) -> Entry {
        let known = Known { object: object.map(Arc::new), ..Known::default() };
        Entry { layout: Layout::of(&value), value, revision, known: Mutex::new(known) }
    }

    pub fn decode(kv: &KeyValue) -> Result<Arc<Entry>, Status> {
        Entry::read(&String::from_utf8_lossy(&kv.key), &kv.value, kv.mod_revision)
    }

    /// The object that the store holds at a key.
    pub fn read(key: &str, value: &Bytes, revision: i64) -> Result<Arc<Entry>, Status> {
        let object: Object = serde_json::from_slice(value).map_err(|error| {
            Status::internal(format!("unable to decode the object stored at {key}: {error}"))
        })?;
        Ok(Arc::new(Entry::of(object, value.clone(), revision)))
    }

    /// The same state at another revision, such as that of its deletion.
    pub fn at(&self, revision: i64) -> Entry {
        Entry::new(self.value.clone(), revision, None)
    }

    /// The object, with its resourceVersion.
    pub fn object(&self) -> Arc<Object> {
        if let Some(object) = &self.known().object {
            return object.clone();
        }
        let mut object: Object = serde_json::from_slice(&self.value).expect("it was decoded when it came");
        if self.revision > 0 {
            object.metadata.resource_version = self.revision.to_string();
        }
        let object = Arc::new(object);
        let mut known = self.known();
        if !known.is_cold {
            known.object = Some(object.clone());
        }
        object
    }

    /// From now on only the value is kept.
    pub fn cool(&self) {
        let mut known = self.known();
        *known = Known { is_cold: true, is_past: known.is_past, ..Known::default() };
    }

    /// Something else stands at its key now.
    pub fn is_past(&self) -> bool {
        self.known().is_past
    }

    pub fn set_past(&self) {
        self.known().is_past = true;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic happens under this lock")
    }

    /// The object's JSON, with or without its managers, at the end of `into`.
    pub fn write_json(&self, managed_fields: bool, into: &mut Vec<u8>) {
        match &self.layout {
            Some(layout) => layout.write(&self.value, self.revision, managed_fields, into),
            None => {
                let object = self.object();
                let is_whole = managed_fields || object.metadata.managed_fields.is_empty();
                let hidden = |metadata: &mut ObjectMeta| metadata.managed_fields = ManagedFields::default();
                let json =
                    if is_whole { to_json(&*object) } else { to_json(&With::metadata(&object, hidden)) };
                into.extend_from_slice(&json);
            }
        }
    }

    pub fn json(&self, managed_fields: bool) -> Bytes {
        let mut json = Vec::with_capacity(self.json_len_max());
        self.write_json(managed_fields, &mut json);
        json.into()
    }

    /// About as long as its JSON.
    pub fn json_len_max(&self) -> usize {
        const VERSION_LEN_MAX: usize = 48;
        self.value.len() + VERSION_LEN_MAX
    }

    /// Whether that is true of its labels. Those of an object that is not kept are decoded without the rest.
    pub fn has_labels(&self, is_true: impl FnOnce(&BTreeMap<String, String>) -> bool) -> bool {
        let is_kept = self.known().object.is_some();
        let labels = self.layout.as_ref().filter(|_| !is_kept).map(|layout| layout.labels(&self.value));
        match labels.map(|labels| if labels.is_empty() { b"{}" } else { labels }).map(serde_json::from_slice)
        {
            Some(Ok(labels)) => is_true(&labels),
            _ => is_true(&self.object().metadata.labels),
        }
    }

    /// The object's protobuf message in the form in which it is stored; `None` for kinds that are not known to
    /// protobuf.
    pub fn message(&self, gvk: &GroupVersionKind) -> Option<Bytes> {
        if let Some(message) = &self.known().message {
            return message.clone();
        }
        let message = labkit_api::protobuf::object(gvk, &self.object()).map(Bytes::from);
        let mut known = self.known();
        if !known.is_cold {
            known.message = Some(message.clone());
        }
        message
    }
}

/// An object as it is stored: its revision is etcd's to know. The bytes take no more room than they need, for they
/// stay as long as the object.
pub(crate) fn encode(object: &Object) -> Bytes {
    if object.metadata.resource_version.is_empty() {
        return exact(object);
    }
    exact(&With::metadata(object, |metadata| metadata.resource_version.clear()))
}

fn exact(value: &impl Serialize) -> Bytes {
    const LEN_EXPECTED: usize = 4096;
    let mut json = Vec::with_capacity(LEN_EXPECTED);
    serde_json::to_writer(&mut json, value).expect("objects are made of JSON values and strings");
    Bytes::copy_from_slice(&json)
}

/// An object with other metadata, without a copy of the rest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct With<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: ObjectMeta,
    #[serde(flatten)]
    rest: &'a Map<String, Value>,
}

impl With<'_> {
    fn metadata(object: &Object, change: impl FnOnce(&mut ObjectMeta)) -> With<'_> {
        let mut metadata = object.metadata.clone();
        change(&mut metadata);
        With { api_version: &object.api_version, kind: &object.kind, metadata, rest: &object.rest }
    }
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(value).expect("objects are made of JSON values and strings").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(value: &str) -> Arc<Entry> {
        Entry::read("/registry/x", &Bytes::from(value.to_owned()), 7).unwrap()
    }

    #[test]
    fn what_we_encoded_is_answered_as_if_it_were_encoded_anew() {
        let mut object = Object::from_value(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": "u",
            "labels": {"a": "}\",\"resourceVersion\":1"}, "managedFields": [{"manager": "m", "operation": "Update",
            "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:[]\"\\": {}}}}], "newer": 1}, "spec": {"x": [1]}}))
        .unwrap();
        let entry = entry(std::str::from_utf8(&encode(&object)).unwrap());
        assert!(entry.layout.is_some());
        object.metadata.resource_version = "7".to_owned();
        assert_eq!(entry.json(true), to_json(&object));
        assert_eq!(entry.at(8).object().metadata.resource_version, "8");
        object.metadata.managed_fields = ManagedFields::default();
        assert_eq!(entry.json(false), to_json(&object));
        entry.cool();
        assert!(entry.has_labels(|labels| labels["a"].starts_with('}')));
        assert_eq!(entry.object().metadata.name, "a");
    }

    #[test]
    fn what_others_wrote_is_answered_in_our_form() {
        for value in [
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}"#,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name": "a"}}"#,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":null,"resourceVersion":"3"}}"#,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{},"name":"a"}}"#,
        ] {
            let expected =
                r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","resourceVersion":"7"}}"#;
            assert_eq!(entry(value).json(true), expected, "{value}");
        }
        assert!(Entry::read("/registry/x", &Bytes::from_static(b"{"), 1).is_err());
    }
}
