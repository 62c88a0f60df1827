//! Authorities, certificates, keys and kubeconfigs, as kubeadm lays them out.
//!
//! - [`authority`]: [`Authority`], [`Leaf`], [`LeafSpec`].
//! - [`key`]: [`Key`], P-256 keys from the world's seed with deterministic signatures (RFC 6979), so that the
//!   same seed gives the same certificates, byte for byte.
//! - [`request`]: [`SigningRequest`], for keys that others keep.
//! - [`tls`]: rustls configurations over them.
//! - [`kubeconfig`]: what `kubectl` reads.
//!
//! Invariant: dates come from the world's clock. No file is read or written here.

pub mod authority;
pub mod key;
pub mod kubeconfig;
pub mod request;
pub mod tls;

pub use authority::{Authority, Leaf, LeafSpec};
pub use key::Key;
pub use kubeconfig::kubeconfig;
pub use request::SigningRequest;
pub use tls::{ClientAuth, server_config, server_config_for};
