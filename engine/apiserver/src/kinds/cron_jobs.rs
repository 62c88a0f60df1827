//! CronJobs. Counterpart: `pkg/registry/batch/cronjob`, `pkg/apis/batch/validation`.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJob;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource, cron_schedule, jobs, kind, workload};
use crate::table::{self, AGE, Column, number, or_none, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["cj"],
    categories: &["all"],
    columns: &[
        text("Schedule", "When jobs are made, in cron's notation."),
        text("Timezone", "The time zone of the schedule."),
        Column { format: "boolean", ..text("Suspend", "Whether no more jobs are made.") },
        number("Active", "Jobs that run now."),
        text("Last Schedule", "When a job was made last."),
        AGE,
        wide("Containers", "Names of each container in the template."),
        wide("Images", "Images referenced by each container in the template."),
        wide("Selector", "Label selector of the jobs' pods."),
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<CronJob>(&CronJobs)
};

const CONCURRENCY_POLICIES: &[&str] = &["Allow", "Forbid", "Replace"];

/// A job's name is its CronJob's and 11 characters more.
const NAME_MAX: usize = 52;

struct CronJobs;

impl Strategy for CronJobs {
    fn set_defaults(&self, object: &mut Object) {
        workload::set_template_defaults(object, &["spec", "jobTemplate", "spec", "template"]);
        let defaults = json!({
            "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        });
        kind::fill(object, &["spec"], defaults);
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        if object.metadata.name.len() > NAME_MAX {
            let detail = format!("must be no more than {NAME_MAX} characters");
            errors.push(field::invalid("metadata.name", &object.metadata.name, &detail));
        }
        match object.str_at(&["spec", "schedule"]).unwrap_or_default() {
            "" => errors.push(field::required("spec.schedule", "")),
            schedule if schedule.contains("TZ") => {
                let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
                errors.push(field::invalid("spec.schedule", schedule, detail));
            }
            schedule => errors.extend(
                cron_schedule::check(schedule)
                    .err()
                    .map(|why| field::invalid("spec.schedule", schedule, &why)),
            ),
        }
        for name in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            errors.extend(field::non_negative(&format!("spec.{name}"), object.i64_at(&["spec", name])));
        }
        match object.str_at(&["spec", "concurrencyPolicy"]).unwrap_or_default() {
            "" => errors.push(field::required("spec.concurrencyPolicy", "")),
            policy if !CONCURRENCY_POLICIES.contains(&policy) => {
                errors.push(field::not_supported("spec.concurrencyPolicy", policy, CONCURRENCY_POLICIES));
            }
            _ => {}
        }
        match object.str_at(&["spec", "timeZone"]) {
            Some("") => {
                errors.push(field::invalid("spec.timeZone", "", "timeZone must be nil or non-empty string"));
            }
            Some(zone) if zone.eq_ignore_ascii_case("local") => {
                let detail =
                    "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
                errors.push(field::invalid("spec.timeZone", zone, detail));
            }
            _ => {}
        }
        let path = "spec.jobTemplate.spec";
        let spec = object.at(&["spec", "jobTemplate", "spec"]).unwrap_or(&Value::Null);
        errors.extend(jobs::validate_spec(spec, path));
        if let Some(selector) = spec.get("selector") {
            errors.push(field::invalid(
                format!("{path}.selector"),
                selector,
                "`selector` will be auto-generated",
            ));
        }
        if spec.get("manualSelector") == Some(&json!(true)) {
            errors.push(field::not_supported(
                format!("{path}.manualSelector"),
                &json!(true),
                &["nil", "false"],
            ));
        }
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let suspend = match object.at(&["spec", "suspend"]) {
            Some(Value::Bool(true)) => "True",
            Some(Value::Bool(false)) => "False",
            _ => "<unset>",
        };
        let last = match table::time(object.at(&["status", "lastScheduleTime"])) {
            None => "<none>".to_owned(),
            time => table::since(time, now),
        };
        let [containers, images, selector] = workload::wide_cells(object, &["spec", "jobTemplate", "spec"]);
        vec![
            json!(object.str_at(&["spec", "schedule"]).unwrap_or_default()),
            or_none(object.str_at(&["spec", "timeZone"]).unwrap_or_default()),
            json!(suspend),
            json!(workload::list(object.rest.get("status"), "active").len()),
            json!(last),
            table::age(object, now),
            containers,
            images,
            selector,
        ]
    }
}
