//! The store: MVCC under Raft with 1, 3 or 5 members, leases and watches, as etcd 3.5 has them. It does not
//! know Kubernetes.
//!
//! - [`api`], [`error`]: etcd's v3 requests, responses and errors as plain values.
//! - [`admin`], `auth`: members, alarms, users and roles.
//! - `backend`: the store as etcd's file would have it: snapshots and hashes.
//! - [`cluster`]: [`Etcd`], the members together: boot, faults, status.
//! - [`client`], [`watch`]: the way in for components of the same process.
//! - [`ctl`]: etcdctl's commands over that client.
//! - `ids`: ids of members and clusters.
//! - `mvcc`, `lease`: the replicated state, pure.
//! - `raft`, `election`: openraft on the world's disks and links, with etcd's election rules.
//! - [`wal`]: a member's log and snapshots as bytes, on the world's disks or in a directory.
//! - `member`, `server`: one member's run, and what it does with requests.
//! - `peer`: what members ask of each other when each is a process of its own.
//! - `payload`: the messages as they stand in the trace.
//! - [`grpc`]: the way in for clients outside, over sockets (feature `grpc`).
//! - [`process`]: one member as a process of its own (feature `grpc`).
//!
//! Invariants: only what Raft has committed changes a store; a write is acknowledged after a quorum has it on
//! disk. Members meet only over links. Nothing here opens a socket, but for `grpc` and
//! `process`; nor a file, but for `wal::directory`.

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
mod ids;
mod lease;
mod member;
mod mvcc;
mod payload;
mod peer;
#[cfg(feature = "grpc")]
pub mod process;
mod raft;
mod server;
pub mod wal;
pub mod watch;

pub use admin::*;
pub use api::*;
pub use client::Client;
pub use cluster::{AutoCompaction, Etcd, EtcdConfig, MemberStatus};
pub use error::{Code, EtcdError, UnknownMember};
pub use server::VERSION;
pub use watch::Watcher;
