//! CSIStorageCapacities. Counterpart: `pkg/registry/storage/csistoragecapacity`.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSIStorageCapacity;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::table::text;

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text("StorageClassName", "The class of the volumes that can be made."),
        text("Capacity", "How much is free for them."),
    ],
    ..Kind::of::<CSIStorageCapacity>(&CsiStorageCapacities)
};

struct CsiStorageCapacities;

impl Strategy for CsiStorageCapacities {
    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        match object.str_at(&["storageClassName"]).unwrap_or_default() {
            "" => vec![field::required("storageClassName", "")],
            _ => Vec::new(),
        }
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let null = Value::Null;
        let value = |object: &Object, name: &str| object.rest.get(name).unwrap_or(&null).clone();
        let fields = ["nodeTopology", "storageClassName"];
        fields
            .iter()
            .filter_map(|name| field::immutable(name, &value(object, name), &value(old, name)))
            .collect()
    }

    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let text = |name: &str| json!(object.str_at(&[name]).unwrap_or_default());
        vec![text("storageClassName"), text("capacity")]
    }
}
