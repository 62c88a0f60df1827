//! ComponentStatuses: the health of the control plane, asked when somebody asks. Counterpart:
//! `pkg/registry/core/componentstatus`.

use futures::FutureExt;
use futures::future::{BoxFuture, join};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ComponentStatus;
use labkit_api::{Object, Status};
use serde_json::{Value, json};

use crate::health;
use crate::kinds::{Kind, Strategy};
use crate::table::text;
use crate::verbs::Call;

pub(crate) static KIND: Kind = Kind {
    short_names: &["cs"],
    columns: &[
        text("Status", "Status of the component conditions"),
        text("Message", "Message of the component conditions"),
        text("Error", "Error of the component conditions"),
    ],
    computed: Some(statuses),
    ..Kind::of::<ComponentStatus>(&ComponentStatuses)
};

/// What everyone is told who asks.
pub(crate) const WARNING: &str = "v1 ComponentStatus is deprecated in v1.19+";

struct ComponentStatuses;

impl Strategy for ComponentStatuses {
    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let condition = object.at(&["conditions"]).and_then(|conditions| conditions.get(0));
        let text = |name: &str| condition.and_then(|own| own[name].as_str()).unwrap_or_default();
        let status = if text("status") == "True" { "Healthy" } else { "Unhealthy" };
        vec![json!(status), json!(text("message")), json!(text("error"))]
    }
}

fn statuses(call: &Call) -> BoxFuture<'_, Result<Vec<Object>, Status>> {
    async move {
        let backends = &call.registry.aggregation.backends;
        let (scheduler, controllers) =
            join(backends.healthz("scheduler"), backends.healthz("controller-manager")).await;
        let etcd = match health::etcd_answers(&call.registry).await {
            true => Ok(()),
            false => Err("context deadline exceeded".to_owned()),
        };
        let all = [("scheduler", scheduler), ("controller-manager", controllers), ("etcd-0", etcd)];
        Ok(all.map(|(name, health)| status(name, health)).into())
    }
    .boxed()
}

fn status(name: &str, health: Result<(), String>) -> Object {
    let (is_healthy, message) = match health {
        Ok(()) => ("True", "ok".to_owned()),
        Err(why) => ("False", why),
    };
    let mut object = Object::new(&KIND.gvk(), "", name);
    let conditions = json!([{"type": "Healthy", "status": is_healthy, "message": message}]);
    object.rest.insert("conditions".to_owned(), conditions);
    object
}
