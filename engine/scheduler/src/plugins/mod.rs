//! The plugins, in the order in which they run. Counterpart: `framework/plugins` and its default profile.

mod image_locality;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
mod scheduling_gates;
mod taint_toleration;

use crate::framework::{FilterPlugin, ScorePlugin};

pub(crate) use scheduling_gates::is_gated;

/// Each rules nodes out; the first that does so names the reason.
pub(crate) const FILTERS: &[&dyn FilterPlugin] = &[
    &node_unschedulable::NodeUnschedulable,
    &node_name::NodeName,
    &taint_toleration::TaintToleration,
    &node_affinity::NodeAffinity,
    &node_ports::NodePorts,
    &node_resources_fit::NodeResourcesFit,
];

/// Each scores the nodes that are left.
pub(crate) const SCORES: &[&dyn ScorePlugin] = &[
    &taint_toleration::TaintToleration,
    &node_affinity::NodeAffinity,
    &node_resources_fit::NodeResourcesFit,
    &node_resources_balanced_allocation::NodeResourcesBalancedAllocation,
    &image_locality::ImageLocality,
];

/// The names of all plugins, for the docs and for flags.
pub fn names() -> Vec<&'static str> {
    let scored_only = SCORES.iter().map(|plugin| plugin.name());
    let mut names = vec![scheduling_gates::NAME];
    names.extend(FILTERS.iter().map(|plugin| plugin.name()));
    for name in scored_only {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
