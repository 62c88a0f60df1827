//! The store: MVCC under Raft with 1, 3 or 5 members, leases and watches, as etcd 3.5 has them.

pub mod api;
pub mod client;
pub mod cluster;
pub mod error;
pub mod watch;

pub use api::*;
pub use client::Client;
pub use cluster::{Etcd, EtcdConfig, MemberStatus};
pub use error::{Code, EtcdError, UnknownMember};
pub use watch::Watcher;
