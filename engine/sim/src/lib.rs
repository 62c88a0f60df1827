//! The substrate on which every component runs: time, randomness, tasks, links, disks and the record of
//! what was said. It knows nothing of Kubernetes.
//!
//! - [`world`]: [`World`], the handle to all of it, and [`run`], which makes a runtime and a world.
//! - [`clock`]: the only clock, over Tokio's; [`Pace`], fast-forward, date shifts.
//! - [`seed`]: the only source of randomness, with named sub-streams.
//! - [`tasks`]: [`Component`], the scope that a spawned task inherits; kill, pause, resume.
//! - [`network`]: links between components by name, and the rules that cut or slow them.
//! - [`disk`]: files that survive a kill; a power loss drops what was not synced.
//! - [`trace`]: the ordered record of every message, from which diagrams and checks are made.
//!
//! Invariants: one world lives on one thread, on a current-thread runtime. No wall clock and no thread is
//! used in virtual pace. Faults act here, on links, components, disks and clocks, never by a flag in a
//! component's code.

pub mod clock;
pub mod disk;
pub mod network;
pub mod seed;
pub mod tasks;
pub mod trace;
pub mod world;

pub use clock::{Clock, Pace};
pub use disk::{Disk, DiskError};
pub use jiff::SignedDuration;
pub use network::{Held, LinkError, Network, Rule, RuleId};
pub use seed::{Rng, Seed};
pub use tasks::{Component, ComponentState, caused_by, current_cause, current_component, spawn};
pub use trace::{Payload, Record, RecordId, Trace};
pub use world::{World, run};
