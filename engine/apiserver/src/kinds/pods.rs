//! Pods. Counterpart: `pkg/registry/core/pod`.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::kinds::kind::{field_text, keep, keep_all_but};
use crate::kinds::{Kind, Strategy, Subresource};
use crate::pod_spec::{self, list};
use crate::pod_status;
use crate::table::{self, AGE, or_none, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["po"],
    categories: &["all"],
    columns: &[
        text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
        text("Status", "The aggregate status of the containers in this pod."),
        text(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        ),
        AGE,
        wide(
            "IP",
            "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
        ),
        wide("Node", "NodeName indicates in which node this pod is scheduled."),
        wide(
            "Nominated Node",
            "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods.",
        ),
        wide("Readiness Gates", "If specified, all readiness gates will be evaluated for pod readiness."),
    ],
    subresources: &[
        Subresource::Attach,
        Subresource::Binding,
        Subresource::EphemeralContainers,
        Subresource::Eviction,
        Subresource::Exec,
        Subresource::Log,
        Subresource::PortForward,
        Subresource::Status,
    ],
    selectable_fields: &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ],
    is_eager: true,
    ..Kind::of::<Pod>(&Pods)
};

struct Pods;

impl Strategy for Pods {
    fn set_defaults(&self, object: &mut Object) {
        if let Some(spec) = object.rest.get_mut("spec").and_then(Value::as_object_mut) {
            pod_spec::defaults::set_pod_defaults(spec);
        }
    }

    fn prepare_for_create(&self, object: &mut Object) {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let mut status = json!({"phase": "Pending", "qosClass": pod_spec::qos::class(spec)});
        if !list(spec, "schedulingGates").is_empty() {
            status["conditions"] = json!([{
                "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }]);
        }
        object.rest.insert("status".to_owned(), status);
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "status");
    }

    fn prepare_for_status_update(&self, object: &mut Object, old: &Object) {
        keep_all_but(object, old, "status");
        object.metadata.owner_references = old.metadata.owner_references.clone();
        if let Some(class) = old.at(&["status", "qosClass"]).cloned() {
            object.set_at(&["status", "qosClass"], class);
        }
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        pod_spec::validate::validate_spec(object.rest.get("spec").unwrap_or(&Value::Null), "spec")
    }

    fn validate_create(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        pod_spec::ephemeral::validate_new(spec).into_iter().collect()
    }

    fn prepare_for_ephemeral_containers(&self, object: &mut Object, old: &Object) {
        let added = object.at(&["spec", "ephemeralContainers"]).cloned();
        let version = object.metadata.resource_version.clone();
        let managed_fields = object.metadata.managed_fields.clone();
        *object = old.clone();
        object.metadata.resource_version = version;
        object.metadata.managed_fields = managed_fields;
        match added {
            Some(added) => object.set_at(&["spec", "ephemeralContainers"], added),
            None => drop(object.remove_at(&["spec", "ephemeralContainers"])),
        }
    }

    fn validate_ephemeral_containers(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let none = Value::Null;
        let spec = |object: &Object| object.rest.get("spec").unwrap_or(&none).clone();
        pod_spec::ephemeral::validate_update(&spec(object), &spec(old))
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let spec = |object: &Object| object.rest.get("spec").cloned().unwrap_or_default();
        pod_spec::validate::validate_spec_update(&spec(object), &spec(old))
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }

    /// A pod on no node, or one that has ended, has nothing to wind up.
    fn grace_period_seconds(&self, object: &Object, requested: Option<i64>) -> Option<i64> {
        let own = object.i64_at(&["spec", "terminationGracePeriodSeconds"]);
        let seconds = requested.or(own).unwrap_or_default();
        let is_on_a_node = object.str_at(&["spec", "nodeName"]).is_some_and(|node| !node.is_empty());
        let has_ended = matches!(object.str_at(&["status", "phase"]), Some("Failed" | "Succeeded"));
        if !is_on_a_node || has_ended {
            return Some(0);
        }
        Some(if seconds < 0 { 1 } else { seconds })
    }

    fn field(&self, object: &Object, path: &str) -> String {
        match path {
            "spec.hostNetwork" => (object.at(&["spec", "hostNetwork"]) == Some(&json!(true))).to_string(),
            "status.podIPs" => ips(object),
            path => field_text(object, path),
        }
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let summary = pod_status::summarize(object, now);
        vec![
            json!(format!("{}/{}", summary.ready, summary.total)),
            json!(summary.status),
            json!(summary.restarts),
            table::age(object, now),
            or_none(&ips(object)),
            or_none(object.str_at(&["spec", "nodeName"]).unwrap_or_default()),
            or_none(object.str_at(&["status", "nominatedNodeName"]).unwrap_or_default()),
            or_none(&readiness_gates(object)),
        ]
    }
}

/// The first address of the pod.
fn ips(object: &Object) -> String {
    let first = object.at(&["status", "podIPs"]).and_then(|ips| ips.get(0)?.get("ip")?.as_str());
    let ip = first.or_else(|| object.str_at(&["status", "podIP"])).unwrap_or_default();
    ip.parse::<IpAddr>().map_or_else(|_| ip.to_owned(), |ip| ip.to_string())
}

/// `1/2`: gates that are open of those there are.
fn readiness_gates(object: &Object) -> String {
    let gates = list(object.rest.get("spec").unwrap_or(&Value::Null), "readinessGates");
    if gates.is_empty() {
        return String::new();
    }
    let conditions = list(object.rest.get("status").unwrap_or(&Value::Null), "conditions");
    let is_open = |gate: &&Value| {
        conditions
            .iter()
            .any(|condition| condition["type"] == gate["conditionType"] && condition["status"] == "True")
    };
    format!("{}/{}", gates.iter().filter(is_open).count(), gates.len())
}
