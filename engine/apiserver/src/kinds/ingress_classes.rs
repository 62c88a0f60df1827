//! IngressClasses. Counterpart: `pkg/registry/networking/ingressclass`.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::IngressClass;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::pod_spec::text as text_of;
use crate::table::{self, AGE, or_none, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text("Controller", "The controller that serves this class."),
        text("Parameters", "The object that configures the controller."),
        AGE,
    ],
    ..Kind::of::<IngressClass>(&IngressClasses)
};

struct IngressClasses;

impl Strategy for IngressClasses {
    fn set_defaults(&self, object: &mut Object) {
        crate::kinds::kind::fill(object, &["spec", "parameters"], json!({"scope": "Cluster"}));
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        match object.str_at(&["spec", "controller"]).unwrap_or_default() {
            "" => vec![field::required("spec.controller", "")],
            name if name
                .split_once('/')
                .is_some_and(|(domain, path)| !domain.is_empty() && !path.is_empty()) =>
            {
                Vec::new()
            }
            name => {
                let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
                vec![field::invalid("spec.controller", name, detail)]
            }
        }
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let null = Value::Null;
        let controller = |object: &Object| object.at(&["spec", "controller"]).unwrap_or(&null).clone();
        field::immutable("spec.controller", &controller(object), &controller(old)).into_iter().collect()
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let parameters = object.at(&["spec", "parameters"]).map(|reference| {
            let group = text_of(reference, "apiGroup");
            let kind = text_of(reference, "kind");
            let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
            format!("{kind}/{}", text_of(reference, "name"))
        });
        vec![
            json!(object.str_at(&["spec", "controller"]).unwrap_or_default()),
            or_none(&parameters.unwrap_or_default()),
            table::age(object, now),
        ]
    }
}
