//! The strategic merge patch that turns one status into another, as small as it can be. Pure. Counterpart:
//! `strategicpatch.CreateTwoWayMergePatch`, for `status` of pods and nodes.

use serde_json::{Map, Value, json};

/// Lists of a status whose elements have a key; all others are replaced whole.
const KEYS: &[(&str, &str)] =
    &[("conditions", "type"), ("addresses", "type"), ("podIPs", "ip"), ("hostIPs", "ip")];

/// `None` when there is nothing to change.
pub(crate) fn patch(old: &Value, new: &Value) -> Option<Value> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return Some(new.clone()) };
    let changes = object(old, new);
    (!changes.is_empty()).then_some(Value::Object(changes))
}

fn object(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut changes = Map::new();
    for (field, value) in new {
        let Some(before) = old.get(field) else {
            changes.insert(field.clone(), value.clone());
            continue;
        };
        if before == value {
            continue;
        }
        let key = KEYS.iter().find(|(list, _)| list == field).map(|(_, key)| *key);
        match (before, value, key) {
            (Value::Object(before), Value::Object(value), _) => {
                changes.insert(field.clone(), Value::Object(object(before, value)));
            }
            (Value::Array(before), Value::Array(value), Some(key)) => {
                list(&mut changes, field, key, before, value)
            }
            _ => {
                changes.insert(field.clone(), value.clone());
            }
        }
    }
    for field in old.keys().filter(|field| !new.contains_key(*field)) {
        changes.insert(field.clone(), Value::Null);
    }
    changes
}

fn list(changes: &mut Map<String, Value>, field: &str, key: &str, old: &[Value], new: &[Value]) {
    let find = |list: &[Value], id: &Value| list.iter().find(|element| &element[key] == id).cloned();
    let mut elements = Vec::new();
    for element in new {
        match find(old, &element[key]) {
            None => elements.push(element.clone()),
            Some(before) if &before != element => {
                if let Some(Value::Object(mut change)) = patch(&before, element) {
                    change.insert(key.to_owned(), element[key].clone());
                    elements.push(Value::Object(change));
                }
            }
            Some(_) => {}
        }
    }
    for element in old.iter().filter(|element| find(new, &element[key]).is_none()) {
        elements.push(json!({"$patch": "delete", key: element[key]}));
    }
    let order: Vec<Value> = new.iter().map(|element| json!({key: element[key]})).collect();
    changes.insert(format!("$setElementOrder/{field}"), Value::Array(order));
    if !elements.is_empty() {
        changes.insert(field.to_owned(), Value::Array(elements));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: Value, new: Value, expected: Option<Value>) {
        assert_eq!(patch(&old, &new), expected);
    }

    #[test]
    fn only_what_changed_is_in_the_patch() {
        check(json!({"phase": "Pending"}), json!({"phase": "Pending"}), None);
        check(
            json!({"phase": "Pending", "a": 1}),
            json!({"phase": "Running"}),
            Some(json!({"phase": "Running", "a": null})),
        );
        check(
            json!({"conditions": [{"type": "Ready", "status": "False", "reason": "R"}, {"type": "B", "status": "True"}]}),
            json!({"conditions": [{"type": "A", "status": "True"}, {"type": "Ready", "status": "True"}, {"type": "B", "status": "True"}]}),
            Some(json!({
                "$setElementOrder/conditions": [{"type": "A"}, {"type": "Ready"}, {"type": "B"}],
                "conditions": [{"type": "A", "status": "True"}, {"status": "True", "reason": null, "type": "Ready"}],
            })),
        );
        check(
            json!({"podIPs": [{"ip": "1"}]}),
            json!({"podIPs": [{"ip": "2"}]}),
            Some(json!({
                "$setElementOrder/podIPs": [{"ip": "2"}],
                "podIPs": [{"ip": "2"}, {"$patch": "delete", "ip": "1"}],
            })),
        );
    }
}
