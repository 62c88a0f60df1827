//! ClusterRoleBindings. Counterpart: `pkg/registry/rbac/clusterrolebinding`.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use labkit_api::{Object, StatusCause};
use serde_json::Value;

use crate::kinds::{Kind, Strategy, role_bindings};

pub(crate) static KIND: Kind =
    Kind { columns: role_bindings::COLUMNS, ..Kind::of::<ClusterRoleBinding>(&ClusterRoleBindings) };

struct ClusterRoleBindings;

impl Strategy for ClusterRoleBindings {
    fn set_defaults(&self, object: &mut Object) {
        role_bindings::set_defaults(object);
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        labkit_api::validation::is_path_segment_name(name)
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        role_bindings::validate(object, &["ClusterRole"])
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        role_bindings::validate_update(object, old)
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        role_bindings::cells(object, now)
    }
}
