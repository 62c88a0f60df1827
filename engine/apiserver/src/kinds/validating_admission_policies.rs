//! ValidatingAdmissionPolicies. Counterpart: `pkg/registry/admissionregistration/validatingadmissionpolicy`.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::webhooks::{set_scopes, supported};
use crate::kinds::{Kind, Strategy, Subresource, kind};
use crate::pod_spec::{list, text as text_of};
use crate::table::{self, AGE, number, text};

pub(crate) static KIND: Kind = Kind {
    categories: &["api-extensions"],
    columns: &[
        number(
            "Validations",
            "Validations indicates the number of validation rules defined in this configuration",
        ),
        text("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy"),
        AGE,
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<ValidatingAdmissionPolicy>(&ValidatingAdmissionPolicies)
};

struct ValidatingAdmissionPolicies;

impl Strategy for ValidatingAdmissionPolicies {
    fn set_defaults(&self, object: &mut Object) {
        kind::fill(object, &["spec"], json!({"failurePolicy": "Fail"}));
        set_match_defaults(object, "matchConstraints");
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let none = Value::Null;
        let spec = object.rest.get("spec").unwrap_or(&none);
        let mut errors = Vec::new();
        errors.extend(supported(
            "spec.failurePolicy".to_owned(),
            text_of(spec, "failurePolicy"),
            &["Fail", "Ignore"],
        ));
        match spec.get("matchConstraints") {
            None => errors.push(field::required("spec.matchConstraints", "")),
            Some(constraints) if list(constraints, "resourceRules").is_empty() => {
                errors.push(field::required("spec.matchConstraints.resourceRules", ""));
            }
            Some(_) => {}
        }
        if list(spec, "validations").is_empty() && list(spec, "auditAnnotations").is_empty() {
            let why = "validations or auditAnnotations must contain at least one item";
            errors.push(field::required("spec.validations", why));
        }
        for (index, validation) in list(spec, "validations").iter().enumerate() {
            if text_of(validation, "expression").trim().is_empty() {
                errors.push(field::required(
                    format!("spec.validations[{index}].expression"),
                    "expression is not specified",
                ));
            }
        }
        errors
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let kind = spec.get("paramKind").map_or_else(
            || "<unset>".to_owned(),
            |kind| format!("{}/{}", text_of(kind, "apiVersion"), text_of(kind, "kind")),
        );
        vec![json!(list(spec, "validations").len()), json!(kind), table::age(object, now)]
    }
}

/// The defaults of what a policy, or its binding, matches.
pub(crate) fn set_match_defaults(object: &mut Object, field: &str) {
    let defaults = json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}});
    kind::fill(object, &["spec", field], defaults);
    let matches =
        object.rest.get_mut("spec").and_then(|spec| spec.get_mut(field)).and_then(Value::as_object_mut);
    if let Some(matches) = matches {
        set_scopes(matches, "resourceRules");
        set_scopes(matches, "excludeResourceRules");
    }
}
