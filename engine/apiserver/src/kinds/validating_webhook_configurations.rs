//! ValidatingWebhookConfigurations. Counterpart: `pkg/registry/admissionregistration/validatingwebhookconfiguration`.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use labkit_api::{Object, StatusCause};
use serde_json::Value;

use crate::kinds::{Kind, Strategy, webhooks};

pub(crate) static KIND: Kind = Kind {
    categories: &["api-extensions"],
    columns: webhooks::COLUMNS,
    ..Kind::of::<ValidatingWebhookConfiguration>(&ValidatingWebhookConfigurations)
};

struct ValidatingWebhookConfigurations;

impl Strategy for ValidatingWebhookConfigurations {
    fn set_defaults(&self, object: &mut Object) {
        webhooks::set_defaults(object, &[]);
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
