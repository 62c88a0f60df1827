//! VolumeAttachments. Counterpart: `pkg/registry/storage/volumeattachment`.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource};
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text("Attacher", "The driver that attaches the volume."),
        text("PV", "The volume."),
        text("Node", "Where it is attached."),
        text("Attached", "Whether it is."),
        AGE,
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<VolumeAttachment>(&VolumeAttachments)
};

struct VolumeAttachments;

impl Strategy for VolumeAttachments {
    fn new_status(&self) -> Option<Value> {
        Some(json!({"attached": false}))
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        for name in ["attacher", "nodeName"] {
            if object.str_at(&["spec", name]).unwrap_or_default().is_empty() {
                errors.push(field::required(format!("spec.{name}"), ""));
            }
        }
        let source = |name: &str| object.at(&["spec", "source", name]).is_some();
        if source("persistentVolumeName") == source("inlineVolumeSpec") {
            let why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(field::required("spec.source", why));
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let null = Value::Null;
        let spec = |object: &Object| object.rest.get("spec").unwrap_or(&null).clone();
        field::immutable("spec", &spec(object), &spec(old)).into_iter().collect()
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let text = |path: &[&str]| json!(object.str_at(path).unwrap_or_default());
        let attached = object.at(&["status", "attached"]) == Some(&json!(true));
        vec![
            text(&["spec", "attacher"]),
            text(&["spec", "source", "persistentVolumeName"]),
            text(&["spec", "nodeName"]),
            json!(attached.to_string()),
            table::age(object, now),
        ]
    }
}
