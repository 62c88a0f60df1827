//! The socket edge: real clients over TLS. Everything here lives in the server's component, so that its kill
//! closes every connection.

mod http;
mod tls;
mod websocket;

pub use tls::{balance, serve};
