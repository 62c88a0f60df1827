//! The store: MVCC under Raft with 1, 3 or 5 members, leases and watches, as etcd 3.5 has them. It does not
//! know Kubernetes.
//!
//! - [`api`], [`error`]: etcd's v3 requests, responses and errors as plain values.
//! - [`admin`], `auth`: members, alarms, users and roles.
//! - `backend`: the store as etcd's file would have it: snapshots and hashes.
//! - [`cluster`]: [`Etcd`], the members together: boot, faults, status.
//! - [`client`], [`watch`]: the way in for components of the same process.
//! - [`ctl`]: etcdctl's commands over that client.
//! - `mvcc`, `lease`: the replicated state, pure.
//! - `raft`, `election`: openraft on the world's disks and links, with etcd's election rules.
//! - `member`, `server`: one member's run, and what it does with requests.
//! - `payload`: the messages as they stand in the trace.
//! - [`grpc`]: the way in for clients outside, over sockets (feature `grpc`).
//!
//! Invariants: only what Raft has committed changes a store; a write is acknowledged after a quorum has it on
//! disk. Members meet only over links. Nothing here opens a socket or reads a wall clock, but for `grpc`.

pub mod admin;
pub mod api;
mod auth;
mod backend;
pub mod client;
pub mod cluster;
pub mod ctl;
mod election;
pub mod error;
#[cfg(feature = "grpc")]
pub mod grpc;
mod lease;
mod member;
mod mvcc;
mod payload;
mod raft;
mod server;
pub mod watch;

pub use admin::*;
pub use api::*;
pub use client::Client;
pub use cluster::{Etcd, EtcdConfig, MemberStatus};
pub use error::{Code, EtcdError, UnknownMember};
pub use server::VERSION;
pub use watch::Watcher;
