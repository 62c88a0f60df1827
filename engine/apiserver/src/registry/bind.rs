//! Binding a pod to a node. Counterpart: `BindingREST` in `pkg/registry/core/pod/storage`.

use labkit_api::{Object, Resource, Status, Time};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::pods;

/// The pod on the node that the Binding names.
pub(crate) fn bind(pod: &Object, binding: &Object, now: Time) -> Result<Object, Status> {
    let name = &pod.metadata.name;
    let resource = Resource { plural: "pods/binding".to_owned(), ..pods::KIND.resource() };
    let conflict = |why: String| Err(Status::conflict(&resource, name, &why));
    let node = binding.str_at(&["target", "name"]).unwrap_or_default();
    let kind = binding.str_at(&["target", "kind"]).unwrap_or("Node");
    if node.is_empty() || !matches!(kind, "" | "Node") {
        let cause = match node {
            "" => field::required("target.name", ""),
            _ => field::not_supported("target.kind", kind, &["Node", "<empty>"]),
        };
        return Err(Status::invalid(
            &labkit_api::GroupVersionKind::new("", "v1", "Binding"),
            name,
            vec![cause],
        ));
    }
    let uid = &binding.metadata.uid;
    if !uid.is_empty() && *uid != pod.metadata.uid {
        return conflict(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            pod.metadata.uid
        ));
    }
    if pod.metadata.is_being_deleted() {
        return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    match pod.str_at(&["spec", "nodeName"]).unwrap_or_default() {
        "" => {}
        there => return conflict(format!("pod {name} is already assigned to node {there:?}")),
    }
    if pod.at(&["spec", "schedulingGates"]).and_then(Value::as_array).is_some_and(|gates| !gates.is_empty()) {
        return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut bound = pod.clone();
    bound.set_at(&["spec", "nodeName"], json!(node));
    bound.metadata.annotations.extend(binding.metadata.annotations.clone());
    set_condition(&mut bound, json!({"type": "PodScheduled", "status": "True"}), now);
    Ok(bound)
}

/// Puts a condition in place; its transition time changes with its status only.
pub(crate) fn set_condition(pod: &mut Object, mut condition: Value, now: Time) {
    let mut conditions =
        pod.at(&["status", "conditions"]).and_then(Value::as_array).cloned().unwrap_or_default();
    condition["lastTransitionTime"] = json!(now);
    match conditions.iter_mut().find(|found| found["type"] == condition["type"]) {
        Some(found) => {
            if found["status"] == condition["status"] {
                condition["lastTransitionTime"] = found["lastTransitionTime"].clone();
            }
            *found = condition;
        }
        None => conditions.push(condition),
    }
    pod.set_at(&["status", "conditions"], Value::Array(conditions));
}
