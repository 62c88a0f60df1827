//! The controller manager: controllers that watch the API and write until the state is the wanted one.
//! Counterpart: `kube-controller-manager`.
//!
//! - [`config`]: [`ControllerManagerConfig`], its defaults and flags.
//! - [`process`]: [`run`], the process: leader election, then every controller that is switched on.
//! - `list`: the one list of controllers. Each is a module of its own, its decisions apart from its writes.
//! - `context`: what each controller is given; one informer per kind, shared by all.
//! - `work`: keys from a queue to reconciles; `expectations`, `objects`, `owners`, `pods`, `taints`,
//!   `discovery`: what several controllers stand on.
//!
//! Invariants: controllers meet only through the API and never call each other. Each reconcile reads the
//! present state and acts on it, so that missed events do not matter. Each runs with the watch event that
//! asked for it as its cause in the trace.

mod certificate_signing;
mod cluster_role_aggregation;
pub mod config;
mod context;
mod deployment;
mod discovery;
mod endpoint_slice;
mod expectations;
mod garbage_collector;
mod list;
mod namespace;
mod node_lifecycle;
mod objects;
mod owners;
mod pod_garbage_collector;
mod pods;
pub mod process;
mod replica_set;
mod service_account;
mod taint_eviction;
mod taints;
mod work;

pub use config::ControllerManagerConfig;
pub use list::controller_names;
pub use process::run;
