//! ServiceAccount: a pod that names no account runs as `default`; one that names another needs it to be there. The
//! token's volume is absent. `default` is taken for granted, as a control plane without controllers has none.

use labkit_api::Status;
use serde_json::{Value, json};

use crate::admission::Attributes;
use crate::kinds::pods;
use crate::pod_spec::defaults::mirror_service_account;

const DEFAULT: &str = "default";

pub(super) fn admit(attributes: &mut Attributes<'_>) -> Result<(), Status> {
    let (is_missing, namespace) = (attributes.is_account_missing, attributes.namespace);
    let shown_name = attributes.shown_name().to_owned();
    let Some(pod) = attributes.new_pod() else { return Ok(()) };
    let Some(spec) = pod.rest.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    let named = spec.get("serviceAccountName").and_then(Value::as_str).unwrap_or_default();
    if is_missing && named != DEFAULT {
        let why = format!(
            "error looking up service account {namespace}/{named}: serviceaccount {named:?} not found"
        );
        return Err(Status::forbidden(&pods::KIND.resource(), &shown_name, &why));
    }
    if spec.get("serviceAccountName").and_then(Value::as_str).is_none_or(str::is_empty) {
        spec.insert("serviceAccountName".to_owned(), json!(DEFAULT));
    }
    mirror_service_account(spec);
    Ok(())
}
