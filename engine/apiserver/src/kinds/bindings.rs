//! Bindings, as older clients post them: to the collection instead of to the pod. Counterpart: `LegacyBindingREST`
//! in `pkg/registry/core/pod/storage`.

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Binding;
use labkit_api::{Object, Status};
use serde_json::json;

use crate::kinds::{Kind, Strategy};
use crate::verbs::{Call, bind_pod};

pub(crate) static KIND: Kind = Kind { review: Some(answer), ..Kind::of::<Binding>(&Bindings) };

struct Bindings;

impl Strategy for Bindings {}

fn answer(call: &Call, binding: Object) -> BoxFuture<'_, Result<Object, Status>> {
    async move {
        bind_pod(call, &binding.metadata.name, &binding).await?;
        let done =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Ok(Object::from_value(done).expect("written just above"))
    }
    .boxed()
}
