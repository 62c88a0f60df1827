//! Ingresses. Counterpart: `pkg/registry/networking/ingress`, `pkg/apis/networking/validation`.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::Ingress;
use labkit_api::validation::{is_dns1123_subdomain, is_valid_port_num};
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource};
use crate::pod_spec::{list, text as text_of};
use crate::table::{self, AGE, or_none, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["ing"],
    prefix: "ingress",
    columns: &[
        text("Class", "The class of controllers that serve it."),
        text("Hosts", "Hosts that its rules are for."),
        text("Address", "Where its load balancer is reached."),
        text("Ports", "Ports that it opens."),
        AGE,
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<Ingress>(&Ingresses)
};

const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Hosts that a table shows, and letters of the address.
const HOSTS_SHOWN: usize = 3;
const ADDRESS_SHOWN: usize = 16;

struct Ingresses;

impl Strategy for Ingresses {
    fn new_status(&self) -> Option<Value> {
        Some(json!({"loadBalancer": {}}))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let mut errors = Vec::new();
        let backend = spec.get("defaultBackend");
        if list(spec, "rules").is_empty() && backend.is_none() {
            let shown =
                field::Shown::literal(if spec.is_null() { "{}".to_owned() } else { spec.to_string() });
            errors.push(field::invalid(
                "spec",
                shown,
                "either `defaultBackend` or `rules` must be specified",
            ));
        }
        if let Some(backend) = backend {
            errors.extend(validate_backend(backend, "spec.defaultBackend"));
        }
        let class = text_of(spec, "ingressClassName");
        if !class.is_empty() {
            errors.extend(field::invalid_all("spec.ingressClassName", class, is_dns1123_subdomain(class)));
        }
        for (index, rule) in list(spec, "rules").iter().enumerate() {
            errors.extend(validate_rule(rule, &format!("spec.rules[{index}]")));
        }
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let annotation = || object.metadata.annotations.get(CLASS_ANNOTATION).map_or("", String::as_str);
        let class = match text_of(spec, "ingressClassName") {
            "" => annotation(),
            class => class,
        };
        let ports = if list(spec, "tls").is_empty() { "80" } else { "80, 443" };
        vec![
            or_none(class),
            json!(hosts(list(spec, "rules"))),
            json!(address(object)),
            json!(ports),
            table::age(object, now),
        ]
    }
}

fn validate_rule(rule: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let host = text_of(rule, "host");
    if !host.is_empty() {
        let name = host.strip_prefix("*.").unwrap_or(host);
        errors.extend(field::invalid_all(&format!("{path}.host"), host, is_dns1123_subdomain(name)));
    }
    let Some(http) = rule.get("http") else { return errors };
    let paths = list(http, "paths");
    if paths.is_empty() {
        errors.push(field::required(format!("{path}.http.paths"), ""));
    }
    for (index, entry) in paths.iter().enumerate() {
        let at = format!("{path}.http.paths[{index}]");
        let value = text_of(entry, "path");
        match text_of(entry, "pathType") {
            "" => errors.push(field::required(format!("{at}.pathType"), "pathType must be specified")),
            "Exact" | "Prefix" if !value.starts_with('/') => {
                errors.push(field::invalid(format!("{at}.path"), value, "must be an absolute path"));
            }
            "ImplementationSpecific" if !value.is_empty() && !value.starts_with('/') => {
                errors.push(field::invalid(format!("{at}.path"), value, "must be an absolute path"));
            }
            other if !PATH_TYPES.contains(&other) => {
                errors.push(field::not_supported(format!("{at}.pathType"), other, PATH_TYPES));
            }
            _ => {}
        }
        errors
            .extend(validate_backend(entry.get("backend").unwrap_or(&Value::Null), &format!("{at}.backend")));
    }
    errors
}

fn validate_backend(backend: &Value, path: &str) -> Vec<StatusCause> {
    let (service, resource) = (backend.get("service"), backend.get("resource"));
    let service = match (service, resource) {
        (Some(_), Some(_)) => {
            let detail = "cannot set both resource and service backends";
            return vec![field::invalid(path, field::Shown::literal(backend.to_string()), detail)];
        }
        (None, Some(_)) => return Vec::new(),
        (None, None) => return vec![field::required(path, "resource or service backend is required")],
        (Some(service), None) => service,
    };
    let mut errors = Vec::new();
    if text_of(service, "name").is_empty() {
        errors.push(field::required(format!("{path}.service.name"), ""));
    }
    let port = service.get("port").unwrap_or(&Value::Null);
    let number = port.get("number").and_then(Value::as_i64).unwrap_or_default();
    match (text_of(port, "name"), number) {
        ("", 0) => errors.push(field::required(path, "port name or number is required")),
        ("", number) => {
            let path = format!("{path}.service.port.number");
            errors.extend(is_valid_port_num(number).iter().map(|why| field::invalid(&path, number, why)));
        }
        (_, 0) => {}
        _ => {
            let detail = "cannot set both port name & port number";
            errors.push(field::invalid(path, field::Shown::literal(backend.to_string()), detail));
        }
    }
    errors
}

fn hosts(rules: &[Value]) -> String {
    let hosts: Vec<&str> =
        rules.iter().map(|rule| text_of(rule, "host")).filter(|host| !host.is_empty()).collect();
    match hosts.len() {
        0 => "*".to_owned(),
        all if all > HOSTS_SHOWN => {
            format!("{} + {} more...", hosts[..HOSTS_SHOWN].join(","), all - HOSTS_SHOWN)
        }
        _ => hosts.join(","),
    }
}

fn address(object: &Object) -> String {
    let balancer = object.at(&["status", "loadBalancer"]).unwrap_or(&Value::Null);
    let of = |ingress: &'_ Value| match text_of(ingress, "ip") {
        "" => text_of(ingress, "hostname").to_owned(),
        ip => ip.to_owned(),
    };
    let joined = list(balancer, "ingress").iter().map(of).collect::<Vec<_>>().join(",");
    match joined.char_indices().nth(ADDRESS_SHOWN) {
        Some(_) => joined.chars().take(ADDRESS_SHOWN - 3).chain("...".chars()).collect(),
        None => joined,
    }
}
