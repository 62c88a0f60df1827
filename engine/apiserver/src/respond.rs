//! Answers: objects, lists, tables and errors as HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use labkit_api::{ManagedFields, Object, Status, protobuf};
use labkit_client::{Body, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::kinds::Kind;
use crate::negotiate::{Encoding, View};
use crate::registry::list::List;
use crate::storage::Entry;
use crate::storage::entry::to_json;
use crate::table::{self, IncludeObject};

/// How objects are shown to this client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presentation {
    /// The kind that the client asked for; objects are stored in the form of [`Kind::stored`].
    pub kind: &'static Kind,
    pub view: View,
    pub encoding: Encoding,
    pub include: IncludeObject,
    /// Whether objects come with their managers.
    pub managed_fields: bool,
    pub now: Timestamp,
}

impl Presentation {
    /// One object as JSON or, where that is asked for, as protobuf in its envelope; not copied where it is shown
    /// as it is stored.
    pub fn object(&self, entry: &Entry) -> Bytes {
        if self.encoding == Encoding::Protobuf {
            let (kind, api_version) = self.names();
            return protobuf::envelope(&api_version, &kind, &self.message(entry)).into();
        }
        match self.view {
            View::Object if self.kind.converts() => {
                let mut object = self.kind.strategy.to_served(Object::clone(&entry.object()));
                if !self.managed_fields {
                    object.metadata.managed_fields = ManagedFields::default();
                }
                to_json(&object)
            }
            View::Object => entry.json(self.managed_fields),
            View::Table => to_json(&self.table(&[entry], &entry.object().metadata.resource_version, true)),
            View::Partial => to_json(&table::partial_object(&entry.object())),
        }
    }

    /// The same as JSON, at the end of `into`.
    fn write_json(&self, entry: &Entry, into: &mut Vec<u8>) {
        if self.is_plain() {
            entry.write_json(self.managed_fields, into);
        } else {
            into.extend_from_slice(&Presentation { encoding: Encoding::Json, ..*self }.object(entry));
        }
    }

    /// Whether every client that asks in this way is shown the same bytes.
    pub fn is_plain(&self) -> bool {
        self.view == View::Object && self.encoding == Encoding::Json && !self.kind.converts()
    }

    /// What an object calls itself.
    fn names(&self) -> (String, String) {
        match self.view {
            View::Partial => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
            _ => (self.kind.kind.to_owned(), self.kind.api_version()),
        }
    }

    fn message(&self, entry: &Entry) -> Bytes {
        let known = "protobuf is offered for kinds that are known to it";
        match self.view {
            View::Partial => protobuf::partial(&entry.object().metadata).into(),
            _ if self.kind.converts() => {
                let object = self.kind.strategy.to_served(Object::clone(&entry.object()));
                protobuf::object(&self.kind.gvk(), &object).expect(known).into()
            }
            _ => entry.message(&self.kind.gvk()).expect(known),
        }
    }

    /// Nothing but metadata, as a bookmark has it.
    pub fn bookmark(&self, metadata: Value) -> Bytes {
        if self.view == View::Table {
            let mut table = self.table(&[], "", false);
            table["metadata"] = metadata;
            return to_json(&table);
        }
        let (kind, api_version) = self.names();
        let bare = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        if self.encoding != Encoding::Protobuf {
            return to_json(&bare);
        }
        let bare = Object::from_value(bare).expect("written just above");
        protobuf::envelope(&api_version, &kind, &protobuf::partial(&bare.metadata)).into()
    }

    /// A table of these objects. Later events of a watch leave out the column definitions.
    pub fn table(&self, entries: &[&Entry], version: &str, with_columns: bool) -> Value {
        let kind = self.kind.stored();
        let rows: Vec<Value> =
            entries.iter().map(|entry| table::row(kind, &entry.object(), self.include, self.now)).collect();
        let columns = if with_columns { table::column_definitions(kind) } else { Value::Null };
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version},
            "columnDefinitions": columns, "rows": rows,
        })
    }

    fn list(self, list: List) -> Body {
        let mut metadata = json!({"resourceVersion": list.revision.to_string()});
        if !list.continuation.is_empty() {
            metadata["continue"] = json!(list.continuation);
        }
        if let Some(remaining) = list.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        if self.view == View::Table {
            let entries: Vec<&Entry> = list.entries.iter().map(Arc::as_ref).collect();
            let mut table = self.table(&entries, "", true);
            table["metadata"] = metadata;
            return Body::Full(to_json(&table));
        }
        let (kind, api_version) = match self.view {
            View::Partial => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
            _ => (self.kind.list_kind(), self.kind.api_version()),
        };
        if self.encoding == Encoding::Protobuf {
            let messages: Vec<Bytes> = list.entries.iter().map(|entry| self.message(entry)).collect();
            let list = protobuf::list(&metadata, messages.iter().map(AsRef::as_ref));
            return Body::Full(protobuf::envelope(&api_version, &kind, &list).into());
        }
        let head = format!(
            "{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":["
        );
        let length = list.entries.iter().map(|entry| entry.json_len_max()).sum::<usize>();
        let items = Items {
            presentation: self,
            entries: list.entries.into_iter(),
            begun: Some(head.into_bytes()),
            is_first: true,
        };
        let body = Body::Pieces(Box::new(items));
        if length > PIECE_BYTES { body } else { body.put_together() }
    }
}

/// How much of a list is made at a time.
const PIECE_BYTES: usize = 128 * 1024;

