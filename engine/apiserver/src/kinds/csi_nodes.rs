//! CSINodes. Counterpart: `pkg/registry/storage/csinode`.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSINode;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::pod_spec::{list, text as text_of};
use crate::table::{self, AGE, number};

pub(crate) static KIND: Kind = Kind {
    columns: &[number("Drivers", "Drivers indicates the number of CSI drivers registered on the node"), AGE],
    ..Kind::of::<CSINode>(&CsiNodes)
};

struct CsiNodes;

impl Strategy for CsiNodes {
    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let mut errors = Vec::new();
        for (index, driver) in list(spec, "drivers").iter().enumerate() {
            for field in ["name", "nodeID"] {
                if text_of(driver, field).is_empty() {
                    errors.push(field::required(format!("spec.drivers[{index}].{field}"), ""));
                }
            }
        }
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let drivers = list(object.rest.get("spec").unwrap_or(&Value::Null), "drivers");
        vec![json!(drivers.len()), table::age(object, now)]
    }
}
