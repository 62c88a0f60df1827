//! PersistentVolumeClaims. Counterpart: `pkg/registry/core/persistentvolumeclaim`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::persistent_volumes::{access_modes, or_unset, validate_access_modes, validate_positive};
use crate::kinds::{Kind, Strategy, Subresource, kind};
use crate::pod_spec::text as text_of;
use crate::table::{self, AGE, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["pvc"],
    columns: &[
        text("Status", "The phase of the claim."),
        text("Volume", "The volume that the claim is bound to."),
        text("Capacity", "The size of that volume."),
        text("Access Modes", "How nodes may mount that volume."),
        text("StorageClass", "The class of storage that is claimed."),
        text("VolumeAttributesClass", "The class of the volume's attributes."),
        AGE,
        wide("VolumeMode", "Whether the volume is a file system or a block device."),
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<PersistentVolumeClaim>(&PersistentVolumeClaims)
};

struct PersistentVolumeClaims;

impl Strategy for PersistentVolumeClaims {
    fn set_defaults(&self, object: &mut Object) {
        kind::fill(object, &["spec"], json!({"volumeMode": "Filesystem"}));
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({"phase": "Pending"}))
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let mut errors = validate_access_modes(spec, "spec.accessModes");
        match object.at(&["spec", "resources", "requests", "storage"]) {
            None => errors.push(field::required("spec.resources[storage]", "")),
            Some(storage) => errors.extend(validate_positive(storage, "spec.resources[storage]")),
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let is_bound = old.str_at(&["status", "phase"]) == Some("Bound");
        let frozen = |object: &Object| {
            let mut object = object.clone();
            // The binder names the volume; a bound claim may grow.
            if old.str_at(&["spec", "volumeName"]).unwrap_or_default().is_empty() {
                object.remove_at(&["spec", "volumeName"]);
            }
            if old.at(&["spec", "storageClassName"]).is_none() {
                object.remove_at(&["spec", "storageClassName"]);
            }
            if is_bound {
                object.remove_at(&["spec", "resources", "requests"]);
                object.remove_at(&["spec", "volumeAttributesClassName"]);
            }
            object.rest.remove("spec")
        };
        if frozen(object) == frozen(old) {
            return Vec::new();
        }
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                      bound claims";
        vec![field::forbidden("spec", detail)]
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let volume = text_of(spec, "volumeName");
        let status = object.rest.get("status").filter(|_| !volume.is_empty()).unwrap_or(&Value::Null);
        let capacity = status.get("capacity").and_then(|capacity| capacity.get("storage")?.as_str());
        let phase = object.str_at(&["status", "phase"]).unwrap_or_default();
        vec![
            json!(if object.metadata.is_being_deleted() { "Terminating" } else { phase }),
            json!(volume),
            json!(capacity.unwrap_or_default()),
            json!(access_modes(status)),
            json!(text_of(spec, "storageClassName")),
            json!(or_unset(text_of(spec, "volumeAttributesClassName"))),
            table::age(object, now),
            json!(or_unset(text_of(spec, "volumeMode"))),
        ]
    }
}
