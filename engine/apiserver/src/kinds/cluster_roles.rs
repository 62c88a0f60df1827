//! ClusterRoles. Counterpart: `pkg/registry/rbac/clusterrole`.

use k8s_openapi::api::rbac::v1::ClusterRole;
use labkit_api::{Object, StatusCause};

use crate::kinds::{Kind, Strategy, roles};

pub(crate) static KIND: Kind = Kind::of::<ClusterRole>(&ClusterRoles);

struct ClusterRoles;

impl Strategy for ClusterRoles {
    fn validate_name(&self, name: &str) -> Vec<String> {
        labkit_api::validation::is_path_segment_name(name)
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        roles::validate_rules(object, false)
    }
}
