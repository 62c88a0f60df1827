//! Writes to the API as steps: what the object was before and after says what was done.

use std::sync::Arc;

use labkit_api::Resource;
use serde_json::{Map, Value};

use super::writes::value_at;
use crate::run::Run;
use crate::steps::{Delete, Manifest, Patch, PatchType, Step};

/// The step that does the same as a request. None where no step can, such as a binding by hand.
pub(super) async fn step_of(
    run: &Arc<Run>,
    method: &str,
    target: &str,
    key: Option<&str>,
    revision: Option<i64>,
) -> Option<Step> {
    let place = Place::of(target)?;
    if method == "DELETE" {
        return Some(Step { delete: Some(place.delete()?), ..Step::default() });
    }
    if place.subresource.as_deref() == Some("eviction") {
        return Some(Step { delete: Some(place.delete()?), ..Step::default() });
    }
    if !matches!(place.subresource.as_deref(), None | Some("scale" | "status")) {
        return None;
    }
    let (key, revision) = (key?, revision?);
    let after: Value = serde_json::from_str(&value_at(run, key, revision).await?).ok()?;
    let before = match method {
        "POST" => None,
        _ => {
            value_at(run, key, revision - 1).await.and_then(|text| serde_json::from_str::<Value>(&text).ok())
        }
    };
    let allows = |verb: &str| run.lab.submission.allow.iter().any(|allowed| allowed == verb);
    let manifest = || Manifest { manifest: Some(wanted(after.clone())), ..Manifest::default() };
    match (method, &before) {
        ("POST", _) if allows("create") => {
            Some(Step { create: Some(crate::steps::Create(manifest())), ..Step::default() })
        }
        ("PUT", _) if allows("replace") => {
            Some(Step { replace: Some(crate::steps::Replace(manifest())), ..Step::default() })
        }
        (_, Some(before)) if allows("patch") => {
            let patch = difference(&wanted(before.clone()), &wanted(after.clone()))?;
            Some(Step { patch: Some(place.patch(patch, &after)?), ..Step::default() })
        }
        _ if allows("apply") => {
            Some(Step { apply: Some(crate::steps::Apply(manifest())), ..Step::default() })
        }
        (_, Some(_)) if place.subresource.as_deref() == Some("scale") && allows("scale") => {
            let replicas = u32::try_from(after["spec"]["replicas"].as_u64()?).ok()?;
            let (kind, name, namespace) = (place.resource.gvk.kind, place.name?, place.namespace);
            Some(Step {
                scale: Some(crate::steps::Scale { kind, name, namespace, replicas }),
                ..Step::default()
            })
        }
        _ => None,
    }
}

/// What a request's path names.
struct Place {
    resource: Resource,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

impl Place {
    /// `/apis/apps/v1/namespaces/default/deployments/web/scale`
    fn of(target: &str) -> Option<Place> {
        let segments: Vec<&str> = target.trim_matches('/').split('/').collect();
        let (api_version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..]
                if !rest.is_empty() && *rest != ["status"] && *rest != ["finalize"] =>
            {
                (Some((*namespace).to_owned()), rest)
            }
            rest => (None, rest),
        };
        let plural = rest.first()?;
        let mut served = labkit_cluster::resources().into_iter();
        let resource = served
            .find(|resource| resource.plural == *plural && resource.gvk.api_version() == api_version)?;
        let text = |index: usize| rest.get(index).map(|text| (*text).to_owned());
        Some(Place { resource, namespace, name: text(1), subresource: text(2) })
    }

    fn delete(self) -> Option<Delete> {
        Some(Delete {
            kind: self.resource.gvk.kind.clone(),
            api_version: Some(self.resource.gvk.api_version()),
            name: self.name?,
            namespace: self.namespace,
            grace_period_seconds: None,
        })
    }

    fn patch(self, patch: Value, after: &Value) -> Option<Patch> {
        let name = self.name.or_else(|| after["metadata"]["name"].as_str().map(str::to_owned))?;
        Some(Patch {
            kind: self.resource.gvk.kind.clone(),
            api_version: Some(self.resource.gvk.api_version()),
            name,
            namespace: self.namespace,
            subresource: self.subresource.filter(|subresource| subresource == "status"),
            kind_of_patch: PatchType::Merge,
            patch,
        })
    }
}

/// The object as somebody wanted it: without what the cluster itself fills in.
fn wanted(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "managedFields",
            "selfLink",
            "deletionTimestamp",
        ] {
            metadata.shift_remove(field);
        }
    }
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove("status");
    }
    if object["kind"] == "Service"
        && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
        && spec.get("clusterIP").is_some_and(|ip| ip != "None")
    {
        spec.shift_remove("clusterIP");
        spec.shift_remove("clusterIPs");
    }
    object
}

/// The merge patch that leads from one value to the other; none where they are the same.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for (name, value) in new {
        match old.get(name) {
            None => {
                patch.insert(name.clone(), value.clone());
            }
            Some(earlier) => {
                patch.extend(difference(earlier, value).map(|difference| (name.clone(), difference)))
            }
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_difference_is_a_merge_patch() {
        let before = json!({"a": 1, "b": {"c": 1, "d": [1]}, "e": 1});
        let after = json!({"a": 1, "b": {"c": 2, "d": [1, 2]}, "f": 1});
        let patch = difference(&before, &after).unwrap();
        assert_eq!(patch, json!({"b": {"c": 2, "d": [1, 2]}, "f": 1, "e": null}));
        let mut patched = before.clone();
        labkit_api::patch::merge_patch(&mut patched, &patch);
        assert_eq!(patched, after);
        assert_eq!(difference(&after, &after), None);
    }

    #[test]
    fn paths_name_objects() {
        let place = Place::of("/apis/apps/v1/namespaces/shop/deployments/web/scale").unwrap();
        assert_eq!((place.namespace.as_deref(), place.name.as_deref()), (Some("shop"), Some("web")));
        assert_eq!(place.subresource.as_deref(), Some("scale"));
        let node = Place::of("/api/v1/nodes/worker1").unwrap();
        assert_eq!((node.namespace, node.name.as_deref()), (None, Some("worker1")));
        assert_eq!(Place::of("/api/v1/namespaces/shop").unwrap().name.as_deref(), Some("shop"));
        assert!(Place::of("/version").is_none());
    }
}
