//! Which lists are merged by which key.

pub(super) fn merge_key(field: &str) -> Option<&'static str> {
    Some(match field {
        "containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes" | "imagePullSecrets" => {
            "name"
        }
        "conditions" => "type",
        "ownerReferences" => "uid",
        _ => return None,
    })
}
