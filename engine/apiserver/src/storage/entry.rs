//! A stored object with the revision at which it was written, and its JSON once someone asked for it: with the
//! managers of its fields, and without them for those who have no use for them. Likewise its protobuf.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use labkit_api::{GroupVersionKind, ManagedFields, Object, ObjectMeta, Status};
use labkit_etcd::KeyValue;
use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Debug)]
pub(crate) struct Entry {
    /// With its resourceVersion.
    pub object: Object,
    pub revision: i64,
    json: OnceLock<Bytes>,
    json_without_managers: OnceLock<Bytes>,
    message: OnceLock<Option<Bytes>>,
}

impl Entry {
    pub fn new(mut object: Object, revision: i64) -> Entry {
        object.metadata.resource_version = revision.to_string();
        Entry {
            object,
            revision,
            json: OnceLock::new(),
            json_without_managers: OnceLock::new(),
            message: OnceLock::new(),
        }
    }

    pub fn decode(kv: &KeyValue) -> Result<Arc<Entry>, Status> {
        Entry::read(&String::from_utf8_lossy(&kv.key), &kv.value, kv.mod_revision)
    }

    /// The object that the store holds at a key.
    pub fn read(key: &str, value: &[u8], revision: i64) -> Result<Arc<Entry>, Status> {
        let object: Object = serde_json::from_slice(value).map_err(|error| {
            Status::internal(format!("unable to decode the object stored at {key}: {error}"))
        })?;
        Ok(Arc::new(Entry::new(object, revision)))
    }

    /// The object's JSON, made once for all who read or watch it.
    pub fn json(&self, managed_fields: bool) -> &Bytes {
        if managed_fields || self.object.metadata.managed_fields.is_empty() {
            return self.json.get_or_init(|| to_json(&self.object));
        }
        self.json_without_managers.get_or_init(|| {
            let managed_fields = ManagedFields::default();
            to_json(&With::metadata(&self.object, |metadata| metadata.managed_fields = managed_fields))
        })
    }
}

impl Entry {
    /// The object's protobuf message in the form in which it is stored, made once for all; `None` for kinds that
    /// are not known to protobuf.
    pub fn message(&self, gvk: &GroupVersionKind) -> Option<Bytes> {
        let make = || labkit_api::protobuf::object(gvk, &self.object).map(Bytes::from);
        self.message.get_or_init(make).clone()
    }
}

/// An object as it is stored: its revision is etcd's to know.
pub(crate) fn encode(object: &Object) -> Bytes {
    if object.metadata.resource_version.is_empty() {
        return to_json(object);
    }
    to_json(&With::metadata(object, |metadata| metadata.resource_version.clear()))
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
