//! Rules for `metadata`. Counterpart: `k8s.io/apimachinery/pkg/api/validation/objectmeta.go`.

use std::collections::BTreeMap;

use labkit_api::validation::{is_qualified_name, is_valid_label_value};
use labkit_api::{Object, StatusCause};
use serde_json::Value;

use crate::field::{self, Shown, invalid_all};
use crate::kinds::{Kind, custom_resource_definitions};

const ANNOTATION_BYTES_MAX: usize = 256 * 1024;
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// The metadata of a new object.
pub(crate) fn validate(kind: &Kind, object: &Object) -> Vec<StatusCause> {
    let meta = &object.metadata;
    let mut errors = Vec::new();
    if !meta.generate_name.is_empty() {
        let base = meta.generate_name.trim_end_matches('-');
        errors.extend(invalid_all(
            "metadata.generateName",
            &meta.generate_name,
            kind.strategy.validate_name(base),
        ));
    }
    if meta.name.is_empty() {
        errors.push(field::required("metadata.name", "name or generateName is required"));
    } else {
        errors.extend(invalid_all("metadata.name", &meta.name, kind.strategy.validate_name(&meta.name)));
    }
    errors.extend(validate_labels(&meta.labels, "metadata.labels"));
    errors.extend(validate_annotations(&meta.annotations, "metadata.annotations"));
    errors.extend(validate_owners(object));
    for finalizer in &meta.finalizers {
        errors.extend(invalid_all("metadata.finalizers", finalizer, is_qualified_name(finalizer)));
        // What stands outside of upstream's own kinds is only warned of.
        let is_own = kind.custom.is_none() && !std::ptr::eq(kind, &custom_resource_definitions::KIND);
        if is_own && !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(field::invalid("metadata.finalizers", finalizer, detail));
        }
    }
    errors
}

/// What of the metadata of an existing object may not change.
pub(crate) fn validate_update(kind: &Kind, object: &Object, old: &Object) -> Vec<StatusCause> {
    let mut errors = validate(kind, object);
    let (meta, before) = (&object.metadata, &old.metadata);
    if before.is_being_deleted() {
        let added: Vec<String> = meta
            .finalizers
            .iter()
            .filter(|finalizer| !before.finalizers.contains(finalizer))
            .map(|f| field::quoted(f))
            .collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(field::forbidden("metadata.finalizers", &detail));
        }
    }
    for (name, new, old) in
        [("name", &meta.name, &before.name), ("namespace", &meta.namespace, &before.namespace)]
    {
        if new != old {
            errors.push(field::invalid(format!("metadata.{name}"), new, "field is immutable"));
        }
    }
    if meta.resource_version.is_empty() {
        errors.push(field::invalid(
            "metadata.resourceVersion",
            Shown::literal("0x0"),
            "must be specified for an update",
        ));
    }
    errors
}

pub(crate) fn validate_labels(labels: &BTreeMap<String, String>, path: &str) -> Vec<StatusCause> {
    let keys = labels.keys().flat_map(|key| invalid_all(path, key, is_qualified_name(key)));
    let values = labels.values().flat_map(|value| invalid_all(path, value, is_valid_label_value(value)));
    keys.chain(values).collect()
}

pub(crate) fn validate_annotations(annotations: &BTreeMap<String, String>, path: &str) -> Vec<StatusCause> {
    let keys =
        annotations.keys().flat_map(|key| invalid_all(path, key, is_qualified_name(&key.to_lowercase())));
    let mut errors: Vec<StatusCause> = keys.collect();
    if annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > ANNOTATION_BYTES_MAX {
        errors.push(field::too_long(path, ANNOTATION_BYTES_MAX));
    }
    errors
}

fn validate_owners(object: &Object) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let mut controller: Option<&str> = None;
    for (index, owner) in object.metadata.owner_references.iter().enumerate() {
        let at = format!("metadata.ownerReferences[{index}]");
        if owner.api_version.is_empty() {
            errors.push(field::invalid(format!("{at}.apiVersion"), "", "version must not be empty"));
        }
        for (name, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                errors.push(field::invalid(format!("{at}.{name}"), "", "must not be empty"));
            }
        }
        if owner.controller != Some(true) {
            continue;
        }
        if let Some(first) = controller {
            let detail = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {}",
                owner.name
            );
            let all = Value::String(format!("{}", object.metadata.owner_references.len()));
            errors.push(field::invalid("metadata.ownerReferences", Shown::from(&all), &detail));
        }
        controller = Some(&owner.name);
    }
    errors
}
