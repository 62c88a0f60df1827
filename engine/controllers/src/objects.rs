//! What controllers ask of the metadata of any object.

use labkit_api::ObjectKey;
use labkit_client::Kind;

pub(crate) fn key<K: Kind>(object: &K) -> ObjectKey {
    let metadata = object.metadata();
    ObjectKey::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

pub(crate) fn name<K: Kind>(object: &K) -> &str {
    object.metadata().name.as_deref().unwrap_or_default()
}

pub(crate) fn uid<K: Kind>(object: &K) -> &str {
    object.metadata().uid.as_deref().unwrap_or_default()
}

pub(crate) fn is_being_deleted<K: Kind>(object: &K) -> bool {
    object.metadata().deletion_timestamp.is_some()
}
