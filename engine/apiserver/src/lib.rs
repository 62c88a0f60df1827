//! The API server.

#[cfg(feature = "edge")]
pub mod edge;
pub mod kubelets;
pub mod server;

pub use kubelets::{Kubelets, LogRequest};
pub use server::{Server, ServerConfig, StartError, resources};
