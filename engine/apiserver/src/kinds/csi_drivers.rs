//! CSIDrivers. Counterpart: `pkg/registry/storage/csidriver`.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSIDriver;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::kinds::webhooks::supported;
use crate::kinds::{Kind, Strategy, kind};
use crate::pod_spec::{list, text as text_of};
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text("AttachRequired", "Whether its volumes are attached before they are mounted."),
        text("PodInfoOnMount", "Whether it is told of the pod."),
        text("StorageCapacity", "Whether the scheduler looks at its capacity."),
        text("TokenRequests", "The audiences of the tokens that it is given."),
        text("RequiresRepublish", "Whether it is asked to publish volumes again and again."),
        text("Modes", "Which life cycles its volumes have."),
        AGE,
    ],
    ..Kind::of::<CSIDriver>(&CsiDrivers)
};

struct CsiDrivers;

impl Strategy for CsiDrivers {
    fn set_defaults(&self, object: &mut Object) {
        let defaults = json!({
            "attachRequired": true, "podInfoOnMount": false, "storageCapacity": false, "requiresRepublish": false,
            "seLinuxMount": false, "fsGroupPolicy": "ReadWriteOnceWithFSType", "volumeLifecycleModes": ["Persistent"],
        });
        kind::fill(object, &["spec"], defaults);
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let policies = ["ReadWriteOnceWithFSType", "File", "None"];
        let policy = supported("spec.fsGroupPolicy".to_owned(), text_of(spec, "fsGroupPolicy"), &policies);
        let modes = list(spec, "volumeLifecycleModes").iter().filter_map(Value::as_str);
        let modes = modes.filter_map(|mode| {
            supported("spec.volumeLifecycleModes".to_owned(), mode, &["Ephemeral", "Persistent"])
        });
        policy.into_iter().chain(modes).collect()
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let flag = |name: &str| json!((spec.get(name) == Some(&json!(true))).to_string());
        let joined = |texts: Vec<&str>, none: &str| match texts.is_empty() {
            true => json!(none),
            false => json!(texts.join(",")),
        };
        let audiences =
            list(spec, "tokenRequests").iter().map(|request| text_of(request, "audience")).collect();
        let modes = list(spec, "volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
        vec![
            flag("attachRequired"),
            flag("podInfoOnMount"),
            flag("storageCapacity"),
            joined(audiences, "<unset>"),
            flag("requiresRepublish"),
            joined(modes, "<none>"),
            table::age(object, now),
        ]
    }
}
