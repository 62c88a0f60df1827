//! The controllers against a real API server on a real store, in virtual time.

mod deployments;
mod endpoints;
mod garbage;
mod lab;
mod namespaces;
mod nodes;
mod process;
mod replica_sets;
mod soak;
