//! Secrets. Counterpart: `pkg/registry/core/secret`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use labkit_api::{Object, StatusCause};
use serde_json::{Map, Value, json};

use crate::field;
use crate::kinds::config_maps::{DATA_BYTES_MAX, count, entries, validate_immutable};
use crate::kinds::{Kind, Strategy};
use crate::table::{self, AGE, number, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text(
            "Type",
            "Used to facilitate programmatic handling of secret data. More info: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types",
        ),
        number(
            "Data",
            "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'.",
        ),
        AGE,
    ],
    selectable_fields: &["type"],
    is_eager: true,
    ..Kind::of::<Secret>(&Secrets)
};

struct Secrets;

impl Strategy for Secrets {
    fn set_defaults(&self, object: &mut Object) {
        fold_string_data(object);
        object.rest.entry("type").or_insert(json!("Opaque"));
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        let mut bytes = 0;
        for (key, value) in entries(object, "data").into_iter().flatten() {
            let path = format!("data[{key}]");
            errors.extend(field::invalid_all(&path, key, labkit_api::validation::is_config_map_key(key)));
            bytes += value.as_str().map_or(0, |text| text.len() / 4 * 3);
        }
        if bytes > DATA_BYTES_MAX {
            errors.push(field::too_long("data", DATA_BYTES_MAX));
        }
        let needed: &[&str] = match object.str_at(&["type"]).unwrap_or_default() {
            "kubernetes.io/tls" => &["tls.crt", "tls.key"],
            "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
            "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
            _ => &[],
        };
        let missing = needed.iter().filter(|key| object.at(&["data", key]).is_none());
        errors.extend(missing.map(|key| field::required(format!("data[{key}]"), "")));
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let null = Value::Null;
        let kind = |object: &Object| object.rest.get("type").unwrap_or(&null).clone();
        let mut errors: Vec<StatusCause> =
            field::immutable("type", &kind(object), &kind(old)).into_iter().collect();
        errors.extend(validate_immutable(object, old, &["data"]));
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let kind = object.str_at(&["type"]).unwrap_or_default();
        vec![json!(kind), json!(count(object, &["data"])), table::age(object, now)]
    }
}

/// `stringData` is for writing only: it becomes part of `data`.
fn fold_string_data(object: &mut Object) {
    let Some(Value::Object(strings)) = object.rest.shift_remove("stringData") else { return };
    let data = object.rest.entry("data").or_insert_with(|| Value::Object(Map::new()));
    let Some(data) = data.as_object_mut() else { return };
    for (key, value) in strings {
        data.insert(key, json!(STANDARD.encode(value.as_str().unwrap_or_default())));
    }
}
