//! The conditions of a definition or an APIService. Counterpart: `apiextensions-apiserver/pkg/apihelpers`.

use labkit_api::managed_fields::{self, Writer};
use labkit_api::{Object, Status, Time};
use serde_json::{Value, json};

use crate::kinds::{Kind, Subresource};
use crate::registry::Registry;
use crate::registry::update::UpdateOptions;

/// Whether the condition is there and true.
pub(crate) fn is_true(definition: &Object, name: &str) -> bool {
    find(definition, name).is_some_and(|condition| condition["status"] == "True")
}

pub(crate) fn find<'a>(definition: &'a Object, name: &str) -> Option<&'a Value> {
    let conditions = definition.at(&["status", "conditions"]).and_then(Value::as_array);
    conditions.into_iter().flatten().find(|condition| condition["type"] == name)
}

/// One condition to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition<'a> {
    pub name: &'a str,
    pub is_true: bool,
    pub reason: &'a str,
    pub message: &'a str,
}

/// Puts a condition in place; its transition time changes with its status only.
pub(crate) fn set(definition: &mut Object, condition: Condition<'_>, now: Time) {
    let status = if condition.is_true { "True" } else { "False" };
    let mut next = json!({
        "type": condition.name, "status": status, "lastTransitionTime": now, "reason": condition.reason,
        "message": condition.message,
    });
    let mut conditions =
        definition.at(&["status", "conditions"]).and_then(Value::as_array).cloned().unwrap_or_default();
    match conditions.iter_mut().find(|found| found["type"] == condition.name) {
        Some(found) => {
            if found["status"] == status {
                next["lastTransitionTime"] = found["lastTransitionTime"].clone();
            }
            *found = next;
        }
        None => conditions.push(next),
    }
    definition.set_at(&["status", "conditions"], Value::Array(conditions));
}

/// Writes the status of an object, noted as this server's.
pub(crate) async fn write(
    registry: &Registry,
    kind: &'static Kind,
    name: &str,
    change: impl FnMut(&Object) -> Object + Send,
) -> Result<(), Status> {
    write_in(registry, kind, "", name, change).await
}

/// The same in a namespace.
pub(crate) async fn write_in(
    registry: &Registry,
    kind: &'static Kind,
    namespace: &str,
    name: &str,
    mut change: impl FnMut(&Object) -> Object + Send,
) -> Result<(), Status> {
    let options = UpdateOptions { subresource: Some(Subresource::Status), dry_run: false };
    let now = Time(registry.world.clock().now());
    let change = |live: &Object| {
        let mut next = change(live);
        let writer =
            Writer { manager: "kube-apiserver", subresource: "status", has_status: true, schema: None, now };
        next.metadata.managed_fields = managed_fields::update(Some(live), &next, writer);
        Ok(next)
    };
    registry.update(kind, namespace, name, options, change).await.map(drop)
}
