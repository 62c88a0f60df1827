//! clusterrole-aggregation-controller: the rules of a ClusterRole with an aggregation rule are those of the ClusterRoles
//! that it selects. Counterpart: `pkg/controller/clusterroleaggregation`.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::pending;
use k8s_openapi::api::rbac::v1::{AggregationRule, ClusterRole, PolicyRule};
use labkit_api::ObjectKey;
use labkit_api::selector::LabelSelector;
use labkit_client::{Store, WorkQueue};

use crate::context::Context;
use crate::work::{Failed, each, work};

pub(crate) async fn run(context: Context) {
    if !context.config.has_rbac {
        return pending().await;
    }
    let roles = context.informers.cluster_roles().clone();
    let (queue, store) = (WorkQueue::default(), roles.store());
    // A change of any role may be one of what another collects.
    let changes = each(roles.subscribe(), |change| {
        for role in store.list().iter().filter(|role| role.aggregation_rule.is_some()) {
            queue.add(role.metadata.name.clone().unwrap_or_default(), change.cause);
        }
    });
    let reconciles = async {
        roles.synced().await;
        work(&queue, 5, |name| reconcile(&context, &store, name)).await
    };
    futures::join!(changes, reconciles);
}

async fn reconcile(context: &Context, store: &Store<ClusterRole>, name: String) -> Result<(), Failed> {
    let Some(role) = store.get(&ObjectKey::new("", &name)) else { return Ok(()) };
    let Some(rule) = &role.aggregation_rule else { return Ok(()) };
    let rules = collected(&name, rule, &store.list());
    if role.rules.as_deref().unwrap_or_default() == rules {
        return Ok(());
    }
    let updated = ClusterRole { rules: Some(rules), ..(*role).clone() };
    context.client.api().replace(&updated).await?;
    Ok(())
}

/// The rules of the others that are selected, in the order of the selectors and, for each, of names; each rule once.
fn collected(name: &str, rule: &AggregationRule, all: &[Arc<ClusterRole>]) -> Vec<PolicyRule> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in rule.cluster_role_selectors.iter().flatten() {
        let Ok(value) = serde_json::to_value(selector) else { continue };
        let Ok(selector) = LabelSelector::from_value(&value) else { continue };
        let none = BTreeMap::new();
        let is_selected = |other: &&Arc<ClusterRole>| {
            let labels = other.metadata.labels.as_ref().unwrap_or(&none);
            other.metadata.name.as_deref() != Some(name) && selector.matches(labels)
        };
        for found in all.iter().filter(is_selected).flat_map(|other| other.rules.iter().flatten()) {
            if !rules.contains(found) {
                rules.push(found.clone());
            }
        }
    }
    rules
}
