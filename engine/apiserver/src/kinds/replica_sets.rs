//! ReplicaSets. Counterpart: `pkg/registry/apps/replicaset`.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::kinds::kind::{count_generation, keep};
use crate::kinds::{Kind, Strategy, Subresource, workload};
use crate::table::{self, AGE, number, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["rs"],
    categories: &["all"],
    columns: &[
        number(
            "Desired",
            "Replicas is the number of desired replicas. This is a pointer to distinguish between explicit zero and unspecified. Defaults to 1.",
        ),
        number("Current", "Replicas is the most recently observed number of replicas."),
        number(
            "Ready",
            "readyReplicas is the number of pods targeted by this ReplicaSet with a Ready Condition.",
        ),
        AGE,
        wide("Containers", "Names of each container in the template."),
        wide("Images", "Images referenced by each container in the template."),
        wide("Selector", "Selector is a label query over pods that should match the replica count."),
    ],
    subresources: &[Subresource::Scale, Subresource::Status],
    selectable_fields: &["status.replicas"],
    is_eager: true,
    ..Kind::of::<ReplicaSet>(&ReplicaSets)
};

struct ReplicaSets;

impl Strategy for ReplicaSets {
    fn set_defaults(&self, object: &mut Object) {
        workload::set_template_defaults(object, &["spec", "template"]);
        if let Some(spec) = object.rest.get_mut("spec").and_then(Value::as_object_mut) {
            spec.entry("replicas").or_insert(json!(1));
        }
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.rest.insert("status".to_owned(), json!({"replicas": 0}));
        object.metadata.generation = 1;
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "status");
        count_generation(object, old);
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        workload::validate(object, "deployment")
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        workload::validate_selector_update(object, old)
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let status = |name: &str| json!(object.i64_at(&["status", name]).unwrap_or_default());
        let [containers, images, selector] = workload::wide_cells(object, &["spec"]);
        vec![
            json!(object.i64_at(&["spec", "replicas"]).unwrap_or_default()),
            status("replicas"),
            status("readyReplicas"),
            table::age(object, now),
            containers,
            images,
            selector,
        ]
    }
}
