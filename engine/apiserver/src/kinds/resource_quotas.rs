//! ResourceQuotas. Counterpart: `pkg/registry/core/resourcequota`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;
use labkit_api::{Object, Quantity, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource};
use crate::pod_spec::string_map;
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["quota"],
    columns: &[
        text("Request", "Requests and counts that are used, of those that are allowed."),
        text("Limit", "Limits that are used, of those that are allowed."),
        AGE,
    ],
    subresources: &[Subresource::Status],
    is_eager: true,
    ..Kind::of::<ResourceQuota>(&ResourceQuotas)
};

struct ResourceQuotas;

impl Strategy for ResourceQuotas {
    fn new_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let hard = object.at(&["spec", "hard"]).and_then(Value::as_object);
        let mut errors = Vec::new();
        for (name, quantity) in hard.into_iter().flatten() {
            let path = format!("spec.hard[{name}]");
            match Quantity::from_value(quantity) {
                Ok(amount) if amount.milli() < 0 => {
                    errors.push(field::invalid(path, quantity, "must be greater than or equal to 0"));
                }
                Ok(_) => {}
                Err(error) => errors.push(field::invalid(path, quantity, &error)),
            }
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let null = Value::Null;
        let scopes = |object: &Object| object.at(&["spec", "scopes"]).unwrap_or(&null).clone();
        field::immutable("spec.scopes", &scopes(object), &scopes(old)).into_iter().collect()
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let used = string_map(object.at(&["status", "used"]));
        let hard = string_map(object.at(&["status", "hard"]));
        let part = |limits: bool| {
            let of_part = hard.iter().filter(|(name, _)| name.starts_with("limits") == limits);
            let line = |(name, hard): (&String, &String)| {
                format!("{name}: {}/{hard}", used.get(name).map_or("0", String::as_str))
            };
            json!(of_part.map(line).collect::<Vec<_>>().join(", "))
        };
        vec![part(false), part(true), table::age(object, now)]
    }
}
