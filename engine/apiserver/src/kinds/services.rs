//! Services. Their addresses and node ports are given out by [`crate::allocate`].
//! Counterpart: `pkg/registry/core/service`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use labkit_api::validation::{is_dns1035_label, is_dns1123_label, is_valid_port_name, is_valid_port_num};
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field::{self, invalid_all};
use crate::kinds::kind::keep;
use crate::kinds::{Kind, Strategy, Subresource};
use crate::pod_spec::{list, string_map, text as text_of};
use crate::table::{self, AGE, or_none, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["svc"],
    categories: &["all"],
    prefix: "services/specs",
    columns: &[
        text("Type", "type determines how the Service is exposed. Defaults to ClusterIP."),
        text("Cluster-IP", "clusterIP is the IP address of the service and is usually assigned randomly."),
        text(
            "External-IP",
            "externalIPs is a list of IP addresses for which nodes in the cluster will also accept traffic for this service.",
        ),
        text("Port(s)", "The list of ports that are exposed by this service."),
        AGE,
        wide("Selector", "Route service traffic to pods with label keys and values matching this selector."),
    ],
    subresources: &[Subresource::Status],
    selectable_fields: &["spec.clusterIP", "spec.type"],
    is_eager: true,
    ..Kind::of::<Service>(&Services)
};

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const AFFINITIES: &[&str] = &["ClientIP", "None"];

struct Services;

impl Strategy for Services {
    fn set_defaults(&self, object: &mut Object) {
        let Some(spec) = object.rest.get_mut("spec").and_then(Value::as_object_mut) else { return };
        spec.entry("sessionAffinity").or_insert(json!("None"));
        let kind = spec.entry("type").or_insert(json!("ClusterIP")).clone();
        if spec["sessionAffinity"] == "ClientIP" && spec.get("sessionAffinityConfig").is_none() {
            spec.insert("sessionAffinityConfig".to_owned(), json!({"clientIP": {"timeoutSeconds": 10800}}));
        }
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(port) = port.as_object_mut() else { continue };
            port.entry("protocol").or_insert(json!("TCP"));
            let number = port.get("port").cloned().unwrap_or_default();
            if matches!(port.get("targetPort"), None | Some(Value::Null))
                || port["targetPort"] == 0
                || port["targetPort"] == ""
            {
                port.insert("targetPort".to_owned(), number);
            }
        }
        if kind == "ExternalName" {
            return;
        }
        spec.entry("internalTrafficPolicy").or_insert(json!("Cluster"));
        if kind == "NodePort" || kind == "LoadBalancer" {
            spec.entry("externalTrafficPolicy").or_insert(json!("Cluster"));
        }
        if kind == "LoadBalancer" {
            spec.entry("allocateLoadBalancerNodePorts").or_insert(json!(true));
        }
        spec.entry("ipFamilies").or_insert(json!(["IPv4"]));
        spec.entry("ipFamilyPolicy").or_insert(json!("SingleStack"));
        match spec.get("clusterIP").and_then(Value::as_str) {
            Some(ip) if !ip.is_empty() => {
                let ips = json!([ip]);
                spec.entry("clusterIPs").or_insert(ips);
            }
            _ => {}
        }
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.rest.insert("status".to_owned(), json!({"loadBalancer": {}}));
    }

    /// A replace that says nothing of addresses keeps those that were given out.
    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "status");
        let kind = |object: &Object| object.str_at(&["spec", "type"]).unwrap_or_default().to_owned();
        if kind(object) == "ExternalName" || kind(old) == "ExternalName" {
            return;
        }
        for field in ["clusterIP", "clusterIPs"] {
            if let Some(value) = old.at(&["spec", field]).cloned()
                && object.at(&["spec", field]).is_none_or(|new| new == "" || new.is_null())
            {
                object.set_at(&["spec", field], value);
            }
        }
        keep_node_ports(object, old);
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        is_dns1035_label(name)
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let mut errors = validate_ports(spec);
        match text_of(spec, "type") {
            "" => errors.push(field::required("spec.type", "")),
            kind if !TYPES.contains(&kind) => errors.push(field::not_supported("spec.type", kind, TYPES)),
            "ExternalName" => match text_of(spec, "externalName") {
                "" => errors.push(field::required("spec.externalName", "")),
                name => {
                    let complaints = labkit_api::validation::is_dns1123_subdomain(name.trim_end_matches('.'));
                    errors.extend(invalid_all("spec.externalName", name, complaints));
                }
            },
            "LoadBalancer" if text_of(spec, "clusterIP") == "None" => {
                errors.push(field::invalid(
                    "spec.clusterIPs[0]",
                    "None",
                    "may not be set to 'None' for LoadBalancer services",
                ));
            }
            _ => {}
        }
        match text_of(spec, "clusterIP") {
            "" | "None" => {}
            ip if ip.parse::<IpAddr>().is_err() => {
                let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                errors.push(field::invalid("spec.clusterIPs[0]", ip, detail));
            }
            _ => {}
        }
        let affinity = text_of(spec, "sessionAffinity");
        if !AFFINITIES.contains(&affinity) {
            errors.push(field::not_supported("spec.sessionAffinity", affinity, AFFINITIES));
        }
        let selector = string_map(spec.get("selector"));
        errors.extend(crate::metadata::validate_labels(&selector, "spec.selector"));
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let text =
            |object: &Object, name: &str| object.str_at(&["spec", name]).unwrap_or_default().to_owned();
        let (new, before) = (text(object, "clusterIP"), text(old, "clusterIP"));
        let is_external = |object: &Object| text(object, "type") == "ExternalName";
        if before.is_empty() || new == before || is_external(object) || is_external(old) {
            return Vec::new();
        }
        let shown = field::Shown::literal(format!("[]string{{{}}}", field::quoted(&new)));
        vec![field::invalid("spec.clusterIPs[0]", shown, "may not change once set")]
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let selector: Vec<String> =
            string_map(spec.get("selector")).iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            json!(text_of(spec, "type")),
            or_none(text_of(spec, "clusterIP")),
            json!(external_ips(object)),
            or_none(&ports(spec)),
            table::age(object, now),
            or_none(&selector.join(",")),
        ]
    }
}

