//! The counterpart of client-go: how every component, and every test, talks to the API server.
//!
//! - [`service`]: [`Transport`], an HTTP service without a socket; [`Body`] and its [`Chunk`]s.
//! - [`client`]: [`Client`], verbs on dynamic [`labkit_api::Object`]s; [`Error`].
//! - [`typed`]: [`Api`], the same on k8s-openapi's types.
//! - [`watch`]: [`WatchStream`], the events of one watch request.
//! - [`session`]: [`Pipe`] and [`Session`], what is said on a connection that was upgraded.
//! - [`link`]: requests over a link of the world, to whichever API server listens.
//! - [`informer`]: [`Informer`], a local copy of a collection, kept by list and watch.
//! - [`leader_election`]: [`Elector`], a Lease as the lock by which one of several replicas acts.
//! - [`events`]: [`EventRecorder`], what `kubectl describe` shows at its end.
//! - [`queue`]: [`WorkQueue`], keys to reconcile, each once, with exponential back-off.
//!
//! Invariant: ordered maps and `biased` selects only, so that one seed gives one order of reconciles.

pub mod client;
pub mod events;
pub mod informer;
pub mod leader_election;
pub mod link;
pub mod queue;
pub mod service;
pub mod session;
pub mod typed;
pub mod watch;

pub use client::{Client, DeleteOptions, Error, ListParams, OMIT_MANAGED_FIELDS, PatchKind};
pub use events::{EventRecorder, EventType, reference};
pub use informer::{Change, Informer, Store};
pub use leader_election::{Elector, LeaderElection};
pub use link::{ApiServers, Caller, HttpRequest};
pub use queue::WorkQueue;
pub use service::{Body, Chunk, Note, ReadInServer, Request, Response, Transport};
pub use session::{Input, Output, Pipe, PortRequest, Served, Session};
pub use typed::{Api, Decode, Kind};
pub use watch::{WatchEvent, WatchEventKind, WatchStream};
