//! FlowSchemas. Counterpart: `pkg/registry/flowcontrol/flowschema`, `pkg/apis/flowcontrol/validation`.

use jiff::Timestamp;
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::webhooks::supported;
use crate::kinds::{Kind, Strategy, Subresource, kind};
use crate::table::{self, AGE, number, or_none, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text("PriorityLevel", "The priority level of the requests that it matches."),
        number("MatchingPrecedence", "The schema with the lowest number decides."),
        text("DistinguisherMethod", "How its requests are told apart into flows."),
        AGE,
        text("MissingPL", "Whether its priority level is missing."),
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<FlowSchema>(&FlowSchemas)
};

const PRECEDENCE_MAX: i64 = 10_000;

struct FlowSchemas;

impl Strategy for FlowSchemas {
    fn set_defaults(&self, object: &mut Object) {
        kind::fill(object, &["spec"], json!({"matchingPrecedence": 1000}));
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        let precedence = object.i64_at(&["spec", "matchingPrecedence"]).unwrap_or_default();
        if precedence <= 0 {
            errors.push(field::invalid("spec.matchingPrecedence", precedence, "must be a positive value"));
        } else if precedence > PRECEDENCE_MAX {
            let why = format!("must not be greater than {PRECEDENCE_MAX}");
            errors.push(field::invalid("spec.matchingPrecedence", precedence, &why));
        }
        if object.str_at(&["spec", "priorityLevelConfiguration", "name"]).unwrap_or_default().is_empty() {
            let why = "must reference a priority level";
            errors.push(field::required("spec.priorityLevelConfiguration.name", why));
        }
        let method = object.str_at(&["spec", "distinguisherMethod", "type"]).unwrap_or_default();
        errors.extend(supported("spec.distinguisherMethod".to_owned(), method, &["ByNamespace", "ByUser"]));
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let conditions =
            object.at(&["status", "conditions"]).and_then(Value::as_array).cloned().unwrap_or_default();
        let dangling = conditions.iter().find(|condition| condition["type"] == "Dangling");
        let missing = dangling.and_then(|condition| condition["status"].as_str()).unwrap_or("?");
        vec![
            json!(object.str_at(&["spec", "priorityLevelConfiguration", "name"]).unwrap_or_default()),
            json!(object.i64_at(&["spec", "matchingPrecedence"]).unwrap_or_default()),
            or_none(object.str_at(&["spec", "distinguisherMethod", "type"]).unwrap_or_default()),
            table::age(object, now),
            json!(missing),
        ]
    }
}
