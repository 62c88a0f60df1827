//! ValidatingAdmissionPolicyBindings. Counterpart:
//! `pkg/registry/admissionregistration/validatingadmissionpolicybinding`.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::validating_admission_policies::set_match_defaults;
use crate::kinds::{Kind, Strategy};
use crate::pod_spec::{list, text as text_of};
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    categories: &["api-extensions"],
    columns: &[
        text("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
        text("ParamRef", "ParamRef indicates the param resource which sets the configration param"),
        AGE,
    ],
    ..Kind::of::<ValidatingAdmissionPolicyBinding>(&ValidatingAdmissionPolicyBindings)
};

const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];

struct ValidatingAdmissionPolicyBindings;

impl Strategy for ValidatingAdmissionPolicyBindings {
    fn set_defaults(&self, object: &mut Object) {
        set_match_defaults(object, "matchResources");
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let mut errors = Vec::new();
        if text_of(spec, "policyName").is_empty() {
            errors.push(field::required("spec.policyName", ""));
        }
        let actions = list(spec, "validationActions");
        if actions.is_empty() {
            errors.push(field::required(
                "spec.validationActions",
                "at least one validation action is required",
            ));
        }
        let has = |action: &str| actions.iter().any(|own| own == action);
        for (index, action) in actions.iter().filter_map(Value::as_str).enumerate() {
            let path = format!("spec.validationActions[{index}]");
            if !ACTIONS.contains(&action) {
                errors.push(field::not_supported(path, action, ACTIONS));
            } else if actions[..index].iter().any(|earlier| earlier == action) {
                errors.push(field::duplicate(path, action));
            }
        }
        if has("Deny") && has("Warn") {
            let shown = field::Shown::literal(json!(actions).to_string());
            let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
            errors.push(field::invalid("spec.validationActions", shown, why));
        }
        errors
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let reference = spec.get("paramRef").map_or_else(
            || "<unset>".to_owned(),
            |reference| match (text_of(reference, "namespace"), text_of(reference, "name")) {
                ("", "") => "<selector>".to_owned(),
                ("", name) => name.to_owned(),
                (namespace, name) => format!("{namespace}/{name}"),
            },
        );
        vec![json!(text_of(spec, "policyName")), json!(reference), table::age(object, now)]
    }
}
