//! Priority: the number behind a pod's priority class. The two classes that every cluster has are known without
//! being stored.

use labkit_api::Status;
use serde_json::{Value, json};

use crate::admission::Attributes;
use crate::kinds::pods;

pub(super) fn admit(attributes: &mut Attributes<'_>) -> Result<(), Status> {
    let class = attributes.priority_class.take().map(|class| class.object());
    let name = attributes.shown_name().to_owned();
    let Some(pod) = attributes.new_pod() else { return Ok(()) };
    let Some(spec) = pod.rest.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    let asked = spec.get("priorityClassName").and_then(Value::as_str).unwrap_or_default();
    let priority: i64 = match (asked, &class) {
        (_, Some(class)) => class.i64_at(&["value"]).unwrap_or_default(),
        ("", None) => 0,
        ("system-cluster-critical", None) => 2_000_000_000,
        ("system-node-critical", None) => 2_000_001_000,
        (asked, None) => {
            let why = format!("no PriorityClass with name {asked} was found");
            return Err(Status::forbidden(&pods::KIND.resource(), &name, &why));
        }
    };
    if let Some(class) = &class {
        spec.insert("priorityClassName".to_owned(), json!(class.metadata.name));
    }
    if spec.get("priority").and_then(Value::as_i64).is_some_and(|given| given != priority) {
        let given = &spec["priority"];
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {priority} from the given PriorityClass name"
        );
        return Err(Status::forbidden(&pods::KIND.resource(), &name, &why));
    }
    spec.insert("priority".to_owned(), json!(priority));
    let policy = class.as_ref().and_then(|class| class.str_at(&["preemptionPolicy"]));
    spec.entry("preemptionPolicy").or_insert(json!(policy.unwrap_or("PreemptLowerPriority")));
    Ok(())
}
