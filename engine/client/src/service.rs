//! HTTP as types: what the API server serves and what a client calls, in process or behind a socket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use labkit_sim::RecordId;
use tower::util::BoxCloneSyncService;

use crate::session::Pipe;

/// A request with its whole body. Who makes it is the extension [`labkit_api::UserInfo`], set by whoever
/// authenticated the connection; without one it is anonymous.
pub type Request = http::Request<Bytes>;

/// An extension of requests whose answers are read in the server's own component, as those of real clients are: a
/// watch of theirs ends with the server even if it is not a task of it.
#[derive(Debug, Clone, Copy)]
pub struct ReadInServer;

/// A response, whole or streamed.
pub type Response = http::Response<Body>;

/// The API server as a service: an error of the API is a response, not an `Err`.
pub type Transport = BoxCloneSyncService<Request, Response, Infallible>;

/// The body of a response.
pub enum Body {
    Full(Bytes),
    /// Whole, too, but made while it is sent: a large list.
    Pieces(Box<dyn Iterator<Item = Bytes> + Send>),
    /// A watch, or a log that is followed. Ends when the server ends it or dies.
    Stream(Pin<Box<dyn Stream<Item = Chunk> + Send>>),
    /// With `101 Switching Protocols`: the messages that follow, both ways.
    Upgraded(Pipe),
}

/// A piece of a streamed body: for a watch, one event with its line end.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub bytes: Bytes,
    /// The record that committed what this chunk tells.
    pub cause: Option<RecordId>,
    /// What the trace should say of it; nothing for bookmarks and log lines.
    pub note: Option<Arc<Note>>,
}

/// A watch event, for the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub kind: &'static str,
    /// The plural with its group: `deployments.apps`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub resource_version: String,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Body::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Body::Pieces(_) => f.write_str("Pieces"),
            Body::Stream(_) => f.write_str("Stream"),
            Body::Upgraded(_) => f.write_str("Upgraded"),
        }
    }
}

impl Body {
    /// With its pieces put together, where it has any.
    pub fn put_together(self) -> Body {
        match self {
            Body::Pieces(pieces) => Body::Full(pieces.collect::<Vec<Bytes>>().concat().into()),
            body => body,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::Full(bytes)
    }
}

impl From<Chunk> for Bytes {
    fn from(chunk: Chunk) -> Bytes {
        chunk.bytes
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Chunk {
        Chunk { bytes, cause: None, note: None }
    }
}
