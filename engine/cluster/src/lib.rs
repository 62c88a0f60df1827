//! The composition root: a [`ClusterSpec`] becomes a running [`Cluster`], just the components that it names.
//!
//! - [`spec`]: [`ClusterSpec`], what a lab's `cluster:` says.
//! - [`cluster`]: [`Cluster`], boot and access.
//! - [`target`]: [`Target`], components by the names that faults and steps use.
//! - [`process`]: one API server, controller manager, scheduler or kubelet, and how it is started.
//! - `kubelet_ports`: how an API server reaches a kubelet: logs, sessions, ports. `pod_network`: how it reaches a pod.
//! - `metrics_server`: the objects that `metricsServer: {}` stands for.
//! - [`balancer`]: how clients find an API server that listens.
//! - [`faults`]: [`Fault`] and [`Injected`]; one file per fault.
//! - [`slow_motion`]: Raft, one message at a time.
//! - [`serve`]: sockets for real clients, in wall pace.
//! - [`timeline`]: the trace, one line per message, for people.
//!
//! Invariant: components meet only through the API. What one needs of a higher layer is handed in here, as
//! a trait object.

pub mod balancer;
pub mod cluster;
pub mod faults;
mod kubelet_ports;
mod metrics_server;
mod pod_network;
pub mod process;
pub mod serve;
pub mod slow_motion;
pub mod spec;
pub mod target;
pub mod timeline;

pub use cluster::{BootError, Cluster, ComponentInfo};
pub use faults::{Fault, FaultError, Injected};
pub use serve::{ServeError, ServeOptions, Served};
pub use slow_motion::{RaftMember, RaftMessage, RaftStep, RaftView, SlowMotionError};
pub use spec::{ClusterSpec, SpecProblem};
pub use target::Target;
pub use timeline::TimelineEntry;

// For those above, who reach every component through the cluster.
pub use labkit_apiserver::{StaticTokens, resources};
pub use labkit_client as client;
pub use labkit_etcd as etcd;
