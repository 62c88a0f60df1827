//! Kubernetes' protobuf encoding of requests and answers. Counterpart:
//! `k8s.io/apimachinery/pkg/runtime/serializer/protobuf`.
//!
//! kubectl's typed commands send nothing else, and client-go's controllers ask for it first. The kinds in `proto/`
//! are decoded and encoded through their descriptors, without a Rust type for each.

mod answer;
mod encode;
mod fields;
mod json;
mod texts;

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Map, Value};

use crate::resource::GroupVersionKind;
use crate::status::Status;

pub use answer::{envelope, list, object, partial, status, watch_event};
pub use fields::{go_name, has_spec, prune_unknown};

const MAGIC: &[u8] = b"k8s\0";
/// What upstream calls the set of kinds that its server knows.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let set: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kubernetes.binpb"));
    DescriptorPool::decode(set).expect("the build compiled this descriptor set")
});

/// `runtime.Unknown`: an object's bytes and what they are.
#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

/// Whether objects of that kind can be told in protobuf.
pub fn is_known(gvk: &GroupVersionKind) -> bool {
    descriptor(gvk).is_some()
}

/// Whether the body starts as Kubernetes' protobuf envelope does.
pub fn is_envelope(body: &[u8]) -> bool {
    body.starts_with(MAGIC)
}

/// Decodes a body to the JSON object that it stands for, with its apiVersion and kind.
pub fn decode(body: &[u8]) -> Result<Value, Status> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(|| {
        let prefix = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
        Status::bad_request(prefix)
    })?;
    let unknown = Unknown::decode(envelope).map_err(|error| Status::bad_request(error.to_string()))?;
    let TypeMeta { api_version, kind } = unknown.type_meta.unwrap_or_default();
    for (name, value) in [("Kind", &kind), ("apiVersion", &api_version)] {
        if value.is_empty() {
            let type_meta = format!("runtime.TypeMeta{{APIVersion:{api_version:?}, Kind:{kind:?}}}");
            return Err(Status::bad_request(format!("Object '{name}' is missing in '{type_meta}'")));
        }
    }
    let gvk = GroupVersionKind::parse(&api_version, &kind);
    let descriptor = descriptor(&gvk).ok_or_else(|| {
        let message =
            format!("no kind {kind:?} is registered for version {api_version:?} in scheme {SCHEME:?}");
        Status::bad_request(message)
    })?;
    let fields = DynamicMessage::decode(descriptor, unknown.raw.as_slice())
        .map_err(|error| error.to_string())
        .and_then(|message| json::object(&message))
        .map_err(|error| {
            let version = &gvk.version;
            Status::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: {error}"
            ))
        })?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), Value::String(api_version));
    object.insert("kind".to_owned(), Value::String(kind));
    object.extend(fields);
    Ok(Value::Object(object))
}

/// The message of a kind. `DeleteOptions` comes with the version of whatever is deleted.
fn descriptor(gvk: &GroupVersionKind) -> Option<MessageDescriptor> {
    const VERSIONS: [&str; 21] = [
        "v1",
        "admissionregistration.k8s.io/v1",
        "apiregistration.k8s.io/v1",
        "apps/v1",
        "authentication.k8s.io/v1",
        "authorization.k8s.io/v1",
        "autoscaling/v1",
        "autoscaling/v2",
        "batch/v1",
        "certificates.k8s.io/v1",
        "coordination.k8s.io/v1",
        "discovery.k8s.io/v1",
        "events.k8s.io/v1",
        "flowcontrol.apiserver.k8s.io/v1",
        "meta.k8s.io/v1",
        "networking.k8s.io/v1",
        "node.k8s.io/v1",
        "policy/v1",
        "rbac.authorization.k8s.io/v1",
        "scheduling.k8s.io/v1",
        "storage.k8s.io/v1",
    ];
    if !VERSIONS.contains(&gvk.api_version().as_str()) {
        return None;
    }
    let package = match gvk.group.split('.').next().unwrap_or_default() {
        _ if gvk.kind == "DeleteOptions" => "meta",
        "" => "core",
        group => group,
    };
    let message = DESCRIPTORS.get_message_by_name(&format!("{package}.{}.{}", gvk.version, gvk.kind))?;
    (gvk.kind == "DeleteOptions" || is_kind(&message)).then_some(message)
}

