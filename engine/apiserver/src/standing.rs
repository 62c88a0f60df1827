//! The status of quotas and disruption budgets: what is used, and how many pods may go. Counterparts:
//! `pkg/controller/resourcequota`, `pkg/controller/disruption`, which are controllers; here every server does it, for as
//! long as there are any.

use std::sync::Arc;
use std::time::Duration;

use labkit_api::{Object, Time};
use serde_json::json;

use crate::admission::resource_quota;
use crate::custom::status::{self, Condition};
use crate::kinds::Kind;
use crate::kinds::{
    config_maps, deployments, pod_disruption_budgets, pods, replica_sets, resource_quotas, secrets, services,
};
use crate::registry::Registry;
use crate::verbs::evict;

/// What changes within so long is looked at together.
const GATHERED: Duration = Duration::from_millis(100);

/// Keeps them for as long as it is polled.
pub(crate) async fn run(registry: Arc<Registry>) {
    let kept = [&resource_quotas::KIND, &pod_disruption_budgets::KIND].map(|kind| registry.cache(kind));
    let counted = [
        &pods::KIND,
        &services::KIND,
        &config_maps::KIND,
        &secrets::KIND,
        &deployments::KIND,
        &replica_sets::KIND,
    ];
    let counted = counted.map(|kind| registry.cache(kind));
    loop {
        let moved: Vec<_> = kept.iter().map(|cache| Box::pin(cache.moved())).collect();
        let also: Vec<_> = counted.iter().map(|cache| Box::pin(cache.moved())).collect();
        let any = futures::future::select_all(match keep(&registry).await {
            false => moved,
            true => moved.into_iter().chain(also).collect(),
        });
        any.await;
        tokio::time::sleep(GATHERED).await;
    }
}

/// Whether there are any. A write that fails is done at the next look.
async fn keep(registry: &Registry) -> bool {
    let quotas = registry.cache(&resource_quotas::KIND).snapshot("").0;
    let budgets = registry.cache(&pod_disruption_budgets::KIND).snapshot("").0;
    for quota in &quotas {
        keep_quota(registry, &quota.object()).await;
    }
    for budget in &budgets {
        keep_budget(registry, &budget.object()).await;
    }
    !quotas.is_empty() || !budgets.is_empty()
}

async fn keep_quota(registry: &Registry, quota: &Object) {
    let Ok(used) = resource_quota::used(registry, quota).await else { return };
    let wanted = |live: &Object| {
        let mut live = live.clone();
        let hard = live.at(&["spec", "hard"]).cloned().unwrap_or_else(|| json!({}));
        live.rest.insert("status".to_owned(), json!({"hard": hard, "used": used}));
        live
    };
    note(registry, &resource_quotas::KIND, quota, wanted).await;
}

async fn keep_budget(registry: &Registry, budget: &Object) {
    let Ok(count) = evict::count(registry, budget).await else { return };
    let now = Time(registry.world.clock().now());
    let wanted = |live: &Object| {
        let mut live = live.clone();
        let is_true = count.allowed() > 0;
        let reason = if is_true { "SufficientPods" } else { "InsufficientPods" };
        status::set(&mut live, Condition { name: "DisruptionAllowed", is_true, reason, message: "" }, now);
        let numbers = [
            ("currentHealthy", count.healthy),
            ("desiredHealthy", count.desired),
            ("disruptionsAllowed", count.allowed()),
            ("expectedPods", count.expected),
            ("observedGeneration", live.metadata.generation),
        ];
        for (name, number) in numbers {
            live.set_at(&["status", name], json!(number));
        }
        live
    };
    note(registry, &pod_disruption_budgets::KIND, budget, wanted).await;
}

/// Writes an object's status, if it is another than that which is known.
async fn note(
    registry: &Registry,
    kind: &'static Kind,
    object: &Object,
    wanted: impl Fn(&Object) -> Object + Send + Sync,
) {
    if wanted(object).rest != object.rest {
        let (namespace, name) = (&object.metadata.namespace, &object.metadata.name);
        let _another_server_may_have_noted_it =
            status::write_in(registry, kind, namespace, name, wanted).await;
    }
}
