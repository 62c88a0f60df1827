//! The one list of kinds. Routes, discovery, OpenAPI, tables and keys are made from it.

pub(crate) mod api_services;
pub(crate) mod bindings;
pub(crate) mod certificate_signing_requests;
pub(crate) mod cluster_role_bindings;
pub(crate) mod cluster_roles;
pub(crate) mod component_statuses;
pub(crate) mod config_maps;
pub(crate) mod controller_revisions;
pub(crate) mod cron_jobs;
pub(crate) mod cron_schedule;
pub(crate) mod csi_drivers;
pub(crate) mod csi_nodes;
pub(crate) mod csi_storage_capacities;
pub(crate) mod custom_resource_definitions;
pub(crate) mod daemon_sets;
pub(crate) mod deployments;
pub(crate) mod endpoint_slices;
pub(crate) mod endpoints;
pub(crate) mod events;
pub(crate) mod events_v1;
pub(crate) mod flow_schemas;
pub(crate) mod horizontal_pod_autoscalers;
pub(crate) mod horizontal_pod_autoscalers_v1;
pub(crate) mod ingress_classes;
pub(crate) mod ingresses;
pub(crate) mod jobs;
pub(crate) mod kind;
pub(crate) mod leases;
pub(crate) mod limit_ranges;
pub(crate) mod local_subject_access_reviews;
pub(crate) mod mutating_webhook_configurations;
pub(crate) mod namespaces;
pub(crate) mod network_policies;
pub(crate) mod nodes;
pub(crate) mod persistent_volume_claims;
pub(crate) mod persistent_volumes;
pub(crate) mod pod_disruption_budgets;
pub(crate) mod pod_templates;
pub(crate) mod pods;
pub(crate) mod priority_classes;
pub(crate) mod priority_level_configurations;
pub(crate) mod replica_sets;
pub(crate) mod replication_controllers;
pub(crate) mod resource_quotas;
pub(crate) mod role_bindings;
pub(crate) mod roles;
pub(crate) mod runtime_classes;
pub(crate) mod secrets;
pub(crate) mod self_subject_access_reviews;
pub(crate) mod self_subject_reviews;
pub(crate) mod self_subject_rules_reviews;
pub(crate) mod service_accounts;
pub(crate) mod services;
pub(crate) mod stateful_sets;
pub(crate) mod storage_classes;
pub(crate) mod subject_access_reviews;
pub(crate) mod subresource;
pub(crate) mod token_reviews;
pub(crate) mod validating_admission_policies;
pub(crate) mod validating_admission_policy_bindings;
pub(crate) mod validating_webhook_configurations;
pub(crate) mod volume_attachments;
pub(crate) mod webhooks;
pub(crate) mod workload;

use std::sync::LazyLock;

pub(crate) use kind::{Kind, Strategy};
pub(crate) use subresource::Subresource;

/// Every kind, by group as discovery orders them, the preferred version of a group first. Of kinds that share their
/// storage the first is the one in whose form they are stored.
pub(crate) static KINDS: &[&Kind] = &[
    &bindings::KIND,
    &component_statuses::KIND,
    &config_maps::KIND,
    &endpoints::KIND,
    &events::KIND,
    &limit_ranges::KIND,
    &namespaces::KIND,
    &nodes::KIND,
    &persistent_volume_claims::KIND,
    &persistent_volumes::KIND,
    &pod_templates::KIND,
    &pods::KIND,
    &replication_controllers::KIND,
    &resource_quotas::KIND,
    &secrets::KIND,
    &service_accounts::KIND,
    &services::KIND,
    &api_services::KIND,
    &controller_revisions::KIND,
    &daemon_sets::KIND,
    &deployments::KIND,
    &replica_sets::KIND,
    &stateful_sets::KIND,
    &events_v1::KIND,
    &self_subject_reviews::KIND,
    &token_reviews::KIND,
    &local_subject_access_reviews::KIND,
    &self_subject_access_reviews::KIND,
    &self_subject_rules_reviews::KIND,
    &subject_access_reviews::KIND,
    &horizontal_pod_autoscalers::KIND,
    &horizontal_pod_autoscalers_v1::KIND,
    &cron_jobs::KIND,
    &jobs::KIND,
    &certificate_signing_requests::KIND,
    &ingress_classes::KIND,
    &ingresses::KIND,
    &network_policies::KIND,
    &pod_disruption_budgets::KIND,
    &cluster_role_bindings::KIND,
    &cluster_roles::KIND,
    &role_bindings::KIND,
    &roles::KIND,
    &csi_drivers::KIND,
    &csi_nodes::KIND,
    &csi_storage_capacities::KIND,
    &storage_classes::KIND,
    &volume_attachments::KIND,
    &mutating_webhook_configurations::KIND,
    &validating_admission_policies::KIND,
    &validating_admission_policy_bindings::KIND,
    &validating_webhook_configurations::KIND,
    &custom_resource_definitions::KIND,
    &priority_classes::KIND,
    &leases::KIND,
    &runtime_classes::KIND,
    &endpoint_slices::KIND,
    &flow_schemas::KIND,
    &priority_level_configurations::KIND,
];

/// The kind that is served under that path.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

pub(crate) fn is_served(group: &str, version: &str) -> bool {
    KINDS.iter().any(|kind| kind.group == group && kind.version == version)
}

/// The groups with each of their versions, in order.
static GROUP_VERSIONS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let mut groups: Vec<(&str, &str)> = Vec::new();
    for kind in KINDS {
        if !groups.contains(&(kind.group, kind.version)) {
            groups.push((kind.group, kind.version));
        }
    }
    groups
});

pub(crate) fn group_versions() -> &'static [(&'static str, &'static str)] {
    &GROUP_VERSIONS
}
