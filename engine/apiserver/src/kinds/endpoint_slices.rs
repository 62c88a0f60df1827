//! EndpointSlices. Counterpart: `pkg/registry/discovery/endpointslice`.

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text(
            "AddressType",
            "addressType specifies the type of address carried by this EndpointSlice. All addresses in this slice must be the same type.",
        ),
        text("Ports", "ports specifies the list of network ports exposed by each endpoint in this slice."),
        text(
            "Endpoints",
            "endpoints is a list of unique endpoints in this slice. Each slice may include a maximum of 1000 endpoints.",
        ),
        AGE,
    ],
    is_eager: true,
    ..Kind::of::<EndpointSlice>(&EndpointSlices)
};

const ADDRESS_TYPES: &[&str] = &["FQDN", "IPv4", "IPv6"];
const ENDPOINTS_MAX: usize = 1000;

struct EndpointSlices;

impl Strategy for EndpointSlices {
    fn set_defaults(&self, object: &mut Object) {
        for port in object.rest.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(port) = port.as_object_mut() else { continue };
            port.entry("name").or_insert(json!(""));
            port.entry("protocol").or_insert(json!("TCP"));
        }
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.metadata.generation = 1;
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        if object.rest != old.rest || object.metadata.labels != old.metadata.labels {
            object.metadata.generation = old.metadata.generation + 1;
        }
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        match object.str_at(&["addressType"]).unwrap_or_default() {
            "" => errors.push(field::required("addressType", "")),
            kind if !ADDRESS_TYPES.contains(&kind) => {
                errors.push(field::not_supported("addressType", kind, ADDRESS_TYPES));
            }
            _ => {}
        }
        let endpoints = list(object, "endpoints");
        if endpoints.len() > ENDPOINTS_MAX {
            let mut error = field::required("endpoints", "");
            error.reason = "FieldValueTooMany".to_owned();
            error.message = format!("Too many: {}: must have at most {ENDPOINTS_MAX} items", endpoints.len());
            errors.push(error);
        }
        for (index, endpoint) in endpoints.iter().enumerate() {
            if endpoint.get("addresses").and_then(Value::as_array).is_none_or(Vec::is_empty) {
                let field = format!("endpoints[{index}].addresses");
                errors.push(field::required(field, "must contain at least 1 address"));
            }
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let kind = |object: &Object| object.rest.get("addressType").cloned().unwrap_or_default();
        field::immutable("addressType", &kind(object), &kind(old)).into_iter().collect()
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let ports = list(object, "ports").iter().map(|port| match port.get("port").and_then(Value::as_i64) {
            Some(port) => port.to_string(),
            None => "*".to_owned(),
        });
        let addresses = list(object, "endpoints").iter().flat_map(|endpoint| {
            let addresses = endpoint.get("addresses").and_then(Value::as_array);
            addresses.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
        });
        let address_type = object.str_at(&["addressType"]).unwrap_or_default();
        vec![
            json!(address_type),
            json!(first_three(ports.collect())),
            json!(first_three(addresses.collect())),
            table::age(object, now),
        ]
    }
}

fn list<'a>(object: &'a Object, field: &str) -> &'a [Value] {
    object.rest.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `a,b,c + 2 more...`, or `<unset>`.
fn first_three(items: Vec<String>) -> String {
    const SHOWN: usize = 3;
    match items.len() {
        0 => "<unset>".to_owned(),
        all if all > SHOWN => format!("{} + {} more...", items[..SHOWN].join(","), all - SHOWN),
        _ => items.join(","),
    }
}
