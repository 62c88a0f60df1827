//! The APIServices of what is served here: those of built-in groups are made once, those of definitions come and go with
//! them. Counterparts: `kube-aggregator/pkg/controllers/autoregister`, `crdRegistrationController`.

use std::collections::BTreeSet;
use std::sync::Arc;

use labkit_api::Status;
use serde_json::json;

use crate::bootstrap::make;
use crate::kinds::api_services::KIND;
use crate::kinds::{custom_resource_definitions, group_versions};
use crate::query::DeleteOptions;
use crate::registry::Registry;

const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// The priorities of built-in groups and versions; those of definitions have the last. Counterpart:
/// `apiVersionPriorities`.
fn priorities(group: &str, version: &str) -> (i64, i64) {
    let of_group = match group {
        "" => return (18_000, 1),
        "apps" => 17_800,
        "events.k8s.io" => 17_750,
        "authentication.k8s.io" => 17_700,
        "authorization.k8s.io" => 17_600,
        "autoscaling" => 17_500,
        "batch" => 17_400,
        "certificates.k8s.io" => 17_300,
        "networking.k8s.io" => 17_200,
        "policy" => 17_100,
        "rbac.authorization.k8s.io" => 17_000,
        "storage.k8s.io" => 16_800,
        "apiextensions.k8s.io" | "admissionregistration.k8s.io" => 16_700,
        "scheduling.k8s.io" => 16_600,
        "coordination.k8s.io" => 16_500,
        "node.k8s.io" => 16_300,
        "discovery.k8s.io" => 16_200,
        "flowcontrol.apiserver.k8s.io" => 16_100,
        _ => return (1000, 100),
    };
    let of_version = match (group, version) {
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io", _) => 21,
        _ => 15,
    };
    (of_group, of_version)
}

/// Stores the APIServices of what is served here, if that was not done yet.
pub(crate) async fn register(registry: &Arc<Registry>) -> Result<(), Status> {
    let made = registry.aggregation.registered.get_or_try_init(|| async {
        registry.followed(&KIND).await;
        for (group, version) in group_versions().iter().filter(|(group, _)| *group != KIND.group) {
            make_local(registry, group, version, "onstart").await?;
        }
        follow_customs(registry).await
    });
    made.await.map(drop)
}

async fn make_local(registry: &Registry, group: &str, version: &str, managed: &str) -> Result<(), Status> {
    let (group_priority, version_priority) = priorities(group, version);
    let mut spec = json!({
        "version": version, "groupPriorityMinimum": group_priority, "versionPriority": version_priority,
    });
    if !group.is_empty() {
        spec["group"] = json!(group);
    }
    let metadata = json!({"name": format!("{version}.{group}"), "labels": {MANAGED: managed}});
    make(registry, &KIND, json!({"metadata": metadata, "spec": spec})).await
}

/// The same for definitions, as often as they change; what fails is done when they change again.
pub(crate) async fn follow_definitions(registry: &Arc<Registry>) {
    if registry.aggregation.registered.initialized()
        && let Err(status) = follow_customs(registry).await
    {
        debug_assert!(!status.message.is_empty(), "a refusal says why");
    }
}

async fn follow_customs(registry: &Arc<Registry>) -> Result<(), Status> {
    registry.followed(&custom_resource_definitions::KIND).await;
    let served = registry.refresh_customs();
    let wanted: BTreeSet<(&str, &str)> = served
        .group_versions()
        .iter()
        .copied()
        .filter(|(group, version)| served.has_custom(group, version))
        .collect();
    for (group, version) in &wanted {
        make_local(registry, group, version, "true").await?;
    }
    for entry in registry.cache(&KIND).snapshot("").0 {
        let service = entry.object();
        let text = |name: &str| service.str_at(&["spec", name]).unwrap_or_default();
        let is_managed = service.metadata.labels.get(MANAGED).is_some_and(|managed| managed == "true");
        if is_managed && !wanted.contains(&(text("group"), text("version"))) {
            let name = &service.metadata.name;
            registry.delete(&KIND, "", name, &DeleteOptions::default()).await?;
        }
    }
    Ok(())
}
