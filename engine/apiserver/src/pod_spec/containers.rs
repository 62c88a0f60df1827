//! Containers.

use std::collections::BTreeSet;

use labkit_api::StatusCause;
use labkit_api::validation::{
    inclusive_range_error, is_dns1123_label, is_env_var_name, is_valid_port_name, is_valid_port_num,
};
use serde_json::Value;

use crate::field::{self, invalid_all};
use crate::pod_spec::{list, resources, text, volumes};

const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// `containers` and `initContainers`, whose names are one set.
pub(crate) fn validate_all(spec: &Value, volume_names: &BTreeSet<String>, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    if list(spec, "containers").is_empty() {
        errors.push(field::required(format!("{path}.containers"), ""));
    }
    let mut names = BTreeSet::new();
    for field in ["containers", "initContainers"] {
        let mut host_ports = BTreeSet::new();
        for (index, container) in list(spec, field).iter().enumerate() {
            let at = format!("{path}.{field}[{index}]");
            let name = text(container, "name");
            if !name.is_empty() && !names.insert(name) {
                errors.push(field::duplicate(format!("{at}.name"), name));
            }
            errors.extend(validate(container, volume_names, &at));
            errors.extend(validate_host_ports(container, &mut host_ports, &at));
            if field == "initContainers" {
                errors.extend(validate_init(container, &at));
            }
        }
    }
    errors
}

pub(crate) fn validate(container: &Value, volume_names: &BTreeSet<String>, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    match text(container, "name") {
        "" => errors.push(field::required(format!("{path}.name"), "")),
        name => errors.extend(invalid_all(&format!("{path}.name"), name, is_dns1123_label(name))),
    }
    match text(container, "image") {
        "" => errors.push(field::required(format!("{path}.image"), "")),
        image if image.trim() != image => {
            errors.push(field::invalid(
                format!("{path}.image"),
                image,
                "must not have leading or trailing whitespace",
            ));
        }
        _ => {}
    }
    let policy = text(container, "imagePullPolicy");
    if !policy.is_empty() && !PULL_POLICIES.contains(&policy) {
        errors.push(field::not_supported(format!("{path}.imagePullPolicy"), policy, PULL_POLICIES));
    }
    errors.extend(validate_ports(container, path));
    errors.extend(validate_env(container, path));
    errors.extend(volumes::validate_mounts(container, volume_names, path));
    for (probe, is_readiness) in [("livenessProbe", false), ("readinessProbe", true), ("startupProbe", false)]
    {
        if let Some(value) = container.get(probe) {
            errors.extend(validate_probe(value, is_readiness, &format!("{path}.{probe}")));
        }
    }
    errors.extend(resources::validate(
        container.get("resources").unwrap_or(&Value::Null),
        &format!("{path}.resources"),
    ));
    errors
}

fn validate_ports(container: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for (index, port) in list(container, "ports").iter().enumerate() {
        let at = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            errors.extend(invalid_all(&format!("{at}.name"), name, is_valid_port_name(name)));
            if !names.insert(name) {
                errors.push(field::duplicate(format!("{at}.name"), name));
            }
        }
        match port.get("containerPort").and_then(Value::as_i64) {
            None | Some(0) => errors.push(field::required(format!("{at}.containerPort"), "")),
            Some(number) => {
                let complaints = is_valid_port_num(number);
                errors.extend(
                    complaints.iter().map(|why| field::invalid(format!("{at}.containerPort"), number, why)),
                );
            }
        }
        let protocol = text(port, "protocol");
        if !PROTOCOLS.contains(&protocol) {
            errors.push(field::not_supported(format!("{at}.protocol"), protocol, PROTOCOLS));
        }
    }
    errors
}

