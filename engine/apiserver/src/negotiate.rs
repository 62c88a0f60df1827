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
}

fn accepted(headers: &HeaderMap) -> Vec<MediaType<'_>> {
    let header = headers.get_all(http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let entries = header.flat_map(|value| value.split(',')).map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            MediaType { name, parameters: parts.filter_map(|part| part.split_once('=')).collect() }
        })
        .collect()
}

/// The first form that can be given. Protobuf is not spoken in answers; whoever asks for nothing else gets JSON,
/// which every client of Kubernetes reads too.
pub(crate) fn view(headers: &HeaderMap) -> Result<(View, Encoding), Status> {
    let accepted = accepted(headers);
    if accepted.is_empty() {
        return Ok((View::Object, Encoding::Json));
    }
    for media_type in &accepted {
        let encoding = match media_type.name {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => continue,
        };
        match (media_type.parameter("as"), media_type.parameter("g"), media_type.parameter("v")) {
            ("", ..) => return Ok((View::Object, encoding)),
            ("Table", "meta.k8s.io", "v1" | "v1beta1") => return Ok((View::Table, encoding)),
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1" | "v1beta1") => {
                return Ok((View::Partial, encoding));
            }
            _ => {}
        }
    }
    if accepted.iter().any(|media_type| media_type.name == "application/vnd.kubernetes.protobuf") {
        return Ok((View::Object, Encoding::Json));
    }
    let message = "only the following media types are accepted: application/json, application/yaml, \
                   application/vnd.kubernetes.protobuf";
    Err(Status::failure(406, "NotAcceptable", message))
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

    #[track_caller]
    fn check(accept: &str, expected: Result<(View, Encoding), u16>) {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, accept.parse().unwrap());
        assert_eq!(view(&headers).map_err(|status| status.code), expected, "{accept}");
    }

    #[test]
    fn the_first_form_that_can_be_given_wins() {
        check("application/json", Ok((View::Object, Encoding::Json)));
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Ok((View::Table, Encoding::Json)),
        );
        check("application/vnd.kubernetes.protobuf,application/json", Ok((View::Object, Encoding::Json)));
        check("application/vnd.kubernetes.protobuf", Ok((View::Object, Encoding::Json)));
        check("application/yaml", Ok((View::Object, Encoding::Yaml)));
        check("*/*", Ok((View::Object, Encoding::Json)));
        check(
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            Ok((View::Partial, Encoding::Json)),
        );
        check("text/html", Err(406));
    }
}
