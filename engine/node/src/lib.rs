//! A worker node: a machine that runs containers, and the kubelet on it. No container runs for real: what an
//! image's containers do is declared as data.
//!
//! - [`config`]: [`NodeConfig`], size, addresses, periods.
//! - [`catalogue`]: [`Catalogue`], what each image's containers do.
//! - [`image_name`]: `nginx` is `docker.io/library/nginx:latest`.
//! - `program`, `shell`: from an image, a command and arguments to the steps that a container takes.
//! - [`usage`]: what containers use. [`metrics_server`]: the program that asks every kubelet for it.
//! - `userland`: the shell, the commands and the files that a person finds in a container.
//! - [`machine`]: [`Machine`], the containers, images and addresses; they survive a stop of the kubelet.
//! - `kubelet`: [`run_kubelet`]: registers the node, keeps its lease, makes the pods of the API so on the
//!   machine and reports back.
//!
//! Invariants: the kubelet keeps nothing that a restart may not lose; the machine knows nothing of the API.
//! Nothing polls: a worker sleeps until something happens or until the moment that it computed.
//!
//! Absent: volumes, ConfigMaps and Secrets in containers, gRPC probes, hooks, sidecars,
//! readiness gates, active deadlines, admission by the node, static pods, eviction under pressure, image garbage
//! collection, kube-proxy and DNS. A pod that asks for a volume starts as if it were mounted.

pub mod catalogue;
pub mod config;
pub mod image_name;
mod kubelet;
pub mod machine;
pub mod metrics_server;
mod program;
mod shell;
pub mod usage;
mod userland;

pub use catalogue::{Catalogue, Image};
pub use config::NodeConfig;
pub use kubelet::run_kubelet;
pub use machine::{LogError, LogOptions, Machine, SessionError, SessionOptions};
pub use metrics_server::Outside;
pub use usage::ResourceMetrics;
