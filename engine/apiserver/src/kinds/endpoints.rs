//! Endpoints, from before there were EndpointSlices. Counterpart: `pkg/registry/core/endpoint`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Endpoints;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::pod_spec::{list, text as text_of};
use crate::table::{self, AGE, or_none, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["ep"],
    prefix: "services/endpoints",
    columns: &[text("Endpoints", "Where the service's pods are reached."), AGE],
    ..Kind::of::<Endpoints>(&EndpointsStrategy)
};

/// Addresses that a table shows.
const SHOWN: usize = 3;

struct EndpointsStrategy;

impl Strategy for EndpointsStrategy {
    fn set_defaults(&self, object: &mut Object) {
        let subsets = object.rest.get_mut("subsets").and_then(Value::as_array_mut).into_iter().flatten();
        for port in subsets.filter_map(|subset| subset.get_mut("ports")?.as_array_mut()).flatten() {
            if let Some(port) = port.as_object_mut() {
                port.entry("protocol").or_insert(json!("TCP"));
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        for (index, subset) in subsets(object).iter().enumerate() {
            let path = format!("subsets[{index}]");
            if list(subset, "addresses").is_empty() && list(subset, "notReadyAddresses").is_empty() {
                errors.push(field::required(&path, "must specify `addresses` or `notReadyAddresses`"));
            }
            for (index, address) in list(subset, "addresses").iter().enumerate() {
                let ip = text_of(address, "ip");
                if ip.parse::<std::net::IpAddr>().is_err() {
                    let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                    errors.push(field::invalid(format!("{path}.addresses[{index}].ip"), ip, detail));
                }
            }
            for (index, port) in list(subset, "ports").iter().enumerate() {
                let number = port.get("port").and_then(Value::as_i64).unwrap_or_default();
                let complaints = labkit_api::validation::is_valid_port_num(number);
                let path = format!("{path}.ports[{index}].port");
                errors.extend(complaints.iter().map(|why| field::invalid(&path, number, why)));
            }
        }
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let mut all = Vec::new();
        for subset in subsets(object) {
            let addresses = list(subset, "addresses").iter().map(|address| text_of(address, "ip"));
            match list(subset, "ports") {
                [] => all.extend(addresses.map(str::to_owned)),
                ports => all.extend(ports.iter().flat_map(|port| {
                    addresses.clone().map(move |ip| {
                        let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
                        format!("{ip}:{}", port["port"])
                    })
                })),
            }
        }
        let shown = match all.len() {
            count if count > SHOWN => format!("{} + {} more...", all[..SHOWN].join(","), count - SHOWN),
            _ => all.join(","),
        };
        vec![or_none(&shown), table::age(object, now)]
    }
}

fn subsets(object: &Object) -> &[Value] {
    object.rest.get("subsets").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
