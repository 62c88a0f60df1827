//! Watch: the changes of a collection as a stream, from the cache. A watch ends with the server: either it is a task
//! of it, or its reader is. Counterpart: `storage/cacher/cache_watcher.go`, `handlers/watch.go`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::StatusCode;
use labkit_api::{Status, StatusCause};
use labkit_client::{Body, Chunk, Note, Response};
use rand::Rng;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use crate::field;
use crate::negotiate::{Encoding, View};
use crate::query::{Query, Selection};
use crate::registry::Registry;
use crate::registry::list::{parse_version, refuse, within};
use crate::respond::{self, Presentation};
use crate::storage::Entry;
use crate::storage::cache::{Cache, Cursor};
use crate::storage::entry::to_json;
use crate::storage::window::Change;
use crate::verbs::Call;

/// `--min-request-timeout`: a watch without a timeout lives that long, or up to twice as long.
const LIFETIME_MIN: Duration = Duration::from_secs(1800);

/// How often a client that asks for bookmarks gets one, and how long before the end the last.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// How many events wait for a slow reader before the watch stops reading for it.
const BUFFER: usize = 64;

const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// One watch under way.
struct Pump {
    cache: Arc<Cache>,
    cursor: Cursor,
    /// What happened up to here is known to the client; a cache that lags may come to it only now.
    after: i64,
    selection: Selection,
    /// How the keys of what is watched begin.
    within: String,
    presentation: Presentation,
    registry: Arc<Registry>,
    resource: String,
    bookmarks: bool,
    until: Instant,
    /// Objects that are still to be told as ADDED.
    initial: std::vec::IntoIter<Arc<Entry>>,
    /// The revision that the bookmark after them carries, if one is wanted.
    marks_end: Option<i64>,
    /// Rings for the next bookmark, and at the end.
    alarm: Option<Pin<Box<Sleep>>>,
    is_first: bool,
}

