//! Connections that stop being HTTP: a session with a process, connections to a pod's ports.
//! Counterpart: `k8s.io/apiserver/pkg/util/proxy`, `k8s.io/streaming/pkg/httpstream`.
//!
//! - `upgrade`: what a request offers to speak, and the answer that takes it up.
//! - `channels`: `v5.channel.k8s.io` and `v4`, around a session.
//! - `port_forward`: connections to ports, as streams of SPDY/3.1; `spdy` has its frames.
//!
//! All of it works on messages, so that it needs no socket; the edge puts them into WebSocket's frames. Absent:
//! SPDY without a WebSocket around it.

pub(crate) mod channels;
pub(crate) mod port_forward;
mod spdy;
pub(crate) mod upgrade;
