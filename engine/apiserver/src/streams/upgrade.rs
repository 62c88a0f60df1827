//! The upgrade of a request to a WebSocket: what is offered, and what is taken up.

use http::header::{CONNECTION, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use labkit_api::Status;
use labkit_client::{Body, Pipe, Response};

/// Picks the first subprotocol that the client offers and we speak; refuses what is no WebSocket.
pub(crate) fn negotiate(headers: &HeaderMap, spoken: &[&'static str]) -> Result<&'static str, Status> {
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Err(Status::bad_request("Upgrade request required"));
    }
    if !has_token(headers, &UPGRADE, "websocket") {
        let message = "unable to upgrade: only WebSocket is spoken here, which kubectl does since 1.30 unless told otherwise";
        return Err(Status::bad_request(message));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version != "13") {
        return Err(Status::bad_request("missing or bad WebSocket Version"));
    }
    let offered: Vec<&str> = tokens(headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    let taken = offered.iter().find_map(|offer| spoken.iter().find(|known| *known == offer));
    taken.copied().ok_or_else(|| {
        let message = format!(
            "requested protocol(s) are not supported: [{}]; supports [{}]",
            offered.join(" "),
            spoken.join(" ")
        );
        Status::failure(403, "Forbidden", message)
    })
}

/// `101 Switching Protocols`, and the messages that follow.
pub(crate) fn switch(protocol: &'static str, pipe: Pipe) -> Response {
    let mut response = http::Response::new(Body::Upgraded(pipe));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    response
}

fn has_token(headers: &HeaderMap, name: &http::HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: &str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let taken = negotiate(&map, &["v5.channel.k8s.io", "v4.channel.k8s.io"]);
        let taken = taken.map_or_else(|status| format!("{} {}", status.code, status.message), str::to_owned);
        assert!(taken.contains(expected), "{taken}");
    }

    #[test]
    fn the_clients_first_choice_that_is_spoken_is_taken() {
        let upgrade = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
        let with = |more: &[(&'static str, &'static str)], expected| {
            check(&[&upgrade[..], more].concat(), expected);
        };
        with(&[("sec-websocket-protocol", "v4.channel.k8s.io, v5.channel.k8s.io")], "v4.channel.k8s.io");
        with(&[("sec-websocket-protocol", "chat"), ("sec-websocket-protocol", "v5.channel.k8s.io")], "v5");
        with(&[("sec-websocket-protocol", "chat")], "403 requested protocol(s) are not supported: [chat]");
        with(&[], "403 requested protocol(s) are not supported: []; supports [v5.channel.k8s.io v4");
        with(&[("sec-websocket-version", "8")], "400 missing or bad WebSocket Version");
    }

    #[test]
    fn other_upgrades_are_refused() {
        check(&[], "400 Upgrade request required");
        check(&[("upgrade", "websocket")], "400 Upgrade request required");
        check(&[("connection", "Upgrade"), ("upgrade", "SPDY/3.1")], "400 unable to upgrade: only WebSocket");
    }
}
