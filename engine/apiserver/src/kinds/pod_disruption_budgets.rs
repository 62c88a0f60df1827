//! PodDisruptionBudgets. Counterpart: `pkg/registry/policy/poddisruptionbudget`.

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use labkit_api::int_or_string::scaled_value;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, Subresource};
use crate::table::{self, AGE, number, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["pdb"],
    columns: &[
        text("Min Available", "Pods that must stay available."),
        text("Max Unavailable", "Pods that may be unavailable."),
        number("Allowed Disruptions", "Evictions that are allowed now."),
        AGE,
    ],
    subresources: &[Subresource::Status],
    is_eager: true,
    ..Kind::of::<PodDisruptionBudget>(&PodDisruptionBudgets)
};

const EVICTION_POLICIES: &[&str] = &["AlwaysAllow", "IfHealthyBudget"];

struct PodDisruptionBudgets;

impl Strategy for PodDisruptionBudgets {
    fn new_status(&self) -> Option<Value> {
        Some(json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        let bound = |name: &str| object.at(&["spec", name]);
        if bound("minAvailable").is_some() && bound("maxUnavailable").is_some() {
            let shown = field::Shown::literal(object.rest["spec"].to_string());
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.push(field::invalid("spec", shown, detail));
        }
        for name in ["minAvailable", "maxUnavailable"] {
            let Some(value) = bound(name) else { continue };
            let path = format!("spec.{name}");
            match scaled_value(value, 100, true) {
                Ok(number) if number < 0 => {
                    errors.push(field::invalid(path, value, "must be greater than or equal to 0"));
                }
                Ok(number) if value.is_string() && number > 100 => {
                    errors.push(field::invalid(path, value, "must not be greater than 100%"));
                }
                Ok(_) => {}
                Err(_) => {
                    let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. \
                                  '1%',  or '93%', regex used for validation is '[0-9]+%')";
                    errors.push(field::invalid(path, value, detail));
                }
            }
        }
        let policy = object.str_at(&["spec", "unhealthyPodEvictionPolicy"]).unwrap_or("IfHealthyBudget");
        if !EVICTION_POLICIES.contains(&policy) {
            errors.push(field::not_supported("spec.unhealthyPodEvictionPolicy", policy, EVICTION_POLICIES));
        }
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![
            json!(table::number_or(object.at(&["spec", "minAvailable"]), "N/A")),
            json!(table::number_or(object.at(&["spec", "maxUnavailable"]), "N/A")),
            json!(object.i64_at(&["status", "disruptionsAllowed"]).unwrap_or_default()),
            table::age(object, now),
        ]
    }
}
