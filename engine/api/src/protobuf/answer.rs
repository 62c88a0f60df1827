//! What an API server says in protobuf: objects, lists, Statuses and the events of a watch.

use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value};

use super::{DESCRIPTORS, MAGIC, encode};
use crate::meta::ObjectMeta;
use crate::object::Object;
use crate::resource::GroupVersionKind;

/// An object's message, without the envelope. `None` for kinds that are not in `proto/`.
pub fn object(gvk: &GroupVersionKind, object: &Object) -> Option<Vec<u8>> {
    let descriptor = super::descriptor(gvk)?;
    let mut out = Vec::new();
    write_metadata(&descriptor, &object.metadata, &mut out);
    encode::object(&descriptor, &object.rest, &mut out);
    Some(out)
}

/// The message of a `PartialObjectMetadata`, without the envelope.
pub fn partial(metadata: &ObjectMeta) -> Vec<u8> {
    let mut out = Vec::new();
    encode::bytes(1, &message("ObjectMeta", metadata), &mut out);
    out
}

fn write_metadata(descriptor: &MessageDescriptor, metadata: &ObjectMeta, out: &mut Vec<u8>) {
    let field = descriptor.get_field_by_name("metadata").expect("a kind has metadata");
    encode::field(&field, &json(metadata), out);
}

/// The message of a list of messages; every list has its metadata and its items in the same places.
pub fn list<'a>(metadata: &Value, items: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    encode::bytes(1, &message("ListMeta", metadata), &mut out);
    for item in items {
        encode::bytes(2, item, &mut out);
    }
    out
}

/// The message of a `Status`, without the envelope.
pub fn status(status: &crate::Status) -> Vec<u8> {
    message("Status", status)
}

/// `runtime.Unknown` around a message: what it is, and its bytes.
pub fn envelope(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut type_meta = Vec::new();
    encode::text(1, api_version, &mut type_meta);
    encode::text(2, kind, &mut type_meta);
    let mut out = Vec::with_capacity(message.len() + type_meta.len() + 20);
    out.extend_from_slice(MAGIC);
    encode::bytes(1, &type_meta, &mut out);
    encode::bytes(2, message, &mut out);
    encode::text(3, "", &mut out);
    encode::text(4, "", &mut out);
    out
}

/// An event of a watch as a frame: its length in four bytes, then `metav1.WatchEvent` around an enveloped object.
pub fn watch_event(kind: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(object.len() + 6);
    encode::bytes(1, object, &mut raw);
    let mut event = vec![0; 4];
    event.reserve(raw.len() + kind.len() + 10);
    encode::text(1, kind, &mut event);
    encode::bytes(2, &raw, &mut event);
    let length = u32::try_from(event.len() - 4).expect("an object is smaller than 4 GiB");
    event[..4].copy_from_slice(&length.to_be_bytes());
    event
}

/// A message of `proto/meta.proto`.
fn message(name: &str, value: &impl serde::Serialize) -> Vec<u8> {
    let descriptor =
        DESCRIPTORS.get_message_by_name(&format!("meta.v1.{name}")).expect("it is in meta.proto");
    let mut out = Vec::new();
    encode::object(&descriptor, json(value).as_object().unwrap_or(&Map::new()), &mut out);
    out
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("it is made of JSON values and strings")
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;
    use serde_json::json;

    /// What is encoded is decoded to the same JSON.
    #[track_caller]
    fn check(mut value: Value) {
        let object = Object::from_value(value.clone()).unwrap();
        let message = super::object(&object.gvk(), &object).unwrap();
        let mut decoded = decode(&envelope(&object.api_version, &object.kind, &message)).unwrap();
        decoded.sort_all_objects();
        value.sort_all_objects();
        assert_eq!(format!("{decoded:#}"), format!("{value:#}"));
    }

    #[test]
    fn a_pod_with_nearly_every_field_survives_the_way_there_and_back() {
        check(serde_json::from_str(include_str!("pod.json")).unwrap());
    }

    #[test]
    fn numbers_percentages_bytes_and_times_survive() {
        check(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1",
                    "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}, "time": "2026-01-01T00:00:01Z"}],
            },
            "spec": {
                "replicas": 0, "paused": true, "selector": {"matchLabels": {"app": "web"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                    {"name": "c", "image": "nginx", "resources": {"requests": {"cpu": "100m"}}}]}},
            },
        }));
        check(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "/wA="}, "type": "Opaque"}),
        );
        check(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "n1"},
            "spec": {"holderIdentity": "n1", "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.123456Z"},
        }));
    }

    #[test]
    fn an_event_of_a_watch_is_a_frame() {
        let frame = watch_event("ADDED", b"k8s\0");
        assert_eq!(frame, b"\0\0\0\x0f\x0a\x05ADDED\x12\x06\x0a\x04k8s\0");
    }

    #[test]
    fn a_status_and_a_list_have_their_fields() {
        let status = crate::Status::failure(404, "NotFound", "gone");
        assert_eq!(super::status(&status), b"\x0a\0\x12\x07Failure\x1a\x04gone\"\x08NotFound0\x94\x03");
        let items: [&[u8]; 2] = [b"x", b""];
        assert_eq!(
            list(&json!({"resourceVersion": "7"}), items.into_iter()),
            b"\x0a\x03\x12\x017\x12\x01x\x12\0"
        );
    }

    #[test]
    fn kinds_that_are_not_described_are_not_told() {
        let gvk = GroupVersionKind::new("example.com", "v1", "Gadget");
        assert!(!super::super::is_known(&gvk));
        assert_eq!(super::object(&gvk, &Object::default()), None);
    }
}