/// Whether the message is an object: it has metadata, and is no template.
fn is_kind(message: &MessageDescriptor) -> bool {
    const TEMPLATES: [&str; 3] = ["JobTemplateSpec", "PersistentVolumeClaimTemplate", "PodTemplateSpec"];
    message.get_field_by_name("metadata").is_some() && !TEMPLATES.contains(&message.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(body: &[u8], expected: Value) {
        assert!(is_envelope(body));
        assert_eq!(decode(body).unwrap().to_string(), expected.to_string());
    }

    #[track_caller]
    fn check_error(body: &[u8], message: &str) {
        let error = decode(body).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (400, message));
    }

    /// A short body, with its envelope.
    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let type_meta = TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
        let unknown = Unknown { type_meta: Some(type_meta), raw: raw.to_vec() };
        [MAGIC, &unknown.encode_to_vec()].concat()
    }

    #[test]
    fn kubectl_create_deployment_is_understood() {
        check(
            b"k8s\x00\n\x15\n\x07apps/v1\x12\nDeployment\x12\xa7\x01\n\x1d\n\x02cd\x12\x00\x1a\x00\"\x00*\x002\
            \x008\x00B\x00Z\t\n\x03app\x12\x02cd\x12x\x08\x01\x12\x0b\n\t\n\x03app\x12\x02cd\x1a_\n\x1b\n\x00\
            \x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00Z\t\n\x03app\x12\x02cd\x12@\x12\"\n\x05nginx\x12\x05nginx\
            *\x00B\x00j\x00r\x00\x80\x01\x00\x88\x01\x00\x90\x01\x00\xa2\x01\x00\x1a\x002\x00B\x00J\x00R\x00X\
            \x00`\x00h\x00\x82\x01\x00\x8a\x01\x00\x9a\x01\x00\xc2\x01\x00\"\x02\n\x00(\x008\x00\x1a\x0c\x08\x00\
            \x10\x00\x18\x00 \x00(\x008\x00\x1a\x00\"\x00",
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "cd", "labels": {"app": "cd"}},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": {"app": "cd"}},
                    "template": {
                        "metadata": {"labels": {"app": "cd"}},
                        "spec": {"containers": [{"name": "nginx", "image": "nginx"}]}
                    }
                }
            }),
        );
    }

    #[test]
    fn zero_replicas_are_a_value() {
        let object = decode(
            b"k8s\x00\n\x15\n\x07apps/v1\x12\nDeployment\x12\xc6\x01\n!\n\x04zero\x12\x00\x1a\x00\"\x00*\x002\
            \x008\x00B\x00Z\x0b\n\x03app\x12\x04zero\x12\x92\x01\x08\x00\x12\r\n\x0b\n\x03app\x12\x04zero\x1aw\n\
            \x1d\n\x00\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00Z\x0b\n\x03app\x12\x04zero\x12V\x128\n\x05nginx\
            \x12\x05nginx\x1a\x05sleep\x1a\x015*\x002\n\n\x00\x10\x00\x18P\"\x00*\x00B\x00j\x00r\x00\x80\x01\x00\
            \x88\x01\x00\x90\x01\x00\xa2\x01\x00\x1a\x002\x00B\x00J\x00R\x00X\x00`\x00h\x00\x82\x01\x00\x8a\x01\
            \x00\x9a\x01\x00\xc2\x01\x00\"\x02\n\x00(\x008\x00\x1a\x0c\x08\x00\x10\x00\x18\x00 \x00(\x008\x00\x1a\
            \x00\"\x00",
        );
        let spec = &object.unwrap()["spec"];
        assert_eq!(spec["replicas"], 0);
        let container = json!({"name": "nginx", "image": "nginx", "command": ["sleep", "5"], "ports": [{"containerPort": 80}]});
        assert_eq!(spec["template"]["spec"], json!({"containers": [container]}));
    }

    #[test]
    fn kubectl_create_of_small_kinds_is_understood() {
        check(
            b"k8s\x00\n\x0f\n\x02v1\x12\tConfigMap\x12\x1c\n\x12\n\x02c1\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\
            \x00\x12\x06\n\x01a\x12\x01b\x1a\x00\"\x00",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c1"}, "data": {"a": "b"}}),
        );
        check(
            b"k8s\x00\n\x0f\n\x02v1\x12\tNamespace\x12\x1c\n\x14\n\x04team\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\
            \x00\x12\x00\x1a\x02\n\x00\x1a\x00\"\x00",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}),
        );
        check(
            b"k8s\x00\n\x0c\n\x02v1\x12\x06Secret\x12+\n\x12\n\x02s1\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00\
            \x12\r\n\x04user\x12\x05admin\x1a\x06Opaque\x1a\x00\"\x00",
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s1"},
                "data": {"user": "YWRtaW4="}, "type": "Opaque"
            }),
        );
        check(
            b"k8s\x00\n\r\n\x02v1\x12\x07Service\x12\x8c\x01\n\x1f\n\x03web\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\
            \x00Z\n\n\x03app\x12\x03web\x12e\n\x1b\n\x0780-8080\x12\x03TCP\x18P\"\x07\x08\x00\x10\x90?\x1a\x00(\
            \x00\n\"\n\t443-https\x12\x03TCP\x18\xbb\x03\"\x0b\x08\x01\x10\x00\x1a\x05https(\x00\x12\n\n\x03app\
            \x12\x03web\x1a\x00\"\x08NodePort:\x00B\x00R\x00Z\x00`\x00h\x00\x1a\x02\n\x00\x1a\x00\"\x00",
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "web", "labels": {"app": "web"}},
                "spec": {
                    "ports": [
                        {"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080},
                        {"name": "443-https", "protocol": "TCP", "port": 443, "targetPort": "https"}
                    ],
                    "selector": {"app": "web"}, "type": "NodePort"
                }
            }),
        );
    }

    /// The body is what `kubectl debug rich --copy-to=rich2` posts for the pod in `pod.json`.
    #[test]
    fn a_pod_with_nearly_every_field_is_understood() {
        let pod = decode(include_bytes!("pod.k8s.pb")).unwrap();
        let expected: Value = serde_json::from_str(include_str!("pod.json")).unwrap();
        assert_eq!(
            serde_json::to_string_pretty(&pod).unwrap(),
            serde_json::to_string_pretty(&expected).unwrap()
        );
    }

    #[test]
    fn delete_options_come_with_any_version() {
        let options = json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        check(&body("apps/v1", "DeleteOptions", b"\x08\x00"), options);
    }

    #[test]
    fn times_are_rfc_3339_with_microseconds_where_the_type_has_them() {
        let raw = b"\x0a\x0e\x0a\x02n1B\x08\x08\x80\xf2\xd6\xca\x06\x10\x00\x12\x13\x0a\x02n1\x10(\x22\x0b\x08\x80\xf2\xd6\xca\x06\x10\x80\x94\xef:";
        check(
            &body("coordination.k8s.io/v1", "Lease", raw),
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": "n1", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {
                    "holderIdentity": "n1", "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.123456Z"
                }
            }),
        );
    }

    #[test]
    fn owners_managed_fields_and_bytes_become_their_json() {
        let raw = b"\x0aH\x0a\x01cj\x14\x0a\x03Pod\x1a\x01p\"\x02u1*\x02v10\x018\x00\x8a\x01,\x0a\x07kubectl\x12\x06Update2\x08FieldsV1:\x0f\x0a\x0d{\"f:data\":{}}\x1a\x09\x0a\x03bin\x12\x02\xff\x00 \x00";
        check(
            &body("v1", "ConfigMap", raw),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {
                    "name": "c",
                    "ownerReferences": [{
                        "kind": "Pod", "name": "p", "uid": "u1", "apiVersion": "v1", "controller": true,
                        "blockOwnerDeletion": false
                    }],
                    "managedFields": [{
                        "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1",
                        "fieldsV1": {"f:data": {}}
                    }]
                },
                "binaryData": {"bin": "/wA="},
                "immutable": false
            }),
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let prefix = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
        check_error(b"{}", prefix);
        check_error(MAGIC, "Object 'Kind' is missing in 'runtime.TypeMeta{APIVersion:\"\", Kind:\"\"}'");
        let unknown = |kind: &str| {
            format!("no kind \"{kind}\" is registered for version \"v1\" in scheme \"{SCHEME}\"")
        };
        for kind in ["Gadget", "Container", "PodTemplateSpec"] {
            check_error(&body("v1", kind, b""), &unknown(kind));
        }
        let error = decode(&body("v1", "Pod", b"\x0a\xff")).unwrap_err();
        assert!(error.message.starts_with("Pod in version \"v1\" cannot be handled as a Pod: "), "{error}");
    }
}
