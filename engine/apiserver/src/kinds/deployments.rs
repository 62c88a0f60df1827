//! Deployments. Counterpart: `pkg/registry/apps/deployment`, `pkg/apis/apps/v1/defaults.go`.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use labkit_api::int_or_string::scaled_value;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::kind::{count_generation, keep};
use crate::kinds::{Kind, Strategy, Subresource, workload};
use crate::table::{self, AGE, number, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["deploy"],
    categories: &["all"],
    columns: &[
        text("Ready", "Number of the pod with ready state"),
        number(
            "Up-to-date",
            "Total number of non-terminated pods targeted by this deployment that have the desired template spec.",
        ),
        number(
            "Available",
            "Total number of available pods (ready for at least minReadySeconds) targeted by this deployment.",
        ),
        AGE,
        wide("Containers", "Names of each container in the template."),
        wide("Images", "Images referenced by each container in the template."),
        wide(
            "Selector",
            "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by this deployment.",
        ),
    ],
    subresources: &[Subresource::Scale, Subresource::Status],
    is_eager: true,
    ..Kind::of::<Deployment>(&Deployments)
};

const STRATEGIES: &[&str] = &["Recreate", "RollingUpdate"];

struct Deployments;

impl Strategy for Deployments {
    fn set_defaults(&self, object: &mut Object) {
        workload::set_template_defaults(object, &["spec", "template"]);
        let Some(spec) = object.rest.get_mut("spec").and_then(Value::as_object_mut) else { return };
        spec.entry("replicas").or_insert(json!(1));
        spec.entry("revisionHistoryLimit").or_insert(json!(10));
        spec.entry("progressDeadlineSeconds").or_insert(json!(600));
        let strategy = spec.entry("strategy").or_insert_with(|| json!({}));
        let Some(strategy) = strategy.as_object_mut() else { return };
        if strategy.entry("type").or_insert(json!("RollingUpdate")) == "RollingUpdate" {
            let rolling = strategy.entry("rollingUpdate").or_insert_with(|| json!({}));
            if let Some(rolling) = rolling.as_object_mut() {
                rolling.entry("maxUnavailable").or_insert(json!("25%"));
                rolling.entry("maxSurge").or_insert(json!("25%"));
            }
        }
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.rest.insert("status".to_owned(), json!({}));
        object.metadata.generation = 1;
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "status");
        count_generation(object, old);
        if object.metadata.annotations != old.metadata.annotations {
            // Its annotations are copied to ReplicaSets, so that they count as part of the spec here.
            object.metadata.generation = old.metadata.generation + 1;
        }
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = workload::validate(object, "deployment");
        errors.extend(validate_strategy(object));
        let number = |name: &str| object.i64_at(&["spec", name]);
        errors.extend(field::non_negative("spec.revisionHistoryLimit", number("revisionHistoryLimit")));
        errors.extend(field::non_negative("spec.progressDeadlineSeconds", number("progressDeadlineSeconds")));
        if let Some(deadline) = number("progressDeadlineSeconds")
            && deadline <= number("minReadySeconds").unwrap_or_default()
        {
            let detail = "must be greater than minReadySeconds";
            errors.push(field::invalid("spec.progressDeadlineSeconds", deadline, detail));
        }
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        workload::validate_selector_update(object, old)
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let status = |name: &str| object.i64_at(&["status", name]).unwrap_or_default();
        let desired = object.i64_at(&["spec", "replicas"]).unwrap_or_default();
        let [containers, images, selector] = workload::wide_cells(object, &["spec"]);
        vec![
            json!(format!("{}/{desired}", status("readyReplicas"))),
            json!(status("updatedReplicas")),
            json!(status("availableReplicas")),
            table::age(object, now),
            containers,
            images,
            selector,
        ]
    }
}

fn validate_strategy(object: &Object) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let rolling = object.at(&["spec", "strategy", "rollingUpdate"]);
    match object.str_at(&["spec", "strategy", "type"]).unwrap_or_default() {
        "RollingUpdate" => errors.extend(validate_rolling_update(rolling.unwrap_or(&Value::Null))),
        "Recreate" => {
            if rolling.is_some() {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                errors.push(field::forbidden("spec.strategy.rollingUpdate", detail));
            }
        }
        "" => errors.push(field::required("spec.strategy", "")),
        other => errors.push(field::not_supported("spec.strategy", other, STRATEGIES)),
    }
    errors
}

fn validate_rolling_update(rolling: &Value) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let mut scaled = [0; 2];
    for (name, scaled) in ["maxUnavailable", "maxSurge"].into_iter().zip(&mut scaled) {
        let value = rolling.get(name).unwrap_or(&Value::Null);
        let path = format!("spec.strategy.rollingUpdate.{name}");
        match scaled_value(value, 100, true) {
            Ok(number) if number < 0 => {
                errors.push(field::invalid(path, value, "must be greater than or equal to 0"));
            }
            Ok(number) if name == "maxUnavailable" && value.is_string() && number > 100 => {
                errors.push(field::invalid(path, value, "must not be greater than 100%"));
            }
            Ok(number) => *scaled = number,
            Err(_) => {
                let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. \
                              '1%',  or '93%', regex used for validation is '[0-9]+%')";
                errors.push(field::invalid(path, value, detail));
            }
        }
    }
    if errors.is_empty() && scaled == [0, 0] {
        let path = "spec.strategy.rollingUpdate.maxUnavailable";
        let value = rolling.get("maxUnavailable").unwrap_or(&Value::Null);
        errors.push(field::invalid(path, value, "may not be 0 when `maxSurge` is 0"));
    }
    errors
}