pub(super) async fn watch(call: Call) -> Result<Response, Status> {
    let presentation = call.stream_presentation()?;
    let selection = Selection::parse(call.info.kind, &call.query)?;
    let lifetime = lifetime(&call)?;
    let cache = call.registry.followed(call.info.kind).await;
    let start = match start(&call, &cache).await {
        Ok(start) => start,
        // A watch from the past is answered, and told within the stream.
        Err(status) if status.is_expired() => {
            let event = presentation.event("ERROR", &respond::status_body(presentation.encoding, &status));
            return Ok(stream(presentation.encoding, single(event.into())));
        }
        Err(status) => return Err(status),
    };
    let mut pump = Pump {
        cache,
        cursor: start.cursor,
        after: start.after,
        selection,
        within: within(&call.info.namespace),
        presentation,
        registry: call.registry.clone(),
        resource: call.info.kind.resource().qualified(),
        bookmarks: call.query.flag("allowWatchBookmarks"),
        until: Instant::now() + lifetime,
        initial: start.initial.into_iter(),
        marks_end: start.marks_end,
        alarm: None,
        is_first: true,
    };
    if call.is_read_here {
        let chunks = futures::stream::unfold(pump, |mut pump| async move {
            let chunk = pump.next().await?;
            Some((chunk, pump))
        });
        return Ok(answer(presentation.encoding, Box::pin(chunks)));
    }
    let (sender, receiver) = mpsc::channel(BUFFER);
    call.registry.component.spawn(async move {
        loop {
            tokio::select! {
                biased;
                () = sender.closed() => return,
                chunk = pump.next() => {
                    let Some(chunk) = chunk else { return };
                    if sender.send(chunk).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    Ok(stream(presentation.encoding, receiver))
}

/// Where a watch begins.
struct Start {
    /// Objects that are told as ADDED first.
    initial: Vec<Arc<Entry>>,
    cursor: Cursor,
    after: i64,
    /// The revision that the bookmark after the initial objects carries, if one is wanted.
    marks_end: Option<i64>,
}

async fn start(call: &Call, cache: &Cache) -> Result<Start, Status> {
    let version = match call.query.get("resourceVersion") {
        "" => 0,
        text => parse_version(text)?,
    };
    let sends_initial = call.query.has("sendInitialEvents").then(|| call.query.flag("sendInitialEvents"));
    refuse(check(&call.query, sends_initial))?;
    let bookmarks = call.query.flag("allowWatchBookmarks");
    if version > 0 && sends_initial != Some(true) {
        let cursor = cache.cursor_after(version)?;
        return Ok(Start { initial: Vec::new(), cursor, after: version, marks_end: None });
    }
    let namespace = &call.info.namespace;
    if sends_initial == Some(true) && call.query.get("resourceVersion") != "0" {
        // As new as the client asks, whether or not the cache has come as far.
        let kind = call.info.kind.stored();
        let list = call.registry.list_not_older_than(kind, namespace, version).await?;
        let cursor = cache.cursor_after(list.revision)?;
        return Ok(Start {
            initial: list.entries,
            cursor,
            after: list.revision,
            marks_end: bookmarks.then_some(list.revision),
        });
    }
    let (initial, revision, cursor) = cache.snapshot(&within(namespace));
    let initial = if sends_initial == Some(false) { Vec::new() } else { initial };
    Ok(Start {
        initial,
        cursor,
        after: revision,
        marks_end: sends_initial.filter(|sends| *sends && bookmarks).map(|_| revision),
    })
}

/// How `resourceVersionMatch` goes together with the other options of a watch.
fn check(query: &Query, sends_initial: Option<bool>) -> Vec<StatusCause> {
    const FIELD: &str = "resourceVersionMatch";
    let rule = query.get(FIELD);
    let mut errors = Vec::new();
    if sends_initial.is_some() && rule != "NotOlderThan" {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(field::forbidden(FIELD, why));
    }
    if rule.is_empty() {
        return errors;
    }
    if sends_initial.is_none() {
        let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        errors.push(field::forbidden(FIELD, why));
    }
    if rule != "NotOlderThan" {
        errors.push(field::not_supported(FIELD, rule, &["NotOlderThan"]));
    }
    if !query.get("continue").is_empty() {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        errors.push(field::forbidden(FIELD, why));
    }
    errors
}

fn lifetime(call: &Call) -> Result<Duration, Status> {
    let asked = call.query.number("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(match asked.filter(|seconds| *seconds > 0) {
        Some(seconds) => Duration::from_secs(seconds),
        None => LIFETIME_MIN.mul_f64(1.0 + call.registry.component.random(|rng| rng.r#gen::<f64>())),
    })
}

fn stream(encoding: Encoding, receiver: mpsc::Receiver<Chunk>) -> Response {
    let chunks = futures::stream::unfold(receiver, |mut receiver| async move {
        let chunk = receiver.recv().await?;
        Some((chunk, receiver))
    });
    answer(encoding, Box::pin(chunks))
}

fn answer(encoding: Encoding, chunks: Pin<Box<dyn Stream<Item = Chunk> + Send>>) -> Response {
    let response = http::Response::builder()
        .status(StatusCode::OK)
        .header(http::header::CONTENT_TYPE, encoding.stream_type())
        .header(http::header::CACHE_CONTROL, "no-cache, private");
    response.body(Body::Stream(chunks)).expect("the headers are valid")
}

fn single(chunk: Chunk) -> mpsc::Receiver<Chunk> {
    let (sender, receiver) = mpsc::channel(1);
    sender.try_send(chunk).expect("the channel is empty");
    receiver
}

/// `{"type":"ADDED","object":{...}}` and a line end.
fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 32);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object.trim_ascii_end());
    line.extend_from_slice(b"}\n");
    line.into()
}

impl Presentation {
    /// An event about an object that was made in this presentation's encoding.
    fn event(&self, kind: &str, object: &[u8]) -> Bytes {
        match self.encoding {
            Encoding::Protobuf => labkit_api::protobuf::watch_event(kind, object).into(),
            Encoding::Json | Encoding::Yaml => line(kind, object),
        }
    }
}

impl Pump {
    /// The next thing to tell. `None`: the watch is over.
    async fn next(&mut self) -> Option<Chunk> {
        while let Some(entry) = self.initial.next() {
            if self.selection.selects(&entry) {
                return Some(self.event("ADDED", &entry, None));
            }
        }
        if let Some(revision) = self.marks_end.take() {
            return Some(self.bookmark(revision, true));
        }
        let cache = self.cache.clone();
        let mut alarm = match self.alarm.take() {
            Some(alarm) => alarm,
            None => Box::pin(tokio::time::sleep_until(self.next_bookmark())),
        };
        let chunk = loop {
            let moved = cache.moved();
            match cache.next(&mut self.cursor) {
                Err(_gone) => return None,
                Ok(Some(change)) => match self.chunk(&change) {
                    Some(chunk) => break chunk,
                    None => continue,
                },
                Ok(None) => {}
            }
            tokio::select! {
                biased;
                () = moved => {}
                () = &mut alarm => {
                    if Instant::now() >= self.until {
                        return None;
                    }
                    alarm.as_mut().reset(self.next_bookmark());
                    break self.bookmark(cache.revision(), false);
                }
            }
        };
        self.alarm = Some(alarm);
        Some(chunk)
    }

    /// Every minute, and shortly before the end.
    fn next_bookmark(&self) -> Instant {
        let now = Instant::now();
        let last = self.until - BOOKMARK_BEFORE_END.min(self.until - now);
        match self.bookmarks {
            false => self.until,
            true if last > now => (now + BOOKMARK_PERIOD).min(last),
            true => self.until,
        }
    }

    /// What this watch tells of a change: an object that comes into the selection was added, one that leaves it
    /// was deleted.
    fn chunk(&mut self, change: &Change) -> Option<Chunk> {
        if change.entry.revision <= self.after || !change.key.starts_with(&self.within) {
            return None;
        }
        let was = change.previous.as_ref().is_some_and(|previous| self.selection.selects(previous));
        let is = !change.is_deletion && self.selection.selects(&change.entry);
        let (kind, entry) = match (was, is) {
            (false, false) => return None,
            (false, true) => ("ADDED", change.entry.clone()),
            (true, true) => ("MODIFIED", change.entry.clone()),
            (true, false) if change.is_deletion => ("DELETED", change.entry.clone()),
            (true, false) => {
                let previous = change.previous.as_ref()?;
                ("DELETED", Arc::new(previous.at(change.entry.revision)))
            }
        };
        let presentation = &self.presentation;
        let mut chunk = if presentation.is_plain() && kind == change.kind() {
            let make = || line(kind, &entry.json(presentation.managed_fields));
            let bytes = change.line(presentation.managed_fields, make);
            Chunk { bytes, cause: change.cause, note: None }
        } else {
            self.event(kind, &entry, change.cause)
        };
        let note = || {
            let (namespace, name) = change.key.rsplit_once('/').unwrap_or(("", &change.key));
            Note {
                kind,
                resource: self.resource.clone(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                resource_version: change.entry.revision.to_string(),
            }
        };
        let is_shared = kind == change.kind() && !self.presentation.kind.converts();
        chunk.note = Some(if is_shared { change.note(note) } else { Arc::new(note()) });
        Some(chunk)
    }

    fn event(&mut self, kind: &'static str, entry: &Entry, cause: Option<labkit_sim::RecordId>) -> Chunk {
        self.presentation.now = self.registry.world.clock().now();
        let with_columns = std::mem::take(&mut self.is_first);
        let object = match self.presentation.view {
            View::Table => {
                let version = entry.revision.to_string();
                to_json(&self.presentation.table(&[entry], &version, with_columns))
            }
            _ => self.presentation.object(entry),
        };
        Chunk { bytes: self.presentation.event(kind, &object), cause, note: None }
    }

    /// Nothing happened up to this revision.
    fn bookmark(&self, revision: i64, ends_initial: bool) -> Chunk {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if ends_initial {
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        self.presentation.event("BOOKMARK", &self.presentation.bookmark(metadata)).into()
    }
}
