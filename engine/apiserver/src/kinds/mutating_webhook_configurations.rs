//! MutatingWebhookConfigurations. Counterpart: `pkg/registry/admissionregistration/mutatingwebhookconfiguration`.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use labkit_api::{Object, StatusCause};
use serde_json::Value;

use crate::kinds::{Kind, Strategy, webhooks};

pub(crate) static KIND: Kind = Kind {
    categories: &["api-extensions"],
    columns: webhooks::COLUMNS,
    ..Kind::of::<MutatingWebhookConfiguration>(&MutatingWebhookConfigurations)
};

struct MutatingWebhookConfigurations;

impl Strategy for MutatingWebhookConfigurations {
    fn set_defaults(&self, object: &mut Object) {
        webhooks::set_defaults(object, &[("reinvocationPolicy", "Never")]);
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.metadata.generation = 1;
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        webhooks::count_generation(object, old);
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        webhooks::validate(object)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        webhooks::cells(object, now)
    }
}
