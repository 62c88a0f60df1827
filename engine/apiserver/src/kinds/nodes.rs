//! Nodes; their keys are `minions`, as in the beginning. Counterpart: `pkg/registry/core/node`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::kind::{field_text, keep, keep_all_but};
use crate::kinds::{Kind, Strategy, Subresource};
use crate::table::{self, AGE, or_none, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["no"],
    prefix: "minions",
    columns: &[
        text("Status", "The status of the node"),
        text("Roles", "The roles of the node"),
        AGE,
        text("Version", "Kubelet Version reported by the node."),
        wide(
            "Internal-IP",
            "List of addresses reachable to the node. Queried from cloud provider, if available.",
        ),
        wide(
            "External-IP",
            "List of addresses reachable to the node. Queried from cloud provider, if available.",
        ),
        wide(
            "OS-Image",
            "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
        ),
        wide(
            "Kernel-Version",
            "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
        ),
        wide(
            "Container-Runtime",
            "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2).",
        ),
    ],
    subresources: &[Subresource::Status],
    selectable_fields: &["spec.unschedulable"],
    is_eager: true,
    ..Kind::of::<Node>(&Nodes)
};

const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

struct Nodes;

impl Strategy for Nodes {
    fn set_defaults(&self, object: &mut Object) {
        // A node that says nothing of its allocatable resources has all of its capacity.
        if let Some(capacity) = object.at(&["status", "capacity"]).cloned()
            && object.at(&["status", "allocatable"]).is_none()
        {
            object.set_at(&["status", "allocatable"], capacity);
        }
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "status");
    }

    fn prepare_for_status_update(&self, object: &mut Object, old: &Object) {
        keep_all_but(object, old, "status");
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        let taints = object.at(&["spec", "taints"]).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (index, taint) in taints.iter().enumerate() {
            let text = |name| taint.get(name).and_then(Value::as_str).unwrap_or_default();
            let path = format!("metadata.taints[{index}]");
            let complaints = labkit_api::validation::is_qualified_name(text("key"));
            errors.extend(field::invalid_all(&format!("{path}.key"), text("key"), complaints));
            match text("effect") {
                "" => errors.push(field::required(format!("{path}.effect"), "")),
                effect if !TAINT_EFFECTS.contains(&effect) => {
                    errors.push(field::not_supported(format!("{path}.effect"), effect, TAINT_EFFECTS));
                }
                _ => {}
            }
            let pair = (text("key"), text("effect"));
            if seen.contains(&pair) {
                let taint = format!("{}={}:{}", pair.0, text("value"), pair.1);
                errors.push(field::duplicate(path, field::Shown::literal(taint)));
            }
            seen.push(pair);
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let cidr = |object: &Object| object.str_at(&["spec", "podCIDR"]).unwrap_or_default().to_owned();
        let changed = !cidr(old).is_empty() && cidr(old) != cidr(object);
        let refusal = || {
            field::forbidden("spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid")
        };
        changed.then(refusal).into_iter().collect()
    }

    fn field(&self, object: &Object, path: &str) -> String {
        match field_text(object, path) {
            empty if empty.is_empty() => "false".to_owned(),
            text => text,
        }
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let info = |name: &str| match object.str_at(&["status", "nodeInfo", name]).unwrap_or_default() {
            "" => json!("<unknown>"),
            text => json!(text),
        };
        vec![
            json!(status(object)),
            or_none(&roles(object)),
            table::age(object, now),
            json!(object.str_at(&["status", "nodeInfo", "kubeletVersion"]).unwrap_or_default()),
            or_none(&address(object, "InternalIP")),
            or_none(&address(object, "ExternalIP")),
            info("osImage"),
            info("kernelVersion"),
            info("containerRuntimeVersion"),
        ]
    }
}

/// `Ready,SchedulingDisabled`.
fn status(object: &Object) -> String {
    let conditions =
        object.at(&["status", "conditions"]).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    let mut status = match ready.map(|condition| condition["status"] == "True") {
        Some(true) => "Ready".to_owned(),
        Some(false) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if object.at(&["spec", "unschedulable"]) == Some(&json!(true)) {
        status.push_str(",SchedulingDisabled");
    }
    status
}

/// `control-plane,worker`, from labels.
fn roles(object: &Object) -> String {
    let role = |(key, value): (&String, &String)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) if !role.is_empty() => Some(role.to_owned()),
        _ => (key == "kubernetes.io/role" && !value.is_empty()).then(|| value.clone()),
    };
    let mut roles: Vec<String> = object.metadata.labels.iter().filter_map(role).collect();
    roles.sort();
    roles.dedup();
    roles.join(",")
}

fn address(object: &Object, kind: &str) -> String {
    let addresses =
        object.at(&["status", "addresses"]).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let found = addresses.iter().find(|address| address["type"] == kind);
    found.and_then(|address| address["address"].as_str()).unwrap_or_default().to_owned()
}
