//! The events of one watch request.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use labkit_api::{Object, Status};
use labkit_sim::RecordId;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Error, parse};
use crate::service::Chunk;

/// What a watch event says of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEventKind {
    Added,
    Modified,
    Deleted,
    /// Nothing changed up to the object's resourceVersion.
    Bookmark,
}

/// One event, with the record that brought it as its cause.
#[derive(Debug, Clone)]
pub struct WatchEvent {
    pub kind: WatchEventKind,
    pub object: Object,
    pub cause: Option<RecordId>,
}

/// An event whose object is not parsed yet.
pub(crate) struct RawEvent {
    pub kind: WatchEventKind,
    pub object: Box<RawValue>,
    pub cause: Option<RecordId>,
}

/// A watch. It ends (`None`) when the server ends it or dies; watch again from the last version seen.
pub struct WatchStream {
    chunks: Pin<Box<dyn Stream<Item = Chunk> + Send>>,
}

impl fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchStream")
    }
}

impl WatchStream {
    pub(crate) fn new(chunks: Pin<Box<dyn Stream<Item = Chunk> + Send>>) -> WatchStream {
        WatchStream { chunks }
    }

    /// The next event. An ERROR event is an [`Error::Api`], such as "too old resource version".
    pub async fn next(&mut self) -> Option<Result<WatchEvent, Error>> {
        let raw = self.next_raw().await?;
        Some(raw.and_then(|raw| {
            let object = parse(raw.object.get().as_bytes())?;
            Ok(WatchEvent { kind: raw.kind, object, cause: raw.cause })
        }))
    }

    pub(crate) async fn next_raw(&mut self) -> Option<Result<RawEvent, Error>> {
        let chunk = self.chunks.next().await?;
        Some(parse_event(&chunk.bytes, chunk.cause))
    }
}

fn parse_event(bytes: &Bytes, cause: Option<RecordId>) -> Result<RawEvent, Error> {
    #[derive(Deserialize)]
    struct Line {
        r#type: String,
        object: Box<RawValue>,
    }
    let line: Line = parse(bytes)?;
    let kind = match line.r#type.as_str() {
        "ADDED" => WatchEventKind::Added,
        "MODIFIED" => WatchEventKind::Modified,
        "DELETED" => WatchEventKind::Deleted,
        "BOOKMARK" => WatchEventKind::Bookmark,
        "ERROR" => {
            let status: Status = parse(line.object.get().as_bytes())?;
            return Err(Error::Api(Box::new(status)));
        }
        other => return Err(Error::Malformed(format!("watch event of type {other}"))),
    };
    Ok(RawEvent { kind, object: line.object, cause })
}
