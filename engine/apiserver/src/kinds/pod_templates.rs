//! PodTemplates: a pod's template as an object of its own. Counterpart: `pkg/registry/core/podtemplate`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplate;
use labkit_api::{Object, StatusCause};
use serde_json::Value;

use crate::kinds::{Kind, Strategy, workload};
use crate::pod_spec;
use crate::table::{self, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text("Containers", "Names of each container in the template."),
        text("Images", "Images referenced by each container in the template."),
        text("Pod Labels", "The labels of the template."),
    ],
    ..Kind::of::<PodTemplate>(&PodTemplates)
};

struct PodTemplates;

impl Strategy for PodTemplates {
    fn set_defaults(&self, object: &mut Object) {
        workload::set_template_defaults(object, &["template"]);
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.metadata.generation = 1;
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        if object.rest.get("template") != old.rest.get("template") {
            object.metadata.generation = old.metadata.generation + 1;
        }
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let template = object.rest.get("template").unwrap_or(&Value::Null);
        pod_spec::validate::validate_any_template(template, "template")
    }

    fn returns_deleted_object(&self) -> bool {
        true
    }

    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let [containers, images, _] = workload::wide_cells(object, &[]);
        vec![containers, images, table::labels(object.at(&["template", "metadata", "labels"]))]
    }
}
