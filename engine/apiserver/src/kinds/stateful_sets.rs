//! StatefulSets. Counterpart: `pkg/registry/apps/statefulset`, `pkg/apis/apps/v1/defaults.go`.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource, kind, workload};
use crate::table::{self, AGE, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["sts"],
    categories: &["all"],
    columns: &[
        text("Ready", "Pods that are ready, of those that are wanted."),
        AGE,
        wide("Containers", "Names of each container in the template."),
        wide("Images", "Images referenced by each container in the template."),
    ],
    subresources: &[Subresource::Scale, Subresource::Status],
    ..Kind::of::<StatefulSet>(&StatefulSets)
};

const MANAGEMENT_POLICIES: &[&str] = &["OrderedReady", "Parallel"];
const UPDATE_STRATEGIES: &[&str] = &["OnDelete", "RollingUpdate"];

/// What of a spec may change.
const MUTABLE: [&str; 6] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

struct StatefulSets;

impl Strategy for StatefulSets {
    fn set_defaults(&self, object: &mut Object) {
        workload::set_template_defaults(object, &["spec", "template"]);
        let defaults = json!({
            "podManagementPolicy": "OrderedReady", "replicas": 1, "revisionHistoryLimit": 10, "updateStrategy": {},
            "persistentVolumeClaimRetentionPolicy": {},
        });
        kind::fill(object, &["spec"], defaults);
        kind::fill(object, &["spec", "updateStrategy"], json!({"type": "RollingUpdate"}));
        let retain = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
        kind::fill(object, &["spec", "persistentVolumeClaimRetentionPolicy"], retain);
        if object.str_at(&["spec", "updateStrategy", "type"]) == Some("RollingUpdate") {
            kind::fill(object, &["spec", "updateStrategy"], json!({"rollingUpdate": {}}));
            kind::fill(object, &["spec", "updateStrategy", "rollingUpdate"], json!({"partition": 0}));
        }
        let claims = object.rest.get_mut("spec").and_then(|spec| spec.get_mut("volumeClaimTemplates"));
        for claim in
            claims.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
        {
            claim.insert("apiVersion".to_owned(), json!("v1"));
            claim.insert("kind".to_owned(), json!("PersistentVolumeClaim"));
            claim.insert("status".to_owned(), json!({"phase": "Pending"}));
            if let Some(spec) = claim.get_mut("spec").and_then(Value::as_object_mut) {
                spec.entry("volumeMode").or_insert(json!("Filesystem"));
            }
        }
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({"replicas": 0, "availableReplicas": 0}))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = workload::validate(object, "statefulset");
        let policy = object.str_at(&["spec", "podManagementPolicy"]).unwrap_or_default();
        if !MANAGEMENT_POLICIES.contains(&policy) {
            errors.push(field::invalid(
                "spec.podManagementPolicy",
                policy,
                "must be 'OrderedReady' or 'Parallel'",
            ));
        }
        let strategy = object.str_at(&["spec", "updateStrategy", "type"]).unwrap_or_default();
        if !UPDATE_STRATEGIES.contains(&strategy) {
            errors.push(field::invalid(
                "spec.updateStrategy",
                strategy,
                "must be 'RollingUpdate' or 'OnDelete'",
            ));
        }
        let partition = object.i64_at(&["spec", "updateStrategy", "rollingUpdate", "partition"]);
        errors.extend(field::non_negative("spec.updateStrategy.rollingUpdate.partition", partition));
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let frozen = |object: &Object| {
            let mut spec = object.rest.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
            spec.retain(|name, _| !MUTABLE.contains(&name.as_str()));
            spec
        };
        if frozen(object) == frozen(old) {
            return Vec::new();
        }
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                      'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        vec![field::forbidden("spec", detail)]
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let ready = object.i64_at(&["status", "readyReplicas"]).unwrap_or_default();
        let wanted = object.i64_at(&["spec", "replicas"]).unwrap_or_default();
        let [containers, images, _] = workload::wide_cells(object, &["spec"]);
        vec![json!(format!("{ready}/{wanted}")), table::age(object, now), containers, images]
    }
}