fn validate_host_ports(
    container: &Value,
    taken: &mut BTreeSet<(i64, String)>,
    path: &str,
) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    for (index, port) in list(container, "ports").iter().enumerate() {
        let Some(number) = port.get("hostPort").and_then(Value::as_i64).filter(|number| *number != 0) else {
            continue;
        };
        let at = format!("{path}.ports[{index}].hostPort");
        errors.extend(is_valid_port_num(number).iter().map(|why| field::invalid(at.clone(), number, why)));
        if !taken.insert((number, text(port, "protocol").to_owned())) {
            let shown = format!("{}//{number}", text(port, "protocol"));
            errors.push(field::duplicate(at, shown.as_str()));
        }
    }
    errors
}

fn validate_env(container: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    for (index, variable) in list(container, "env").iter().enumerate() {
        let at = format!("{path}.env[{index}]");
        match text(variable, "name") {
            "" => errors.push(field::required(format!("{at}.name"), "")),
            name => errors.extend(invalid_all(&format!("{at}.name"), name, is_env_var_name(name))),
        }
        let Some(from) = variable.get("valueFrom").and_then(Value::as_object) else { continue };
        if from.is_empty() {
            let detail =
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
            errors.push(field::invalid(format!("{at}.valueFrom"), "", detail));
        } else if !text(variable, "value").is_empty() {
            let detail = "may not be specified when `value` is not empty";
            errors.push(field::invalid(format!("{at}.valueFrom"), "", detail));
        }
        for (source, reference) in from.iter().filter(|(source, _)| source.ends_with("KeyRef")) {
            if text(reference, "key").is_empty() {
                errors.push(field::required(format!("{at}.valueFrom.{source}.key"), ""));
            }
        }
    }
    errors
}

fn validate_probe(probe: &Value, is_readiness: bool, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let number = |field: &str| probe.get(field).and_then(Value::as_i64);
    for name in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        errors.extend(field::non_negative(&format!("{path}.{name}"), number(name)));
    }
    if let Some(threshold) = number("successThreshold").filter(|threshold| !is_readiness && *threshold > 1) {
        errors.push(field::invalid(format!("{path}.successThreshold"), threshold, "must be 1"));
    }
    let handlers =
        ["exec", "httpGet", "tcpSocket", "grpc"].into_iter().filter(|handler| probe.get(handler).is_some());
    let handlers: Vec<&str> = handlers.collect();
    match handlers.as_slice() {
        [] => errors.push(field::required(path, "must specify a handler type")),
        [handler] => errors.extend(validate_handler(&probe[*handler], handler, &format!("{path}.{handler}"))),
        [_, more @ ..] => {
            let refusal = |handler: &&str| {
                field::forbidden(format!("{path}.{handler}"), "may not specify more than 1 handler type")
            };
            errors.extend(more.iter().map(refusal));
        }
    }
    errors
}

fn validate_handler(action: &Value, handler: &str, path: &str) -> Vec<StatusCause> {
    match handler {
        "exec" if list(action, "command").is_empty() => vec![field::required(format!("{path}.command"), "")],
        "exec" => Vec::new(),
        _ => match action.get("port") {
            Some(Value::String(name)) => invalid_all(&format!("{path}.port"), name, is_valid_port_name(name)),
            Some(Value::Number(number))
                if is_valid_port_num(number.as_i64().unwrap_or_default()).is_empty() =>
            {
                Vec::new()
            }
            port => vec![field::invalid(
                format!("{path}.port"),
                port.and_then(Value::as_i64).unwrap_or_default(),
                &inclusive_range_error(1, 65535),
            )],
        },
    }
}

/// An init container that does not restart runs once: nothing probes it.
fn validate_init(container: &Value, path: &str) -> Vec<StatusCause> {
    let restart_policy = text(container, "restartPolicy");
    if restart_policy == "Always" {
        return Vec::new();
    }
    let mut errors = Vec::new();
    if !restart_policy.is_empty() {
        errors.push(field::not_supported(format!("{path}.restartPolicy"), restart_policy, &["Always"]));
    }
    for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if container.get(name).is_some() {
            errors.push(field::forbidden(
                format!("{path}.{name}"),
                "may not be set for init containers without restartPolicy=Always",
            ));
        }
    }
    errors
}
