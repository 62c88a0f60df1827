//! CustomResourceDefinitions. Counterpart: `apiextensions-apiserver/pkg/registry/customresourcedefinition`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use labkit_api::{GroupVersionKind, Object, StatusCause, Time};
use serde_json::{Value, json};

use crate::custom::definition;
use crate::custom::status::{self, Condition};
use crate::custom::unknown::prune;
use crate::decode;
use crate::kinds::kind::{count_generation, keep};
use crate::kinds::{Kind, Strategy, Subresource};

pub(crate) static KIND: Kind = Kind {
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    prefix: "apiextensions.k8s.io/customresourcedefinitions",
    subresources: &[Subresource::Status],
    ..Kind::of::<CustomResourceDefinition>(&Definitions)
};

/// Holds a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

struct Definitions;

impl Strategy for Definitions {
    fn coerce(&self, gvk: &GroupVersionKind, value: &mut Value) -> Result<Vec<String>, String> {
        if gvk.kind != KIND.kind {
            return decode::coerce_built_in(gvk, value);
        }
        decode::drop_nulls(value);
        let mut unknown = decode::coerce_metadata(value)?;
        unknown.extend(prune(value));
        Ok(unknown)
    }

    fn set_defaults(&self, object: &mut Object) {
        let kind = object.str_at(&["spec", "names", "kind"]).unwrap_or_default().to_owned();
        let Some(spec) = object.rest.get_mut("spec").and_then(Value::as_object_mut) else { return };
        spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
        let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) else { return };
        let mut fill = |name: &str, value: String| {
            let is_empty = names.get(name).and_then(Value::as_str).unwrap_or_default().is_empty();
            if is_empty && !kind.is_empty() {
                names.insert(name.to_owned(), json!(value));
            }
        };
        fill("singular", kind.to_lowercase());
        fill("listKind", format!("{kind}List"));
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": []}))
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.rest.insert("status".to_owned(), self.new_status().unwrap_or_default());
        note_storage_version(object);
        object.metadata.generation = 1;
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "status");
        note_storage_version(object);
        count_generation(object, old);
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        definition::validate(object)
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        definition::validate_update(object, old)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn hold_deletion(&self, object: &mut Object) {
        let finalizers = &mut object.metadata.finalizers;
        if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
            finalizers.push(CLEANUP.to_owned());
        }
    }

    fn begin_deletion(&self, object: &mut Object) {
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        let condition =
            Condition { name: "Terminating", is_true: true, reason: "InstanceDeletionPending", message };
        if let Some(Time(now)) = object.metadata.deletion_timestamp {
            status::set(object, condition, Time(now));
        }
    }
}

/// The versions in which objects may be stored, the present one among them.
fn note_storage_version(object: &mut Object) {
    let versions = object.at(&["spec", "versions"]).and_then(Value::as_array).into_iter().flatten();
    let mut storage = versions.filter(|version| version["storage"] == true);
    let Some(name) = storage.next().map(|version| version["name"].clone()) else { return };
    let mut stored =
        object.at(&["status", "storedVersions"]).and_then(Value::as_array).cloned().unwrap_or_default();
    if !stored.contains(&name) {
        stored.push(name);
        object.set_at(&["status", "storedVersions"], Value::Array(stored));
    }
}
