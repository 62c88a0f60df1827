//! serviceaccount-controller: every namespace has a ServiceAccount `default`.
//! Counterpart: `pkg/controller/serviceaccount`.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use labkit_api::ObjectKey;
use labkit_client::{Store, WorkQueue};

use crate::context::Context;
use crate::work::{Failed, each, is_namespace_terminating, work};

const DEFAULT: &str = "default";

pub(crate) async fn run(context: Context) {
    let (namespaces, accounts) =
        (context.informers.namespaces().clone(), context.informers.service_accounts().clone());
    let (queue, stores) = (WorkQueue::default(), (namespaces.store(), accounts.store()));
    let namespace_changes = each(namespaces.subscribe(), |change| queue.add(change.key.name, change.cause));
    let account_changes = each(accounts.subscribe(), |change| {
        if change.new.is_none() && change.key.name == DEFAULT {
            queue.add(change.key.namespace, change.cause);
        }
    });
    let reconciles = async {
        namespaces.synced().await;
        accounts.synced().await;
        work(&queue, 1, |namespace| reconcile(&context, &stores, namespace)).await
    };
    futures::join!(namespace_changes, account_changes, reconciles);
}

async fn reconcile(
    context: &Context,
    (namespaces, accounts): &(Store<Namespace>, Store<ServiceAccount>),
    namespace: String,
) -> Result<(), Failed> {
    let phase = |namespace: &Namespace| namespace.status.as_ref().and_then(|status| status.phase.clone());
    let present = namespaces.get(&ObjectKey::new("", &namespace));
    let active = present.is_some_and(|present| phase(&present).as_deref() == Some("Active"));
    if !active || accounts.get(&ObjectKey::new(&namespace, DEFAULT)).is_some() {
        return Ok(());
    }
    let metadata =
        ObjectMeta { name: Some(DEFAULT.to_owned()), namespace: Some(namespace), ..Default::default() };
    match context.client.api().create(&ServiceAccount { metadata, ..Default::default() }).await {
        Err(error) if !error.is_already_exists() && !is_namespace_terminating(&error) => Err(error.into()),
        _ => Ok(()),
    }
}
