//! The one list of kinds. Routes, discovery, OpenAPI, tables and keys are made from it.

pub(crate) mod config_maps;
pub(crate) mod deployments;
pub(crate) mod endpoint_slices;
pub(crate) mod events;
pub(crate) mod events_v1;
pub(crate) mod kind;
pub(crate) mod leases;
pub(crate) mod namespaces;
pub(crate) mod nodes;
pub(crate) mod pods;
pub(crate) mod replica_sets;
pub(crate) mod secrets;
pub(crate) mod service_accounts;
pub(crate) mod services;
pub(crate) mod subresource;
pub(crate) mod workload;

pub(crate) use kind::{Kind, Strategy};
pub(crate) use subresource::Subresource;

/// Every kind, by group as discovery orders them.
pub(crate) static KINDS: &[&Kind] = &[
    &config_maps::KIND,
    &events::KIND,
    &namespaces::KIND,
    &nodes::KIND,
    &pods::KIND,
    &secrets::KIND,
    &service_accounts::KIND,
    &services::KIND,
    &deployments::KIND,
    &replica_sets::KIND,
    &events_v1::KIND,
    &leases::KIND,
    &endpoint_slices::KIND,
];

/// The kind that is served under that path.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

/// The groups with their version, in order; each group has one version here.
pub(crate) fn is_served(group: &str, version: &str) -> bool {
    KINDS.iter().any(|kind| kind.group == group && kind.version == version)
}

pub(crate) fn group_versions() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<(&str, &str)> = KINDS.iter().map(|kind| (kind.group, kind.version)).collect();
    groups.dedup();
    groups
}
