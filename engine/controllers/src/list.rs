//! The one list of controllers: their names (those of `--controllers`) and how each is run.

use futures::future::BoxFuture;

use crate::context::Context;

/// One controller.
pub(crate) struct Controller {
    pub name: &'static str,
    /// Runs it; returns only when it is dropped.
    pub run: fn(Context) -> BoxFuture<'static, ()>,
}

macro_rules! controllers {
    ($($name:literal => $run:path,)*) => {
        &[$(Controller { name: $name, run: |context| Box::pin($run(context)) },)*]
    };
}

pub(crate) const CONTROLLERS: &[Controller] = controllers! {
    "deployment-controller" => crate::deployment::run,
    "replicaset-controller" => crate::replica_set::run,
    "namespace-controller" => crate::namespace::run,
    "serviceaccount-controller" => crate::service_account::run,
    "endpointslice-controller" => crate::endpoint_slice::run,
    "node-lifecycle-controller" => crate::node_lifecycle::run,
    "taint-eviction-controller" => crate::taint_eviction::run,
    "pod-garbage-collector-controller" => crate::pod_garbage_collector::run,
    "certificatesigningrequest-signing-controller" => crate::certificate_signing::run,
    "garbage-collector-controller" => crate::garbage_collector::run,
};

/// The names of all controllers.
pub fn controller_names() -> Vec<&'static str> {
    CONTROLLERS.iter().map(|controller| controller.name).collect()
}
