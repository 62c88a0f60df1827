//! The API server.
//!
//! - [`server`]: [`Server`], the way of a request from its first line to its answer.
//! - `request_info`, `query`, `negotiate`, `decode`, `duplicates`, `go_json`: a request, parsed once.
//! - `guard`, `authn`, `authz`, `flags`: who asks, whether they may, and the flags that say so.
//! - `kinds`: the one list of kinds; a kind is one file with its names, columns and [`Strategy`](kinds::Strategy).
//! - `custom`: kinds that CustomResourceDefinitions make. `aggregation`, `backends`: groups that other servers answer for.
//! - `pod_spec`, `metadata`, `field`: defaults and validation that kinds share.
//! - `admission`: the plugins, in upstream's order.
//! - `verbs`: what each verb does with a request; `watch` streams from the cache.
//! - `registry`: how objects of any kind come into being, change and go.
//! - `endpoint_lease`: the endpoints of `default/kubernetes`, where several servers share a store.
//! - `storage`: keys and values in etcd, and the watch cache of each kind.
//! - `standing`: the status of quotas and disruption budgets.
//! - `compaction`: what is older than five minutes is forgotten.
//! - `streams`: what a connection speaks once it is upgraded: exec, attach, port-forward.
//! - `table`, `respond`, `finish`, `discovery`, `openapi`, `openapi_v2`, `health`, `paths`: answers.
//! - `edge`: sockets, TLS and HTTP around the server (feature `edge`).
//!
//! Invariants: only this crate talks to etcd. An object's resourceVersion is the revision of its key and is never
//! stored. Every write is a compare-and-swap. Absent: webhooks.

mod admission;
mod aggregation;
mod allocate;
mod authn;
mod authz;
mod backends;
mod bootstrap;
mod compaction;
mod custom;
mod decode;
mod discovery;
mod duplicates;
#[cfg(feature = "edge")]
pub mod edge;
mod endpoint_lease;
mod field;
mod finish;
mod flags;
mod go_json;
mod guard;
mod health;
mod kinds;
mod kubelets;
mod metadata;
mod negotiate;
mod openapi;
mod openapi_v2;
mod paths;
mod pod_spec;
mod pod_status;
mod query;
mod registry;
mod request_info;
mod respond;
pub mod server;
mod standing;
mod storage;
mod streams;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod verbs;

#[cfg(test)]
mod tests;

pub use authn::StaticTokens;
pub use backends::Backends;
pub use flags::{Access, AuthorizationMode, Flags};
pub use kubelets::{KubeletError, Kubelets, LogRequest, SessionRequest};
pub use server::{Server, ServerConfig, StartError, resources};
pub use storage::EtcdClient;
