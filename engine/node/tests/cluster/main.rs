//! Nodes under a real API server on a real store, with the scheduler, in virtual time.

mod deletion;
mod determinism;
mod images;
mod kubelet;
mod lab;
mod node;
mod pods;
mod probes;
mod restarts;
mod sessions;
