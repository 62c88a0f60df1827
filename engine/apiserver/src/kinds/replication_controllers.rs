//! ReplicationControllers, from before there were ReplicaSets.
//! Counterpart: `pkg/registry/core/replicationcontroller`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ReplicationController;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource, kind, workload};
use crate::pod_spec::{self, string_map};
use crate::table::{self, AGE, number, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["rc"],
    categories: &["all"],
    prefix: "controllers",
    columns: &[
        number("Desired", "Pods that are wanted."),
        number("Current", "Pods that there are."),
        number("Ready", "Pods that are ready."),
        AGE,
        wide("Containers", "Names of each container in the template."),
        wide("Images", "Images referenced by each container in the template."),
        wide("Selector", "Labels of the controller's pods."),
    ],
    subresources: &[Subresource::Scale, Subresource::Status],
    selectable_fields: &["status.replicas"],
    ..Kind::of::<ReplicationController>(&ReplicationControllers)
};

struct ReplicationControllers;

impl Strategy for ReplicationControllers {
    fn set_defaults(&self, object: &mut Object) {
        // Its template is a pointer upstream, so that there may be none.
        if object.at(&["spec", "template"]).is_some() {
            workload::set_template_defaults(object, &["spec", "template"]);
        }
        let labels = string_map(object.at(&["spec", "template", "metadata", "labels"]));
        kind::fill(object, &["spec"], json!({"replicas": 1}));
        if !labels.is_empty() {
            kind::fill(object, &["spec"], json!({"selector": labels}));
            if object.metadata.labels.is_empty() {
                object.metadata.labels = labels;
            }
        }
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({"replicas": 0}))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let replicas = object.i64_at(&["spec", "replicas"]);
        let mut errors: Vec<StatusCause> =
            field::non_negative("spec.replicas", replicas).into_iter().collect();
        let selector = string_map(object.at(&["spec", "selector"]));
        let template = object.at(&["spec", "template"]).unwrap_or(&Value::Null);
        let labels = string_map(template.get("metadata").and_then(|metadata| metadata.get("labels")));
        if selector.is_empty() {
            errors.push(field::required("spec.selector", ""));
        } else if selector.iter().any(|(key, value)| labels.get(key) != Some(value)) {
            let shown = field::Shown::literal(field::go_map(&labels));
            let detail = "`selector` does not match template `labels`";
            errors.push(field::invalid("spec.template.metadata.labels", shown, detail));
        }
        errors.extend(pod_spec::validate::validate_template(template, "spec.template"));
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let number = |path: &[&str]| json!(object.i64_at(path).unwrap_or_default());
        let [containers, images, _] = workload::wide_cells(object, &["spec"]);
        vec![
            number(&["spec", "replicas"]),
            number(&["status", "replicas"]),
            number(&["status", "readyReplicas"]),
            table::age(object, now),
            containers,
            images,
            table::labels(object.at(&["spec", "selector"])),
        ]
    }
}
