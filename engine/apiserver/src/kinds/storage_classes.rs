//! StorageClasses. Counterpart: `pkg/registry/storage/storageclass`.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::StorageClass;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::table::{self, AGE, Column, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["sc"],
    columns: &[
        text("Provisioner", "What makes volumes of this class."),
        text("ReclaimPolicy", "What becomes of a volume when its claim is gone."),
        text("VolumeBindingMode", "When a claim is bound to a volume."),
        Column { format: "boolean", ..text("AllowVolumeExpansion", "Whether a claim may grow.") },
        AGE,
    ],
    ..Kind::of::<StorageClass>(&StorageClasses)
};

const BINDING_MODES: &[&str] = &["Immediate", "WaitForFirstConsumer"];
const RECLAIM_POLICIES: &[&str] = &["Delete", "Retain"];

/// Marks the class of claims that name none.
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

struct StorageClasses;

impl Strategy for StorageClasses {
    fn set_defaults(&self, object: &mut Object) {
        object.rest.entry("reclaimPolicy").or_insert(json!("Delete"));
        object.rest.entry("volumeBindingMode").or_insert(json!("Immediate"));
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let text = |name: &str| object.str_at(&[name]).unwrap_or_default();
        let mut errors = Vec::new();
        if text("provisioner").is_empty() {
            errors.push(field::required("provisioner", ""));
        }
        for (name, known) in [("reclaimPolicy", RECLAIM_POLICIES), ("volumeBindingMode", BINDING_MODES)] {
            if !known.contains(&text(name)) {
                errors.push(field::not_supported(name, text(name), known));
            }
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let null = Value::Null;
        let of = |object: &Object, name: &str| object.rest.get(name).unwrap_or(&null).clone();
        let mut errors = Vec::new();
        for name in ["parameters", "provisioner", "reclaimPolicy"] {
            if of(object, name) != of(old, name) {
                errors.push(field::forbidden(name, &format!("updates to {name} are forbidden.")));
            }
        }
        let name = "volumeBindingMode";
        errors.extend(field::immutable(name, &of(object, name), &of(old, name)));
        errors
    }

    fn shown_name(&self, object: &Object) -> String {
        let is_default = object.metadata.annotations.get(IS_DEFAULT).is_some_and(|value| value == "true");
        let name = object.metadata.name.clone();
        if is_default { name + " (default)" } else { name }
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let text = |name: &str| json!(object.str_at(&[name]).unwrap_or_default());
        vec![
            text("provisioner"),
            text("reclaimPolicy"),
            text("volumeBindingMode"),
            json!(object.at(&["allowVolumeExpansion"]) == Some(&json!(true))),
            table::age(object, now),
        ]
    }
}
