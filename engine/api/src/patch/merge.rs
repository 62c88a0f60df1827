//! JSON merge patch, RFC 7396.

use serde_json::{Map, Value};

/// Merges the patch into the target: objects field by field, null deletes, all else replaces.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let fields = target.as_object_mut().expect("made an object just above");
    for (name, change) in changes.iter().filter(|(_, change)| !change.is_null()) {
        merge_patch(fields.entry(name.clone()).or_insert(Value::Null), change);
    }
    remove_nulls_of(fields, changes);
}

/// Removes the fields that are null in the patch: in one pass, for there may be very many of them.
fn remove_nulls_of(fields: &mut Map<String, Value>, patch: &Map<String, Value>) {
    if patch.iter().any(|(name, change)| change.is_null() && fields.contains_key(name)) {
        fields.retain(|name, _| !patch.get(name).is_some_and(Value::is_null));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(target: Value, patch: Value, expected: Value) {
        let mut merged = target;
        merge_patch(&mut merged, &patch);
        assert_eq!(merged, expected);
    }

    #[test]
    fn a_hundred_thousand_fields_are_removed_at_once() {
        let fields = |value: Value| -> Value {
            (0..100_000).map(|number| (format!("field{number}"), value.clone())).collect::<Map<_, _>>().into()
        };
        check(fields(json!(1)), fields(Value::Null), json!({}));
    }

    #[test]
    fn the_examples_of_the_rfc_hold() {
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"}));
        check(json!({"a": "b"}), json!({"a": null}), json!({}));
        check(json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"}));
        check(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]}));
        check(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}));
        check(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]}));
        check(json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"]));
        check(json!({"a": "b"}), json!(["c"]), json!(["c"]));
        check(json!({"a": "foo"}), json!(null), json!(null));
        check(json!({"a": "foo"}), json!("bar"), json!("bar"));
        check(json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1}));
        check(json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"}));
        check(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    }
}
