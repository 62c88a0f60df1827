//! Which form of the answer the client asked for. Counterpart: `endpoints/handlers/negotiation`.

use http::HeaderMap;
use labkit_api::Status;

/// The form of objects in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Object,
    Table,
    /// Metadata only.
    Partial,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

/// What an answer can be given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Whether the kind is known to protobuf.
    pub protobuf: bool,
    /// A stream of events: never YAML.
    pub stream: bool,
}

impl Encoding {
    /// The Content-Type of a whole answer.
    pub fn media_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The Content-Type of a stream of events.
    pub fn stream_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            Encoding::Json | Encoding::Yaml => "application/json",
        }
    }
}

impl Offer {
    fn encodings(self) -> impl Iterator<Item = Encoding> {
        let all =
            [(Encoding::Json, true), (Encoding::Yaml, !self.stream), (Encoding::Protobuf, self.protobuf)];
        all.into_iter().filter(|(_, is_offered)| *is_offered).map(|(encoding, _)| encoding)
    }

    fn refusal(self) -> Status {
        let suffix = if self.stream { ";stream=watch" } else { "" };
        let all: Vec<String> =
            self.encodings().map(|encoding| format!("{}{suffix}", encoding.media_type())).collect();
        let message = format!("only the following media types are accepted: {}", all.join(", "));
        Status::failure(406, "NotAcceptable", message)
    }
}

/// One entry of an Accept header.
#[derive(Debug)]
struct MediaType<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl MediaType<'_> {
    fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    /// How much it is wanted, in thousandths.
    fn quality(&self) -> u32 {
        match self.parameter("q").parse::<f32>() {
            Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0) as u32,
            _ => 1000,
        }
    }
}

/// What the client wants, the most wanted first.
fn accepted(headers: &HeaderMap) -> Vec<MediaType<'_>> {
    let header = headers.get_all(http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let entries = header.flat_map(|value| value.split(',')).map(str::trim).filter(|entry| !entry.is_empty());
    let mut accepted: Vec<MediaType<'_>> = entries
        .map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            MediaType { name, parameters: parts.filter_map(|part| part.split_once('=')).collect() }
        })
        .collect();
    accepted.sort_by_key(|media_type| {
        (std::cmp::Reverse(media_type.quality()), media_type.name == "*/*", media_type.name.ends_with("/*"))
    });
    accepted
}

/// The most wanted form that can be given; 406 where there is none.
pub(crate) fn view(headers: &HeaderMap, offer: Offer) -> Result<(View, Encoding), Status> {
    let accepted = accepted(headers);
    if accepted.is_empty() {
        return Ok((View::Object, Encoding::Json));
    }
    for media_type in &accepted {
        let encoding = match media_type.name {
            "*/*" | "application/*" => Some(Encoding::Json),
            name => offer.encodings().find(|encoding| encoding.media_type() == name),
        };
        let Some(encoding) = encoding else { continue };
        match (media_type.parameter("as"), media_type.parameter("g"), media_type.parameter("v")) {
            ("", ..) => return Ok((View::Object, encoding)),
            // There is no protobuf of tables.
            ("Table", "meta.k8s.io", "v1" | "v1beta1") if encoding != Encoding::Protobuf => {
                return Ok((View::Table, encoding));
            }
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1" | "v1beta1") => {
                return Ok((View::Partial, encoding));
            }
            _ => {}
        }
    }
    Err(offer.refusal())
}

/// Which of these types the client wants most; the first for one that takes anything, or says nothing.
pub(crate) fn first_accepted(headers: &HeaderMap, offered: &[&'static str]) -> Option<&'static str> {
    let accepted = accepted(headers);
    if accepted.is_empty() {
        return offered.first().copied();
    }
    accepted.iter().find_map(|wanted| match wanted.name {
        "*/*" | "application/*" => offered.first().copied(),
        name => offered.iter().copied().find(|own| *own == name),
    })
}

/// The encoding of a Status for a client whose request was not carried out; JSON where it accepts none.
pub(crate) fn status_encoding(headers: &HeaderMap) -> Encoding {
    view(headers, Offer { protobuf: true, stream: false }).map_or(Encoding::Json, |(_, encoding)| encoding)
}

/// The version of aggregated discovery that is asked for first: `v2` or `v2beta1`.
pub(crate) fn aggregated_discovery(headers: &HeaderMap) -> Option<&'static str> {
    let accepted = accepted(headers);
    let asked = accepted.iter().find(|media_type| media_type.name == "application/json")?;
    match (asked.parameter("as"), asked.parameter("g"), asked.parameter("v")) {
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Some("v2"),
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => Some("v2beta1"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: Offer = Offer { protobuf: true, stream: false };

    #[track_caller]
    fn check(offer: Offer, accept: &str, expected: Result<(View, Encoding), &str>) {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, accept.parse().unwrap());
        let found = view(&headers, offer).map_err(|status| format!("{} {}", status.code, status.message));
        assert_eq!(found, expected.map_err(str::to_owned), "{accept}");
    }

    #[test]
    fn the_first_form_that_can_be_given_wins() {
        let protobuf = "application/vnd.kubernetes.protobuf";
        check(OBJECTS, "application/json", Ok((View::Object, Encoding::Json)));
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        check(OBJECTS, table, Ok((View::Table, Encoding::Json)));
        check(OBJECTS, &format!("{protobuf},application/json"), Ok((View::Object, Encoding::Protobuf)));
        let table = format!("{protobuf};as=Table;v=v1;g=meta.k8s.io,application/json");
        check(OBJECTS, &table, Ok((View::Object, Encoding::Json)));
        check(OBJECTS, "application/yaml", Ok((View::Object, Encoding::Yaml)));
        check(OBJECTS, "*/*", Ok((View::Object, Encoding::Json)));
        let partial = format!("{protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
        check(OBJECTS, &partial, Ok((View::Partial, Encoding::Protobuf)));
    }

    #[test]
    fn the_more_wanted_comes_first_and_wildcards_last() {
        let accept = "application/json;q=0.5, application/yaml;q=0.9";
        check(OBJECTS, accept, Ok((View::Object, Encoding::Yaml)));
        check(OBJECTS, "*/*, application/yaml", Ok((View::Object, Encoding::Yaml)));
    }

    #[test]
    fn what_cannot_be_given_is_refused_with_what_can() {
        let message = "406 only the following media types are accepted: application/json, application/yaml, \
                       application/vnd.kubernetes.protobuf";
        check(OBJECTS, "text/html", Err(message));
        let custom = Offer { protobuf: false, stream: false };
        let message = "406 only the following media types are accepted: application/json, application/yaml";
        check(custom, "application/vnd.kubernetes.protobuf", Err(message));
        let stream = Offer { protobuf: true, stream: true };
        let message = "406 only the following media types are accepted: application/json;stream=watch, \
                       application/vnd.kubernetes.protobuf;stream=watch";
        check(stream, "application/yaml", Err(message));
    }
}
