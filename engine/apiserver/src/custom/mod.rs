//! Custom resources: kinds that come and go while the server runs. Counterpart: `k8s.io/apiextensions-apiserver`.
//!
//! - `definition`, `structural`, `open_api`, `unknown`: whether a definition is right.
//! - `schema`, `prune`, `validate`, `format`, `rules`, `rule_prices`: what a schema says, and what is done to an object by it.
//! - `kind`: a version of a definition as a [`Kind`](crate::kinds::Kind) with its strategy; `columns`, `fields` are parts of it.
//! - `served`: which kinds there are at a moment; `status`, `controller`: what becomes of definitions.
//!
//! Invariants: a server that is asked for nothing but built-in kinds does not look at definitions. A definition that was
//! served once stays in memory for the life of the process, and equal ones are one, so that a kind is `'static` like any
//! other.

pub(crate) mod columns;
pub(crate) mod controller;
pub(crate) mod definition;
mod fields;
mod format;
pub(crate) mod kind;
mod open_api;
pub(crate) mod open_api_document;
mod prune;
mod rule_prices;
mod rules;
pub(crate) mod schema;
pub(crate) mod served;
pub(crate) mod status;
mod strategy;
mod structural;
pub(crate) mod unknown;
mod validate;

pub(crate) use kind::{Custom, ScalePaths};
pub(crate) use served::Served;
