//! The vocabulary of Kubernetes as data and pure functions. No async, no I/O, no clock.
//!
//! - [`object`]: [`Object`], any resource: typed metadata, the rest as JSON. Unknown fields survive.
//! - [`meta`]: [`ObjectMeta`], [`OwnerReference`], [`Time`].
//! - [`resource`]: [`GroupVersionKind`], [`Resource`] (a kind with its plural and scope), [`Verb`].
//! - [`status`]: [`Status`], the one error of the API, word for word what users of kubectl know.
//! - [`user`]: [`UserInfo`], who makes a request.

pub mod meta;
pub mod object;
pub mod resource;
pub mod status;
pub mod user;

pub use meta::{ObjectMeta, OwnerReference, Time};
pub use object::{Object, ObjectKey, ObjectList};
pub use resource::{GroupVersionKind, Resource, Scope, Verb};
pub use status::{Status, StatusCause, StatusDetails};
pub use user::UserInfo;
