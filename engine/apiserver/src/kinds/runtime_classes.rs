//! RuntimeClasses. Counterpart: `pkg/registry/node/runtimeclass`.

use jiff::Timestamp;
use k8s_openapi::api::node::v1::RuntimeClass;
use labkit_api::validation::is_dns1123_label;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[text("Handler", "What the nodes' runtimes call it."), AGE],
    ..Kind::of::<RuntimeClass>(&RuntimeClasses)
};

struct RuntimeClasses;

impl Strategy for RuntimeClasses {
    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        match object.str_at(&["handler"]).unwrap_or_default() {
            "" => vec![field::required("handler", "")],
            handler => field::invalid_all("handler", handler, is_dns1123_label(handler)),
        }
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let null = Value::Null;
        let handler = |object: &Object| object.rest.get("handler").unwrap_or(&null).clone();
        field::immutable("handler", &handler(object), &handler(old)).into_iter().collect()
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![json!(object.str_at(&["handler"]).unwrap_or_default()), table::age(object, now)]
    }
}
