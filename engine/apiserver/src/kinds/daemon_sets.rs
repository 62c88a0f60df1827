//! DaemonSets. Counterpart: `pkg/registry/apps/daemonset`, `pkg/apis/apps/v1/defaults.go`.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource, kind, workload};
use crate::table::{self, AGE, number, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["ds"],
    categories: &["all"],
    columns: &[
        number("Desired", "Nodes that are to run the pod."),
        number("Current", "Nodes that are to run the pod and do."),
        number("Ready", "Nodes whose pod is ready."),
        number("Up-to-date", "Nodes whose pod is of the newest template."),
        number("Available", "Nodes whose pod has been ready for minReadySeconds."),
        text("Node Selector", "Labels of the nodes that are to run the pod."),
        AGE,
        wide("Containers", "Names of each container in the template."),
        wide("Images", "Images referenced by each container in the template."),
        wide("Selector", "Label selector of the set's pods."),
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<DaemonSet>(&DaemonSets)
};

const UPDATE_STRATEGIES: &[&str] = &["OnDelete", "RollingUpdate"];

/// Counts the changes of the template.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

struct DaemonSets;

impl Strategy for DaemonSets {
    fn set_defaults(&self, object: &mut Object) {
        workload::set_template_defaults(object, &["spec", "template"]);
        kind::fill(object, &["spec"], json!({"revisionHistoryLimit": 10, "updateStrategy": {}}));
        kind::fill(object, &["spec", "updateStrategy"], json!({"type": "RollingUpdate"}));
        if object.str_at(&["spec", "updateStrategy", "type"]) == Some("RollingUpdate") {
            kind::fill(object, &["spec", "updateStrategy"], json!({"rollingUpdate": {}}));
            let defaults = json!({"maxUnavailable": 1, "maxSurge": 0});
            kind::fill(object, &["spec", "updateStrategy", "rollingUpdate"], defaults);
        }
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({
            "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
        }))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.rest.extend(self.new_status().map(|status| ("status".to_owned(), status)));
        object.metadata.generation = 1;
        object.metadata.annotations.insert(TEMPLATE_GENERATION.to_owned(), "1".to_owned());
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        kind::keep(object, old, "status");
        kind::count_generation(object, old);
        let before =
            old.metadata.annotations.get(TEMPLATE_GENERATION).and_then(|text| text.parse::<i64>().ok());
        let changed = object.at(&["spec", "template"]) != old.at(&["spec", "template"]);
        let generation = before.unwrap_or_default() + i64::from(changed);
        object.metadata.annotations.insert(TEMPLATE_GENERATION.to_owned(), generation.to_string());
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = workload::validate(object, "daemonset");
        match object.str_at(&["spec", "updateStrategy", "type"]).unwrap_or_default() {
            "OnDelete" => {}
            "RollingUpdate" => {
                let rolling = object.at(&["spec", "updateStrategy", "rollingUpdate"]).unwrap_or(&Value::Null);
                let is_zero = |name: &str| {
                    matches!(rolling.get(name), None | Some(Value::Null))
                        || rolling[name] == 0
                        || rolling[name] == "0%"
                };
                if is_zero("maxUnavailable") && is_zero("maxSurge") {
                    let path = "spec.updateStrategy.rollingUpdate.maxUnavailable";
                    errors.push(field::invalid(
                        path,
                        &rolling["maxUnavailable"],
                        "may not be 0 when `maxSurge` is 0",
                    ));
                }
                if !is_zero("maxUnavailable") && !is_zero("maxSurge") {
                    let path = "spec.updateStrategy.rollingUpdate.maxSurge";
                    let detail = "may not be set when maxUnavailable is non-zero";
                    errors.push(field::invalid(path, &rolling["maxSurge"], detail));
                }
            }
            other => errors.push(field::not_supported("spec.updateStrategy.type", other, UPDATE_STRATEGIES)),
        }
        let limit = object.i64_at(&["spec", "revisionHistoryLimit"]);
        errors.extend(field::non_negative("spec.revisionHistoryLimit", limit));
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        workload::validate_selector_update(object, old)
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let status = |name: &str| json!(object.i64_at(&["status", name]).unwrap_or_default());
        let [containers, images, selector] = workload::wide_cells(object, &["spec"]);
        vec![
            status("desiredNumberScheduled"),
            status("currentNumberScheduled"),
            status("numberReady"),
            status("updatedNumberScheduled"),
            status("numberAvailable"),
            table::labels(object.at(&["spec", "template", "spec", "nodeSelector"])),
            table::age(object, now),
            containers,
            images,
            selector,
        ]
    }
}