fn keep_node_ports(object: &mut Object, old: &Object) {
    let needs = matches!(object.str_at(&["spec", "type"]), Some("NodePort" | "LoadBalancer"));
    let before = list(old.rest.get("spec").unwrap_or(&Value::Null), "ports").to_vec();
    let ports =
        object.rest.get_mut("spec").and_then(|spec| spec.get_mut("ports")).and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let same = |old: &&Value| old["port"] == port["port"] && old["protocol"] == port["protocol"];
        let given = before.iter().find(same).and_then(|old| old.get("nodePort")).cloned();
        if let (Some(given), true, true) = (given, needs, port.get("nodePort").is_none_or(|new| new == 0)) {
            port["nodePort"] = given;
        }
    }
}

fn validate_ports(spec: &Value) -> Vec<StatusCause> {
    let ports = list(spec, "ports");
    let mut errors = Vec::new();
    let needs_ports = text_of(spec, "type") != "ExternalName" && text_of(spec, "clusterIP") != "None";
    if ports.is_empty() && needs_ports {
        errors.push(field::required("spec.ports", ""));
    }
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let at = format!("spec.ports[{index}]");
        match text_of(port, "name") {
            "" if ports.len() > 1 => errors.push(field::required(format!("{at}.name"), "")),
            "" => {}
            name => {
                errors.extend(invalid_all(&format!("{at}.name"), name, is_dns1123_label(name)));
                if !names.insert(name) {
                    errors.push(field::duplicate(format!("{at}.name"), name));
                }
            }
        }
        let number = port.get("port").and_then(Value::as_i64).unwrap_or_default();
        errors.extend(
            is_valid_port_num(number).iter().map(|why| field::invalid(format!("{at}.port"), number, why)),
        );
        let protocol = text_of(port, "protocol");
        match protocol {
            "" => errors.push(field::required(format!("{at}.protocol"), "")),
            other if !PROTOCOLS.contains(&other) => {
                errors.push(field::not_supported(format!("{at}.protocol"), other, PROTOCOLS));
            }
            _ => {}
        }
        match port.get("targetPort") {
            Some(Value::String(name)) => {
                errors.extend(invalid_all(&format!("{at}.targetPort"), name, is_valid_port_name(name)))
            }
            target => {
                let number = target.and_then(Value::as_i64).unwrap_or_default();
                let complaints = is_valid_port_num(number);
                errors.extend(
                    complaints.iter().map(|why| field::invalid(format!("{at}.targetPort"), number, why)),
                );
            }
        }
        if !numbers.insert((number, protocol)) {
            let shown = format!(
                "core.ServicePort{{Name:\"\", Protocol:{protocol:?}, AppProtocol:(*string)(nil), Port:{number}, TargetPort:intstr.IntOrString{{Type:0, IntVal:0, StrVal:\"\"}}, NodePort:0}}"
            );
            errors.push(field::duplicate(at, field::Shown::literal(shown)));
        }
    }
    errors
}

fn external_ips(object: &Object) -> String {
    let spec = object.rest.get("spec").unwrap_or(&Value::Null);
    let own: Vec<&str> = list(spec, "externalIPs").iter().filter_map(Value::as_str).collect();
    let none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
    match text_of(spec, "type") {
        "ExternalName" => none(text_of(spec, "externalName").to_owned()),
        "LoadBalancer" => {
            let balancer = object.at(&["status", "loadBalancer"]).unwrap_or(&Value::Null);
            let name = |ingress: &'_ Value| match text_of(ingress, "ip") {
                "" => text_of(ingress, "hostname").to_owned(),
                ip => ip.to_owned(),
            };
            let mut all: Vec<String> = list(balancer, "ingress").iter().map(name).collect();
            all.extend(own.iter().map(|ip| (*ip).to_owned()));
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ => none(own.join(",")),
    }
}

/// `80/TCP,443:30443/TCP`.
fn ports(spec: &Value) -> String {
    let port = |port: &Value| {
        let (number, protocol) = (port["port"].as_i64().unwrap_or_default(), text_of(port, "protocol"));
        match port.get("nodePort").and_then(Value::as_i64).unwrap_or_default() {
            0 => format!("{number}/{protocol}"),
            node_port => format!("{number}:{node_port}/{protocol}"),
        }
    };
    list(spec, "ports").iter().map(port).collect::<Vec<_>>().join(",")
}
