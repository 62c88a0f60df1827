//! Namespaces: the finalizer `kubernetes` in their spec holds them until their content is gone.
//! Counterpart: `pkg/registry/core/namespace`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use labkit_api::Object;
use serde_json::{Value, json};

use crate::kinds::kind::keep;
use crate::kinds::{Kind, Strategy, Subresource};
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["ns"],
    columns: &[text("Status", "The status of the namespace"), AGE],
    subresources: &[Subresource::Finalize, Subresource::Status],
    selectable_fields: &["status.phase"],
    is_eager: true,
    ..Kind::of::<Namespace>(&Namespaces)
};

/// Deleting these is forbidden.
pub(crate) const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

struct Namespaces;

impl Strategy for Namespaces {
    fn set_defaults(&self, object: &mut Object) {
        // The label by which namespace selectors name one namespace.
        let name = object.metadata.name.clone();
        if !name.is_empty() {
            object.metadata.labels.insert("kubernetes.io/metadata.name".to_owned(), name);
        }
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.rest.insert("status".to_owned(), json!({"phase": "Active"}));
        let finalizers =
            object.at(&["spec", "finalizers"]).and_then(Value::as_array).cloned().unwrap_or_default();
        let kubernetes = json!("kubernetes");
        if !finalizers.contains(&kubernetes) {
            let all: Vec<Value> = finalizers.into_iter().chain([kubernetes]).collect();
            object.set_at(&["spec", "finalizers"], Value::Array(all));
        }
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "spec");
        keep(object, old, "status");
    }

    fn prepare_for_status_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "spec");
    }

    fn deletes_collections(&self) -> bool {
        false
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        labkit_api::validation::is_dns1123_label(name)
    }

    fn grace_period_seconds(&self, _object: &Object, _requested: Option<i64>) -> Option<i64> {
        None
    }

    fn is_held(&self, object: &Object) -> bool {
        object
            .at(&["spec", "finalizers"])
            .and_then(Value::as_array)
            .is_some_and(|finalizers| !finalizers.is_empty())
    }

    fn begin_deletion(&self, object: &mut Object) {
        object.set_at(&["status", "phase"], json!("Terminating"));
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![json!(object.str_at(&["status", "phase"]).unwrap_or_default()), table::age(object, now)]
    }
}