/// A list as JSON, piece by piece.
struct Items {
    presentation: Presentation,
    entries: std::vec::IntoIter<Arc<Entry>>,
    /// What goes before the items that are still to come. `None` after the last piece.
    begun: Option<Vec<u8>>,
    is_first: bool,
}

impl Iterator for Items {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut piece = self.begun.take()?;
        for entry in &mut self.entries {
            if !std::mem::take(&mut self.is_first) {
                piece.push(b',');
            }
            self.presentation.write_json(&entry, &mut piece);
            if piece.len() >= PIECE_BYTES {
                self.begun = Some(Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8));
                return Some(piece.into());
            }
        }
        piece.extend_from_slice(b"]}\n");
        Some(piece.into())
    }
}

/// A body that was made as JSON or protobuf, in the encoding that was asked for.
fn encoded(encoding: Encoding, code: StatusCode, body: Bytes) -> Response {
    let body = if encoding == Encoding::Yaml { to_yaml(&body) } else { body };
    whole(code, encoding.media_type(), body)
}

/// With sorted keys, as upstream's YAML has them.
fn to_yaml(json: &[u8]) -> Bytes {
    let mut value: Value = serde_json::from_slice(json).expect("it was JSON just above");
    value.sort_all_objects();
    serde_yaml::to_string(&value).expect("JSON is YAML").into()
}

/// An answer with a whole body.
pub(crate) fn whole(code: StatusCode, content_type: &str, body: Bytes) -> Response {
    let response = http::Response::builder().status(code).header(http::header::CONTENT_TYPE, content_type);
    response.body(Body::Full(body)).expect("the header is valid")
}

pub(crate) fn entry(presentation: &Presentation, code: StatusCode, entry: &Entry) -> Response {
    encoded(presentation.encoding, code, presentation.object(entry))
}

pub(crate) fn list(presentation: &Presentation, list: List) -> Response {
    let encoding = presentation.encoding;
    match presentation.list(list) {
        body if encoding != Encoding::Yaml => {
            let response =
                http::Response::builder().header(http::header::CONTENT_TYPE, encoding.media_type());
            response.body(body).expect("the header is valid")
        }
        body => match body.put_together() {
            Body::Full(json) => encoded(encoding, StatusCode::OK, json),
            body => unreachable!("it was put together: {body:?}"),
        },
    }
}

/// An object of any kind that was made for this answer, such as a Scale.
pub(crate) fn object(encoding: Encoding, code: StatusCode, object: &Object) -> Response {
    let message = match encoding {
        Encoding::Protobuf => protobuf::object(&object.gvk(), object),
        Encoding::Json | Encoding::Yaml => None,
    };
    match message {
        Some(message) => {
            encoded(encoding, code, protobuf::envelope(&object.api_version, &object.kind, &message).into())
        }
        None if encoding == Encoding::Protobuf => encoded(Encoding::Json, code, to_json(object)),
        None => encoded(encoding, code, to_json(object)),
    }
}

/// Any JSON.
pub(crate) fn value(code: StatusCode, value: &impl serde::Serialize) -> Response {
    whole(code, "application/json", to_json(value))
}

/// JSON that is indented whether or not somebody asks for it.
pub(crate) fn indented(value: &Value) -> Response {
    whole(StatusCode::OK, "application/json", format!("{value:#}").into())
}

/// A Status: of an error with the error's code.
pub(crate) fn status(encoding: Encoding, status: &Status) -> Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = status_body(encoding, status);
    let mut response = encoded(encoding, code, body);
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A Status as JSON or as protobuf in its envelope.
pub(crate) fn status_body(encoding: Encoding, status: &Status) -> Bytes {
    match encoding {
        Encoding::Protobuf => protobuf::envelope("v1", "Status", &protobuf::status(status)).into(),
        Encoding::Json | Encoding::Yaml => to_json(status),
    }
}

/// A body that a client may keep: who has it already gets 304 and nothing.
pub(crate) fn with_etag(headers: &HeaderMap, content_type: &str, body: Bytes) -> Response {
    let etag = format!("\"{:X}\"", Sha256::digest(&body));
    let is_known = headers.get(http::header::IF_NONE_MATCH).is_some_and(|known| *known == *etag);
    let (code, body) =
        if is_known { (StatusCode::NOT_MODIFIED, Bytes::new()) } else { (StatusCode::OK, body) };
    let mut response = whole(code, content_type, body);
    let etag = HeaderValue::from_str(&etag).expect("quotes and hexadecimal digits");
    response.headers_mut().insert(http::header::ETAG, etag);
    response
}

/// What upstream answers where no handler is registered.
pub(crate) fn page_not_found() -> Response {
    whole(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", Bytes::from_static(b"404 page not found\n"))
}

/// How long all warnings of an answer may be, and each of them where they are longer.
const WARNINGS_MAX: usize = 4096;
const WARNING_MAX: usize = 256;

/// Warnings that kubectl prints, one header each. Counterpart: `endpoints/filters/warning.go`.
pub(crate) fn warn(mut response: Response, warnings: &[String]) -> Response {
    let is_long = warnings.iter().map(String::len).sum::<usize>() > WARNINGS_MAX;
    let mut total = 0;
    for warning in warnings {
        let length = if is_long { WARNING_MAX } else { WARNINGS_MAX };
        let text: String = warning.chars().take(length).filter(|letter| !letter.is_control()).collect();
        total += text.len();
        if total > WARNINGS_MAX {
            break;
        }
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = format!("299 - \"{escaped}\"").parse() {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
    response
}
