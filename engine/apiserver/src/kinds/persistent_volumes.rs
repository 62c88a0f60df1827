//! PersistentVolumes. Counterpart: `pkg/registry/core/persistentvolume`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolume;
use labkit_api::{Object, Quantity, StatusCause};
use serde_json::{Map, Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource, kind};
use crate::pod_spec::{list, text as text_of};
use crate::table::{self, AGE, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["pv"],
    columns: &[
        text("Capacity", "The size of the volume."),
        text("Access Modes", "How nodes may mount the volume."),
        text("Reclaim Policy", "What becomes of the volume when its claim is gone."),
        text("Status", "The phase of the volume."),
        text("Claim", "The claim that the volume is bound to."),
        text("StorageClass", "The class of the volume."),
        text("VolumeAttributesClass", "The class of the volume's attributes."),
        text("Reason", "Why the volume is in its phase."),
        AGE,
        wide("VolumeMode", "Whether the volume is a file system or a block device."),
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<PersistentVolume>(&PersistentVolumes)
};

pub(crate) const ACCESS_MODES: &[&str] =
    &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const RECLAIM_POLICIES: &[&str] = &["Delete", "Recycle", "Retain"];

/// Fields of a spec that are no source of a volume.
const COMMON: [&str; 9] = [
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
];

struct PersistentVolumes;

impl Strategy for PersistentVolumes {
    fn set_defaults(&self, object: &mut Object) {
        kind::fill(
            object,
            &["spec"],
            json!({"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}),
        );
        kind::fill(object, &["spec", "hostPath"], json!({"type": ""}));
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({"phase": "Pending"}))
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let mut errors = validate_access_modes(spec, "spec.accessModes");
        match spec.get("capacity").and_then(|capacity| capacity.get("storage")) {
            None if spec.get("capacity").is_none() => errors.push(field::required("spec.capacity", "")),
            None => errors.push(field::not_supported(
                "spec.capacity",
                spec["capacity"].to_string().as_str(),
                &["storage"],
            )),
            Some(storage) => errors.extend(validate_positive(storage, "spec.capacity[storage]")),
        }
        let policy = text_of(spec, "persistentVolumeReclaimPolicy");
        if !RECLAIM_POLICIES.contains(&policy) {
            errors.push(field::not_supported("spec.persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES));
        }
        let sources: Vec<String> = source(object).keys().cloned().collect();
        if sources.is_empty() {
            errors.push(field::required("spec", "must specify a volume type"));
        }
        for extra in sources.iter().skip(1) {
            errors.push(field::forbidden(format!("spec.{extra}"), "may not specify more than 1 volume type"));
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        if source(object) != source(old) {
            let detail = "spec.persistentvolumesource is immutable after creation";
            errors.push(field::forbidden("spec.persistentvolumesource", detail));
        }
        let null = Value::Null;
        let mode = |object: &Object| object.at(&["spec", "volumeMode"]).unwrap_or(&null).clone();
        errors.extend(field::immutable("spec.volumeMode", &mode(object), &mode(old)));
        errors
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let claim = spec
            .get("claimRef")
            .map(|claim| format!("{}/{}", text_of(claim, "namespace"), text_of(claim, "name")));
        let phase = object.str_at(&["status", "phase"]).unwrap_or_default();
        vec![
            json!(object.str_at(&["spec", "capacity", "storage"]).unwrap_or("0")),
            json!(access_modes(spec)),
            json!(text_of(spec, "persistentVolumeReclaimPolicy")),
            json!(if object.metadata.is_being_deleted() { "Terminating" } else { phase }),
            json!(claim.unwrap_or_default()),
            json!(text_of(spec, "storageClassName")),
            json!(or_unset(text_of(spec, "volumeAttributesClassName"))),
            json!(object.str_at(&["status", "reason"]).unwrap_or_default()),
            table::age(object, now),
            json!(or_unset(text_of(spec, "volumeMode"))),
        ]
    }
}

pub(crate) fn or_unset(text: &str) -> &str {
    if text.is_empty() { "<unset>" } else { text }
}

/// Where the bytes are.
fn source(object: &Object) -> Map<String, Value> {
    let mut spec = object.rest.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    spec.retain(|name, _| !COMMON.contains(&name.as_str()));
    spec
}

/// `RWO,ROX`
pub(crate) fn access_modes(spec: &Value) -> String {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    list(spec, "accessModes").iter().map(short).collect::<Vec<_>>().join(",")
}

pub(crate) fn validate_access_modes(spec: &Value, path: &str) -> Vec<StatusCause> {
    let modes = list(spec, "accessModes");
    if modes.is_empty() {
        return vec![field::required(path, "at least 1 access mode is required")];
    }
    let modes = modes.iter().filter_map(Value::as_str).filter(|mode| !ACCESS_MODES.contains(mode));
    modes.map(|mode| field::not_supported(path, mode, ACCESS_MODES)).collect()
}

/// An amount of storage is more than nothing.
pub(crate) fn validate_positive(quantity: &Value, path: &str) -> Option<StatusCause> {
    match Quantity::from_value(quantity) {
        Ok(amount) if amount.milli() > 0 => None,
        Ok(_) => Some(field::invalid(path, quantity, "must be greater than zero")),
        Err(error) => Some(field::invalid(path, quantity, &error)),
    }
}
