//! Answers: objects, lists, tables and errors as HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use labkit_api::{ManagedFields, Status};
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
    /// One object's JSON, without copying it where it is shown as it is stored.
    pub fn object(&self, entry: &Entry) -> Bytes {
        match self.view {
            View::Object if self.kind.converts() => {
                let mut object = self.kind.strategy.to_served(entry.object.clone());
                if !self.managed_fields {
                    object.metadata.managed_fields = ManagedFields::default();
                }
                to_json(&object)
            }
            View::Object => entry.json(self.managed_fields).clone(),
            View::Table => to_json(&self.table(&[entry], &entry.object.metadata.resource_version, true)),
            View::Partial => to_json(&table::partial_object(&entry.object)),
        }
    }

    /// A table of these objects. Later events of a watch leave out the column definitions.
    pub fn table(&self, entries: &[&Entry], version: &str, with_columns: bool) -> Value {
        let kind = self.kind.stored();
        let rows: Vec<Value> =
            entries.iter().map(|entry| table::row(kind, &entry.object, self.include, self.now)).collect();
        let columns = if with_columns { table::column_definitions(kind) } else { Value::Null };
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version},
            "columnDefinitions": columns, "rows": rows,
        })
    }

    fn list(&self, list: &List) -> Bytes {
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
            return to_json(&table);
        }
        let (kind, api_version) = match self.view {
            View::Partial => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
            _ => (self.kind.list_kind(), self.kind.api_version()),
        };
        let head = format!(
            "{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":["
        );
        let mut bytes = head.into_bytes();
        for (index, entry) in list.entries.iter().enumerate() {
            if index > 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(&self.object(entry));
        }
        bytes.extend_from_slice(b"]}\n");
        bytes.into()
    }

    fn encoded(&self, code: StatusCode, json: Bytes) -> Response {
        match self.encoding {
            Encoding::Json => whole(code, "application/json", json),
            Encoding::Yaml => {
                let value: Value = serde_json::from_slice(&json).expect("it was JSON just above");
                let yaml = serde_yaml::to_string(&value).expect("JSON is YAML");
                whole(code, "application/yaml", yaml.into())
            }
        }
    }
}

/// An answer with a whole body.
pub(crate) fn whole(code: StatusCode, content_type: &str, body: Bytes) -> Response {
    let response = http::Response::builder().status(code).header(http::header::CONTENT_TYPE, content_type);
    response.body(Body::Full(body)).expect("the header is valid")
}

pub(crate) fn entry(presentation: &Presentation, code: StatusCode, entry: &Entry) -> Response {
    presentation.encoded(code, presentation.object(entry))
}

pub(crate) fn list(presentation: &Presentation, list: &List) -> Response {
    presentation.encoded(StatusCode::OK, presentation.list(list))
}

/// Any JSON.
pub(crate) fn value(code: StatusCode, value: &impl serde::Serialize) -> Response {
    whole(code, "application/json", to_json(value))
}

/// A Status: of an error with the error's code.
pub(crate) fn status(status: &Status) -> Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = value(code, status);
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    }
    response
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

/// Warnings that kubectl prints, one header each.
pub(crate) fn warn(mut response: Response, warnings: &[String]) -> Response {
    for warning in warnings {
        let text: String = warning.chars().filter(|letter| !letter.is_control()).collect();
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = format!("299 - \"{escaped}\"").parse() {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
    response
}
