//! The vocabulary of Kubernetes as data and pure functions. No async, no I/O, no clock.
//!
//! - [`object`]: [`Object`], any resource: typed metadata, the rest as JSON. Unknown fields survive.
//! - [`meta`]: [`ObjectMeta`], [`OwnerReference`], [`Time`].
//! - [`resource`]: [`GroupVersionKind`], [`Resource`] (a kind with its plural and scope), [`Verb`].
//! - [`status`]: [`Status`], the one error of the API, word for word what users of kubectl know.
//! - [`user`]: [`UserInfo`], who makes a request.
//! - [`selector`]: [`LabelSelector`] and [`FieldSelector`], from text and from objects.
//! - [`managed_fields`]: who manages which fields, and server-side apply.
//! - [`patch`]: merge patch, strategic merge patch, and the patch that kubectl's client-side apply sends.
//! - [`protobuf`]: request bodies in Kubernetes' protobuf encoding, to JSON.
//! - [`quantity`]: [`Quantity`], exact amounts of CPU, memory and the like.
//! - [`int_or_string`]: fields that are a number or a percentage.
//! - [`duration`]: durations as kubectl shows them and as Go writes them.
//! - [`names`]: generated names, pod template hashes.
//! - [`validation`]: syntax of names, labels and ports, with upstream's messages.

pub mod canonical;
pub mod duration;
pub mod int_or_string;
pub mod managed_fields;
pub mod meta;
pub mod names;
pub mod object;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod resource;
pub mod selector;
pub mod status;
pub mod user;
pub mod validation;

pub use managed_fields::ManagedFields;
pub use meta::{ObjectMeta, OwnerReference, Time};
pub use object::{Object, ObjectKey, ObjectList};
pub use quantity::Quantity;
pub use resource::{GroupVersionKind, Resource, Scope, Verb};
pub use selector::{FieldRequirement, FieldSelector, LabelSelector};
pub use status::{Status, StatusCause, StatusDetails};
pub use user::UserInfo;
