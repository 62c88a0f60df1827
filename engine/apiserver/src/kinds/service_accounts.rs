//! ServiceAccounts. Counterpart: `pkg/registry/core/serviceaccount`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use labkit_api::Object;
use serde_json::{Value, json};

use crate::kinds::{Kind, Strategy, Subresource};
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["sa"],
    columns: &[
        text(
            "Secrets",
            "Secrets is a list of the secrets in the same namespace that pods running using this ServiceAccount are allowed to use.",
        ),
        AGE,
    ],
    subresources: &[Subresource::Token],
    is_eager: true,
    ..Kind::of::<ServiceAccount>(&ServiceAccounts)
};

struct ServiceAccounts;

impl Strategy for ServiceAccounts {
    fn returns_deleted_object(&self) -> bool {
        true
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let secrets = object.at(&["secrets"]).and_then(Value::as_array).map_or(0, Vec::len);
        vec![json!(secrets), table::age(object, now)]
    }
}
