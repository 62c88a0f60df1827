//! DefaultTolerationSeconds: a pod stays five minutes on a node that is not ready or cannot be reached.

use labkit_api::Status;
use serde_json::{Value, json};

use crate::admission::Attributes;

/// `--default-not-ready-toleration-seconds` and its sibling.
const SECONDS: i64 = 300;

pub(super) fn admit(attributes: &mut Attributes<'_>) -> Result<(), Status> {
    let Some(pod) = attributes.new_pod() else { return Ok(()) };
    let Some(spec) = pod.rest.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Some(tolerations) = tolerations.as_array_mut() else { return Ok(()) };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let text = |toleration: &Value, field: &str| {
            toleration.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let tolerates = |toleration: &Value| {
            let (own, effect) = (text(toleration, "key"), text(toleration, "effect"));
            (own == key || own.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        };
        if !tolerations.iter().any(tolerates) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
            }));
        }
    }
    Ok(())
}
