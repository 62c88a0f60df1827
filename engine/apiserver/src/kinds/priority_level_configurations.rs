//! PriorityLevelConfigurations. Counterpart: `pkg/registry/flowcontrol/prioritylevelconfiguration`.

use jiff::Timestamp;
use k8s_openapi::api::flowcontrol::v1::PriorityLevelConfiguration;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource, kind};
use crate::table::{self, AGE, number_or, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text("Type", "Whether its requests are limited or exempt."),
        text("NominalConcurrencyShares", "Its share of the requests that are carried out at a time."),
        text("Queues", "How many queues it has."),
        text("HandSize", "How many queues a flow is dealt."),
        text("QueueLengthLimit", "How many requests a queue holds."),
        AGE,
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<PriorityLevelConfiguration>(&PriorityLevelConfigurations)
};

struct PriorityLevelConfigurations;

impl Strategy for PriorityLevelConfigurations {
    fn set_defaults(&self, object: &mut Object) {
        kind::fill(
            object,
            &["spec", "limited"],
            json!({"nominalConcurrencyShares": 30, "lendablePercent": 0}),
        );
        kind::fill(object, &["spec", "exempt"], json!({"nominalConcurrencyShares": 0, "lendablePercent": 0}));
        let queuing = json!({"queues": 64, "handSize": 8, "queueLengthLimit": 50});
        kind::fill(object, &["spec", "limited", "limitResponse", "queuing"], queuing);
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        let has = |field: &str| object.at(&["spec", field]).is_some();
        match object.str_at(&["spec", "type"]).unwrap_or_default() {
            "Limited" => {
                if !has("limited") {
                    errors.push(field::required("spec.limited", "must not be empty when type is Limited"));
                }
                if has("exempt") {
                    errors.push(field::forbidden("spec.exempt", "must be nil if the type is Limited"));
                }
                let response =
                    object.str_at(&["spec", "limited", "limitResponse", "type"]).unwrap_or_default();
                if has("limited") && !["Queue", "Reject"].contains(&response) {
                    let path = "spec.limited.limitResponse.type";
                    errors.push(field::not_supported(path, response, &["Queue", "Reject"]));
                }
            }
            "Exempt" if has("limited") => {
                errors.push(field::forbidden("spec.limited", "must be nil if the type is not Limited"));
            }
            "Exempt" => {}
            other => errors.push(field::not_supported("spec.type", other, &["Exempt", "Limited"])),
        }
        let percent = object.i64_at(&["spec", "limited", "lendablePercent"]).unwrap_or_default();
        if !(0..=100).contains(&percent) {
            let why = "must be between 0 and 100, inclusive";
            errors.push(field::invalid("spec.limited.lendablePercent", percent, why));
        }
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let kind = object.str_at(&["spec", "type"]).unwrap_or_default();
        let part = if kind == "Exempt" { "exempt" } else { "limited" };
        let queuing = |name: &str| {
            json!(number_or(object.at(&["spec", "limited", "limitResponse", "queuing", name]), "<none>"))
        };
        vec![
            json!(kind),
            json!(number_or(object.at(&["spec", part, "nominalConcurrencyShares"]), "<none>")),
            queuing("queues"),
            queuing("handSize"),
            queuing("queueLengthLimit"),
            table::age(object, now),
        ]
    }
}
