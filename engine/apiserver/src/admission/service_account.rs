//! ServiceAccount: a pod that names no account runs as `default`. The token's volume is absent.

use labkit_api::Status;
use serde_json::{Value, json};

use crate::admission::Attributes;
use crate::pod_spec::defaults::mirror_service_account;

pub(super) fn admit(attributes: &mut Attributes<'_>) -> Result<(), Status> {
    let Some(pod) = attributes.new_pod() else { return Ok(()) };
    let Some(spec) = pod.rest.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    if spec.get("serviceAccountName").and_then(Value::as_str).is_none_or(str::is_empty) {
        spec.insert("serviceAccountName".to_owned(), json!("default"));
    }
    mirror_service_account(spec);
    Ok(())
}
