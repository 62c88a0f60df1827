//! The one list of controllers: their names (those of `--controllers`) and how each is run.

use futures::future::BoxFuture;

use crate::context::Context;

/// One controller.
pub(crate) struct Controller {
    pub name: &'static str,
    /// The service account of kube-system that it acts as under `--use-service-account-credentials`.
    pub account: &'static str,
    /// Runs it; returns only when it is dropped.
    pub run: fn(Context) -> BoxFuture<'static, ()>,
}

macro_rules! controllers {
    ($($name:literal as $account:literal => $run:path,)*) => {
        &[$(Controller { name: $name, account: $account, run: |context| Box::pin($run(context)) },)*]
    };
}

pub(crate) const CONTROLLERS: &[Controller] = controllers! {
    "deployment-controller" as "deployment-controller" => crate::deployment::run,
    "replicaset-controller" as "replicaset-controller" => crate::replica_set::run,
    "namespace-controller" as "namespace-controller" => crate::namespace::run,
    "serviceaccount-controller" as "service-account-controller" => crate::service_account::run,
    "endpointslice-controller" as "endpointslice-controller" => crate::endpoint_slice::run,
    "node-lifecycle-controller" as "node-controller" => crate::node_lifecycle::run,
    "taint-eviction-controller" as "node-controller" => crate::taint_eviction::run,
    "pod-garbage-collector-controller" as "pod-garbage-collector" => crate::pod_garbage_collector::run,
    "certificatesigningrequest-signing-controller" as "certificate-controller" => crate::certificate_signing::run,
    "clusterrole-aggregation-controller" as "clusterrole-aggregation-controller" => crate::cluster_role_aggregation::run,
    "garbage-collector-controller" as "generic-garbage-collector" => crate::garbage_collector::run,
};

/// The names of all controllers.
pub fn controller_names() -> Vec<&'static str> {
    CONTROLLERS.iter().map(|controller| controller.name).collect()
}
