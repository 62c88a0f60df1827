//! The counterpart of kube-scheduler: gives each pod without a node the best node, and binds it there.
//!
//! - [`config`]: [`SchedulerConfig`], from upstream's flags.
//! - `scheduler`: the loop: what changed -> cache and queue; next pod -> decision -> binding or failure.
//! - `queue`: the pods that wait: active, backing off, unschedulable.
//! - `cache`: nodes with what is placed on them, including pods whose binding is still on its way.
//! - `framework`: what a plugin is; [`plugins`]: the one list of them, a file each.
//! - `algorithm`: one decision, pure: filter, score, normalize, weigh, choose.
//! - `diagnosis`: the texts of events and conditions when no node fits.
//! - [`decisions`]: what was decided and why, per pod, plugin and node.
//!
//! Absent: volume plugins, PodTopologySpread, InterPodAffinity, preemption, profiles, extenders, and the
//! sampling of nodes in clusters of 100 and more (each node is looked at). A pod that asks for one of them
//! is placed as if it had not.

mod algorithm;
mod cache;
pub mod config;
pub mod decisions;
mod diagnosis;
mod framework;
pub mod plugins;
mod queue;
mod requests;
mod scheduler;
#[cfg(test)]
mod testing;

pub use config::SchedulerConfig;
pub use decisions::{Decision, Decisions, NodeResult, PluginScore};
pub use scheduler::run;
