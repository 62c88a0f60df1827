//! What a client may wish of any answer: indented JSON, and gzip for a large one.
//! Counterparts: `isPrettyPrint` and `negotiateContentEncoding` in `endpoints/handlers/responsewriters`.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};
use labkit_client::{Body, Request, Response};
use serde_json::Value;

use crate::query::Query;

/// A body up to this size is not worth compressing.
const GZIP_BYTES_MIN: usize = 128 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wishes {
    indented: bool,
    gzip: bool,
}

impl Wishes {
    pub fn of(request: &Request) -> Wishes {
        let headers = request.headers();
        Wishes { indented: wants_indented(headers, request.uri().query()), gzip: accepts_gzip(headers) }
    }

    pub fn grant(self, response: Response) -> Response {
        if !self.indented && !self.gzip {
            return response;
        }
        let (mut parts, mut body) = response.into_parts();
        let is_json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|name| name == "application/json");
        if self.indented && is_json {
            body = body.put_together();
            if let Body::Full(bytes) = &mut body
                && let Ok(value) = serde_json::from_slice::<Value>(bytes)
            {
                *bytes = format!("{value:#}").into();
            }
        }
        let compressed = match &mut body {
            _ if !self.gzip || !parts.status.is_success() => None,
            Body::Full(bytes) if bytes.len() > GZIP_BYTES_MIN => Some(compressed([&*bytes])),
            Body::Pieces(pieces) => Some(compressed(pieces)),
            _ => None,
        };
        if let Some(bytes) = compressed {
            body = Body::Full(bytes);
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        Response::from_parts(parts, body)
    }
}

/// Whoever says `pretty`, and whoever reads with their own eyes.
fn wants_indented(headers: &HeaderMap, query: Option<&str>) -> bool {
    if let Some(query) = query.filter(|query| query.contains("pretty=")) {
        let query = Query::parse(Some(query));
        if query.has("pretty") && !query.get("pretty").is_empty() {
            return matches!(query.get("pretty"), "1" | "t" | "T" | "true" | "TRUE" | "True");
        }
    }
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|reader| agent.starts_with(reader))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|token| token.trim() == "gzip")
}

/// As fast as can be, which is upstream's choice, too.
fn compressed(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in pieces {
        encoder.write_all(piece.as_ref()).expect("a vector takes every byte");
    }
    encoder.finish().expect("a vector takes every byte").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, headers: &[(&str, &str)], indented: bool, gzip: bool) {
        let mut request = http::Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::new()).unwrap();
        assert_eq!(Wishes::of(&request), Wishes { indented, gzip }, "{target} {headers:?}");
    }

    #[test]
    fn curl_and_pretty_ask_for_indented_json() {
        check("/api", &[("user-agent", "kubectl/v1.32.4")], false, false);
        check("/api", &[("user-agent", "curl/8.5.0")], true, false);
        check("/api?pretty=false", &[("user-agent", "curl/8.5.0")], false, false);
        check("/api?limit=1&pretty=1", &[], true, false);
        check("/api?pretty=", &[], false, false);
    }

    #[test]
    fn gzip_is_one_of_the_encodings_that_are_accepted() {
        check("/api", &[("accept-encoding", "gzip")], false, true);
        check("/api", &[("accept-encoding", "deflate, gzip, br")], false, true);
        check("/api", &[("accept-encoding", "gzip;q=0")], false, false);
        check("/api", &[("accept-encoding", "identity")], false, false);
    }
}
