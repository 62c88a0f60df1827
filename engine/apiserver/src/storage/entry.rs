//! A stored object with the revision at which it was written, and its JSON once someone asked for it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use labkit_api::{Object, Status};
use labkit_etcd::KeyValue;

#[derive(Debug)]
pub(crate) struct Entry {
    /// With its resourceVersion.
    pub object: Object,
    pub revision: i64,
    json: OnceLock<Bytes>,
}

impl Entry {
    pub fn new(mut object: Object, revision: i64) -> Entry {
        object.metadata.resource_version = revision.to_string();
        Entry { object, revision, json: OnceLock::new() }
    }

    pub fn decode(kv: &KeyValue) -> Result<Arc<Entry>, Status> {
        let object: Object = serde_json::from_slice(&kv.value).map_err(|error| {
            let key = String::from_utf8_lossy(&kv.key);
            Status::internal(format!("unable to decode the object stored at {key}: {error}"))
        })?;
        Ok(Arc::new(Entry::new(object, kv.mod_revision)))
    }

    /// The object's JSON, made once for all who read or watch it.
    pub fn json(&self) -> &Bytes {
        self.json.get_or_init(|| to_json(&self.object))
    }
}

/// An object as it is stored: its revision is etcd's to know.
pub(crate) fn encode(object: &Object) -> Bytes {
    if object.metadata.resource_version.is_empty() {
        return to_json(object);
    }
    let mut object = object.clone();
    object.metadata.resource_version.clear();
    to_json(&object)
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(value).expect("objects are made of JSON values and strings").into()
}
