//! JSON patches, RFC 6902. Counterpart: `jsonPatcher` in `endpoints/handlers/patch.go`.

use json_patch::PatchOperation;
use labkit_api::{Status, StatusDetails};
use serde_json::Value;

/// The most operations that one patch may have.
const OPERATIONS_MAX: usize = 10_000;
/// The most bytes that the `copy` operations of one patch may add: as many as a body has.
const COPIED_BYTES_MAX: usize = crate::decode::BODY_BYTES_MAX;
/// The most levels that a document may have: as many as can be read back.
const LEVELS_MAX: usize = 127;

/// Reads a patch: 400, made by `undecodable`, where it is none, 413 where it is too long.
pub(super) fn read(
    value: Value,
    undecodable: impl Fn(String) -> Status,
) -> Result<json_patch::Patch, Status> {
    let Value::Array(operations) = &value else {
        let kind = labkit_api::protobuf::go_name(&value);
        return Err(undecodable(format!(
            "json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        )));
    };
    if operations.len() > OPERATIONS_MAX {
        let message = format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        );
        return Err(Status::failure(413, "RequestEntityTooLarge", message));
    }
    serde_json::from_value(value).map_err(|_| refused())
}

/// Carries the operations out, all or none. Upstream does not say which one failed.
pub(super) fn apply(value: &mut Value, patch: &json_patch::Patch) -> Result<(), Status> {
    let mut copied = 0;
    // Counted anew only where the operations may have gone too deep, for a document can be large.
    let mut levels_at_most = levels(value);
    for operation in &patch.0 {
        if let PatchOperation::Copy(copy) = operation {
            copied += copy.from.resolve(value).map_or(0, |source| source.to_string().len());
            if copied > COPIED_BYTES_MAX {
                return Err(refused());
            }
        }
        json_patch::patch_unsafe(value, std::slice::from_ref(operation)).map_err(|_| refused())?;
        levels_at_most += match operation {
            PatchOperation::Remove(_) | PatchOperation::Test(_) => 0,
            PatchOperation::Add(add) => add.path.count() + levels(&add.value),
            PatchOperation::Replace(replace) => levels(&replace.value),
            PatchOperation::Move(moved) => moved.path.count(),
            PatchOperation::Copy(copy) => copy.path.count(),
        };
        if levels_at_most > LEVELS_MAX {
            levels_at_most = levels(value);
        }
        if levels_at_most > LEVELS_MAX {
            return Err(refused());
        }
    }
    Ok(())
}

/// How many levels there are. Without recursion: a few hundred operations can nest as many as would end the stack.
fn levels(value: &Value) -> usize {
    let mut deepest = 1;
    let mut left = vec![(value, 1)];
    while let Some((value, level)) = left.pop() {
        deepest = deepest.max(level);
        match value {
            Value::Object(fields) => left.extend(fields.values().map(|field| (field, level + 1))),
            Value::Array(items) => left.extend(items.iter().map(|item| (item, level + 1))),
            _ => {}
        }
    }
    deepest
}

/// 422 in the words of `NewGenericServerResponse`.
fn refused() -> Status {
    let message = "the server rejected our request due to an error in our request";
    let mut status = Status::failure(422, "Invalid", message);
    status.details = Some(StatusDetails::default());
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(patch: Value, expected: Result<Value, u16>) {
        let mut value = json!({"spec": {"replicas": 1, "list": ["a", "b"]}, "a/b": 1});
        let found = read(patch, Status::bad_request).and_then(|patch| apply(&mut value, &patch));
        assert_eq!(found.map(|()| value).map_err(|status| status.code), expected);
    }

    #[test]
    fn operations_are_carried_out_in_order() {
        let rest = json!({"spec": {"replicas": 3, "list": ["a", "c"]}, "a/b": 1});
        check(
            json!([{"op": "test", "path": "/spec/replicas", "value": 1}, {"op": "replace", "path": "/spec/replicas", "value": 3},
                {"op": "remove", "path": "/spec/list/1"}, {"op": "add", "path": "/spec/list/-", "value": "c"}]),
            Ok(rest),
        );
        check(
            json!([{"op": "move", "from": "/a~1b", "path": "/n"}, {"op": "copy", "from": "/spec/list", "path": "/spec/replicas"}]),
            Ok(json!({"spec": {"replicas": ["a", "b"], "list": ["a", "b"]}, "n": 1})),
        );
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused() {
        check(json!({"spec": 1}), Err(400));
        check(json!([{"op": "replace", "path": "/spec/none/x", "value": 1}]), Err(422));
        check(json!([{"op": "remove", "path": "/none"}]), Err(422));
        check(json!([{"op": "test", "path": "/spec/replicas", "value": 2}]), Err(422));
        check(json!([{"op": "jump", "path": "/spec"}]), Err(422));
        check(json!(vec![json!({"op": "remove", "path": "/none"}); OPERATIONS_MAX + 1]), Err(413));
    }

    #[test]
    fn copies_cannot_grow_a_document_without_end() {
        let double = |number| json!({"op": "copy", "from": "/spec", "path": format!("/spec/x{number}")});
        check((0..40).map(double).collect(), Err(422));
        let deeper = [
            json!({"op": "add", "path": "/x", "value": {}}),
            json!({"op": "move", "from": "/spec", "path": "/x/spec"}),
            json!({"op": "move", "from": "/x", "path": "/spec"}),
        ];
        let deeper: Vec<&Value> = deeper.iter().cycle().take(3 * 3_000).collect();
        check(json!(deeper), Err(422));
    }

    #[test]
    fn ten_thousand_operations_on_a_large_document_end_soon() {
        let mut value = json!({"data": vec![json!({"a": 1}); 50_000], "x": 1});
        let moves =
            [("/x", "/y"), ("/y", "/x")].map(|(from, to)| json!({"op": "move", "from": from, "path": to}));
        let moves: Vec<&Value> = moves.iter().cycle().take(OPERATIONS_MAX).collect();
        apply(&mut value, &read(json!(moves), Status::bad_request).unwrap()).unwrap();
        assert_eq!(value["x"], 1);
    }
}
