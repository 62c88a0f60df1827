//! NetworkPolicies. Counterpart: `pkg/registry/networking/networkpolicy`.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use labkit_api::selector::LabelSelector;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::workload::list;
use crate::kinds::{Kind, Strategy, kind};
use crate::table::{self, AGE, or_none, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["netpol"],
    columns: &[text("Pod-Selector", "Labels of the pods that the policy is for."), AGE],
    ..Kind::of::<NetworkPolicy>(&NetworkPolicies)
};

const POLICY_TYPES: &[&str] = &["Egress", "Ingress"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

const CIDR_WRONG: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

struct NetworkPolicies;

impl Strategy for NetworkPolicies {
    fn set_defaults(&self, object: &mut Object) {
        let has_egress = !list(object.rest.get("spec"), "egress").is_empty();
        let types = if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        kind::fill(object, &["spec"], json!({"podSelector": {}, "policyTypes": types}));
        for direction in ["ingress", "egress"] {
            let rules = object.rest.get_mut("spec").and_then(|spec| spec.get_mut(direction));
            let rules = rules.and_then(Value::as_array_mut).into_iter().flatten();
            for port in rules.filter_map(|rule| rule.get_mut("ports")?.as_array_mut()).flatten() {
                if let Some(port) = port.as_object_mut() {
                    port.entry("protocol").or_insert(json!("TCP"));
                }
            }
        }
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        let selector = object.at(&["spec", "podSelector"]).unwrap_or(&Value::Null);
        if let Err(error) = LabelSelector::from_value(selector) {
            errors.push(field::invalid(
                "spec.podSelector",
                field::Shown::literal(selector.to_string()),
                &error,
            ));
        }
        for (index, kind) in list(object.rest.get("spec"), "policyTypes").iter().enumerate() {
            let kind = kind.as_str().unwrap_or_default();
            if !POLICY_TYPES.contains(&kind) {
                errors.push(field::not_supported(format!("spec.policyTypes[{index}]"), kind, POLICY_TYPES));
            }
        }
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            for (index, rule) in list(object.rest.get("spec"), direction).iter().enumerate() {
                errors.extend(validate_rule(rule, peers, &format!("spec.{direction}[{index}]")));
            }
        }
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let selector = object.at(&["spec", "podSelector"]).map(LabelSelector::from_value);
        let selector = selector.and_then(Result::ok).map(|selector| selector.to_string());
        vec![or_none(&selector.unwrap_or_default()), table::age(object, now)]
    }
}

fn validate_rule(rule: &Value, peers: &str, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    for (index, port) in list(Some(rule), "ports").iter().enumerate() {
        let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or_default();
        if !PROTOCOLS.contains(&protocol) {
            errors.push(field::not_supported(format!("{path}.ports[{index}].protocol"), protocol, PROTOCOLS));
        }
        if let Some(number) = port.get("port").and_then(Value::as_i64) {
            let complaints = labkit_api::validation::is_valid_port_num(number);
            let path = format!("{path}.ports[{index}].port");
            errors.extend(complaints.iter().map(|why| field::invalid(&path, number, why)));
        }
    }
    for (index, peer) in list(Some(rule), peers).iter().enumerate() {
        let path = format!("{path}.{peers}[{index}]");
        let has = |name: &str| peer.get(name).is_some();
        let by_labels = has("podSelector") || has("namespaceSelector");
        match has("ipBlock") {
            true if by_labels => {
                errors.push(field::forbidden(&path, "may not specify both ipBlock and another peer"));
            }
            true => errors.extend(validate_ip_block(&peer["ipBlock"], &format!("{path}.ipBlock"))),
            false if !by_labels => errors.push(field::required(&path, "must specify a peer")),
            _ => {}
        }
    }
    errors
}

fn validate_ip_block(block: &Value, path: &str) -> Vec<StatusCause> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let cidr = text(&block["cidr"]);
    if cidr.is_empty() {
        return vec![field::required(format!("{path}.cidr"), "")];
    }
    let Some(outer) = labkit_api::validation::cidr(&cidr) else {
        return vec![field::invalid(format!("{path}.cidr"), &cidr, CIDR_WRONG)];
    };
    let mut errors = Vec::new();
    for (index, except) in list(Some(block), "except").iter().enumerate() {
        let (path, except) = (format!("{path}.except[{index}]"), text(except));
        match labkit_api::validation::cidr(&except) {
            None => errors.push(field::invalid(path, &except, CIDR_WRONG)),
            Some(inner) if !inner.is_strictly_within(&outer) => {
                errors.push(field::invalid(path, &except, "must be a strict subset of `cidr`"));
            }
            Some(_) => {}
        }
    }
    errors
}
