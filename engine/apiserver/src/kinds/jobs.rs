//! Jobs. Counterpart: `pkg/registry/batch/job`, `pkg/apis/batch/v1/defaults.go`.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use labkit_api::duration::human_duration;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource, kind, workload};
use crate::pod_spec;
use crate::table::{self, AGE, text, wide};

pub(crate) static KIND: Kind = Kind {
    categories: &["all"],
    columns: &[
        text("Status", "What has become of the job."),
        text("Completions", "Pods that succeeded, of those that are wanted."),
        text("Duration", "Time from the start of the job to its completion, or until now."),
        AGE,
        wide("Containers", "Names of each container in the template."),
        wide("Images", "Images referenced by each container in the template."),
        wide("Selector", "Label selector of the job's pods."),
    ],
    subresources: &[Subresource::Status],
    selectable_fields: &["status.successful"],
    ..Kind::of::<Job>(&Jobs)
};

/// Labels that tie pods to their job, each in its present and its older form.
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

const COMPLETION_MODES: &[&str] = &["Indexed", "NonIndexed"];
const RESTART_POLICIES: &[&str] = &["OnFailure", "Never"];

struct Jobs;

impl Strategy for Jobs {
    fn set_defaults(&self, object: &mut Object) {
        workload::set_template_defaults(object, &["spec", "template"]);
        if object.at(&["spec", "completions"]).is_none() && object.at(&["spec", "parallelism"]).is_none() {
            kind::fill(object, &["spec"], json!({"completions": 1}));
        }
        let per_index = object.at(&["spec", "backoffLimitPerIndex"]).is_some();
        let replacement =
            if object.at(&["spec", "podFailurePolicy"]).is_some() { "Failed" } else { "TerminatingOrFailed" };
        let defaults = json!({
            "parallelism": 1, "backoffLimit": if per_index { i32::MAX } else { 6 }, "completionMode": "NonIndexed",
            "suspend": false, "manualSelector": false, "podReplacementPolicy": replacement,
        });
        kind::fill(object, &["spec"], defaults);
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.rest.insert("status".to_owned(), json!({}));
        object.metadata.generation = 1;
        if object.at(&["spec", "manualSelector"]) != Some(&json!(true)) {
            generate_selector(object);
        }
        if object.metadata.labels.is_empty() {
            object.metadata.labels =
                pod_spec::string_map(object.at(&["spec", "template", "metadata", "labels"]));
        }
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let mut errors = validate_spec(spec, "spec");
        errors.extend(workload::validate_selector(object, None));
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let mut errors = workload::validate_selector_update(object, old);
        let null = Value::Null;
        let field_of = |object: &Object, name: &str| object.at(&["spec", name]).unwrap_or(&null).clone();
        let is_suspended =
            old.at(&["spec", "suspend"]) == Some(&json!(true)) && old.at(&["status", "startTime"]).is_none();
        // An Indexed job may grow and shrink, with its parallelism.
        let is_elastic = field_of(object, "completionMode") == "Indexed"
            && field_of(object, "completions") == field_of(object, "parallelism");
        let frozen: &[(&str, bool)] =
            &[("completions", is_elastic), ("template", is_suspended), ("completionMode", false)];
        for (name, may_change) in frozen {
            if !may_change {
                let path = format!("spec.{name}");
                errors.extend(field::immutable(&path, &field_of(object, name), &field_of(old, name)));
            }
        }
        errors
    }

    fn field(&self, object: &Object, path: &str) -> String {
        match path {
            "status.successful" => object.i64_at(&["status", "succeeded"]).unwrap_or_default().to_string(),
            path => kind::field_text(object, path),
        }
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let succeeded = object.i64_at(&["status", "succeeded"]).unwrap_or_default();
        let parallelism = object.i64_at(&["spec", "parallelism"]).unwrap_or_default();
        let completions = match object.i64_at(&["spec", "completions"]) {
            Some(wanted) => format!("{succeeded}/{wanted}"),
            None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
            None => format!("{succeeded}/1"),
        };
        let [containers, images, selector] = workload::wide_cells(object, &["spec"]);
        vec![
            json!(status(object)),
            json!(completions),
            json!(duration(object, now)),
            table::age(object, now),
            containers,
            images,
            selector,
        ]
    }
}

/// The selector is the job's uid, and the template's labels fit it.
fn generate_selector(object: &mut Object) {
    let (uid, name) = (object.metadata.uid.clone(), object.metadata.name.clone());
    for (labels, value) in [(UID_LABELS, &uid), (NAME_LABELS, &name)] {
        for label in labels {
            object.set_at(&["spec", "template", "metadata", "labels", label], json!(value));
        }
    }
    object.set_at(&["spec", "selector", "matchLabels", UID_LABELS[0]], json!(uid));
}

/// A job's spec, in a Job and in the template of a CronJob.
pub(crate) fn validate_spec(spec: &Value, path: &str) -> Vec<StatusCause> {
    let number = |name: &str| spec.get(name).and_then(Value::as_i64);
    let mut errors = Vec::new();
    for name in
        ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"]
    {
        errors.extend(field::non_negative(&format!("{path}.{name}"), number(name)));
    }
    match pod_spec::text(spec, "completionMode") {
        "" | "NonIndexed" => {}
        "Indexed" => {
            if number("completions").is_none() {
                let detail = "when completion mode is Indexed";
                errors.push(field::required(format!("{path}.completions"), detail));
            }
        }
        other => {
            errors.push(field::not_supported(format!("{path}.completionMode"), other, COMPLETION_MODES));
        }
    }
    let template = spec.get("template").unwrap_or(&Value::Null);
    let path = format!("{path}.template");
    errors.extend(pod_spec::validate::validate_any_template(template, &path));
    let path = format!("{path}.spec.restartPolicy");
    match template.get("spec").map(|spec| pod_spec::text(spec, "restartPolicy")).unwrap_or_default() {
        "" | "Always" => errors.push(field::required(path, "valid values: \"OnFailure\", \"Never\"")),
        policy if !RESTART_POLICIES.contains(&policy) => {
            errors.push(field::not_supported(path, policy, RESTART_POLICIES));
        }
        _ => {}
    }
    errors
}

fn status(object: &Object) -> &'static str {
    let has = |condition: &str| {
        let conditions = workload::list(object.rest.get("status"), "conditions");
        conditions.iter().any(|found| found["type"] == condition && found["status"] == "True")
    };
    let ended = ["Complete", "Failed"].into_iter().find(|condition| has(condition));
    let going = object.metadata.is_being_deleted().then_some("Terminating");
    let ending =
        ["Suspended", "FailureTarget", "SuccessCriteriaMet"].into_iter().find(|condition| has(condition));
    ended.or(going).or(ending).unwrap_or("Running")
}

fn duration(object: &Object, now: Timestamp) -> String {
    let when = |name: &str| table::time(object.at(&["status", name])).map(|time| time.0.as_second());
    let Some(start) = when("startTime") else { return String::new() };
    let end = when("completionTime").unwrap_or(now.as_second());
    human_duration(Duration::from_secs(u64::try_from(end - start).unwrap_or_default()))
}
