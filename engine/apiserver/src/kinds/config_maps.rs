//! ConfigMaps. Counterpart: `pkg/registry/core/configmap`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use labkit_api::{Object, StatusCause};
use serde_json::{Map, Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::table::{self, AGE, number};

pub(crate) static KIND: Kind = Kind {
    short_names: &["cm"],
    columns: &[
        number(
            "Data",
            "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'.",
        ),
        AGE,
    ],
    is_eager: true,
    ..Kind::of::<ConfigMap>(&ConfigMaps)
};

/// `v1.MaxSecretSize`, which ConfigMaps share.
pub(crate) const DATA_BYTES_MAX: usize = 1024 * 1024;

struct ConfigMaps;

impl Strategy for ConfigMaps {
    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        let (data, binary) = (entries(object, "data"), entries(object, "binaryData"));
        for (field, entries) in [("data", &data), ("binaryData", &binary)] {
            for key in entries.iter().flat_map(|entries| entries.keys()) {
                let path = format!("{field}[{key}]");
                errors.extend(field::invalid_all(&path, key, labkit_api::validation::is_config_map_key(key)));
                if field == "binaryData" && data.is_some_and(|data| data.contains_key(key)) {
                    errors.push(field::invalid(
                        path,
                        key,
                        &format!("duplicate of key present in data[{key}]"),
                    ));
                }
            }
        }
        let bytes = |entries: Option<&Map<String, Value>>| -> usize {
            entries.iter().flat_map(|entries| entries.values()).filter_map(Value::as_str).map(str::len).sum()
        };
        if bytes(data) + bytes(binary) * 3 / 4 > DATA_BYTES_MAX {
            errors.push(field::too_long("", DATA_BYTES_MAX));
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        validate_immutable(object, old, &["data", "binaryData"])
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![json!(count(object, &["data", "binaryData"])), table::age(object, now)]
    }
}

/// An immutable ConfigMap or Secret keeps its data, and stays immutable.
pub(crate) fn validate_immutable(object: &Object, old: &Object, fields: &[&str]) -> Vec<StatusCause> {
    let is_immutable = |object: &Object| object.rest.get("immutable") == Some(&json!(true));
    if !is_immutable(old) {
        return Vec::new();
    }
    let refusal = |field: &str| field::forbidden(field, "field is immutable when `immutable` is set");
    let mut errors = Vec::new();
    if !is_immutable(object) {
        errors.push(refusal("immutable"));
    }
    errors.extend(
        fields
            .iter()
            .filter(|field| object.rest.get(**field) != old.rest.get(**field))
            .map(|field| refusal(field)),
    );
    errors
}

pub(crate) fn entries<'a>(object: &'a Object, field: &str) -> Option<&'a Map<String, Value>> {
    object.rest.get(field).and_then(Value::as_object)
}

/// How many entries the fields have together.
pub(crate) fn count(object: &Object, fields: &[&str]) -> usize {
    fields.iter().filter_map(|field| entries(object, field)).map(Map::len).sum()
}
