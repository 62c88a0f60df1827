//! Tokens of lists that go on: where the next page begins, and at which revision all pages are true.
//! Counterpart: `storage/continue.go`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use labkit_api::Status;
use serde::{Deserialize, Serialize};

const VERSION: &str = "meta.k8s.io/v1";

/// The revision of a token that goes on with whatever is there now.
pub(crate) const INCONSISTENT: i64 = -1;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Continuation {
    v: String,
    #[serde(default)]
    pub rv: i64,
    /// The first key, below the prefix of what is listed.
    #[serde(default)]
    pub start: String,
}

pub(crate) fn encode(revision: i64, start: &str) -> String {
    let token = Continuation { v: VERSION.to_owned(), rv: revision, start: start.to_owned() };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("a token is strings and a number"))
}

impl Continuation {
    /// Reads a token that a client brought back. Its start must lie below the prefix, whoever made it.
    pub fn decode(token: &str) -> Result<Continuation, Status> {
        let refuse = |why: &str| Status::bad_request(format!("invalid continue token: {why}"));
        let undecodable = |why: &dyn std::fmt::Display| refuse(&format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|error| undecodable(&error))?;
        let token: Continuation = serde_json::from_slice(&bytes).map_err(|error| undecodable(&error))?;
        if token.v != VERSION {
            return Err(refuse(&format!("server does not recognize this encoded version {}", token.v)));
        }
        if token.rv == 0 {
            return Err(refuse("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        let start = token.start.strip_prefix('/').unwrap_or(&token.start);
        if start.is_empty() {
            return Err(refuse("encoded start key empty (version meta.k8s.io/v1)"));
        }
        if start.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(refuse("invalid key"));
        }
        Ok(Continuation { start: start.to_owned(), ..token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(token: &str, expected: Result<(i64, &str), &str>) {
        let found = Continuation::decode(&URL_SAFE_NO_PAD.encode(token));
        let found = found.map(|token| (token.rv, token.start)).map_err(|status| status.message);
        assert_eq!(
            found,
            expected.map(|(rv, start)| (rv, start.to_owned())).map_err(str::to_owned),
            "{token}"
        );
    }

    #[test]
    fn tokens_are_read_back_and_forged_ones_refused() {
        let token = Continuation::decode(&encode(7, "default/a\0")).unwrap();
        assert_eq!((token.rv, token.start.as_str()), (7, "default/a\0"));
        check(r#"{"v":"meta.k8s.io/v1","rv":-1,"start":"a"}"#, Ok((-1, "a")));
        for start in ["../secrets/a", "a/../b", "a//b", "./a", "a/"] {
            let token = format!(r#"{{"v":"meta.k8s.io/v1","rv":7,"start":"{start}"}}"#);
            check(&token, Err("invalid continue token: invalid key"));
        }
        let message =
            "invalid continue token: incorrect encoded start resourceVersion (version meta.k8s.io/v1)";
        check(r#"{"v":"meta.k8s.io/v1","start":"a"}"#, Err(message));
        let message = "invalid continue token: encoded start key empty (version meta.k8s.io/v1)";
        check(r#"{"v":"meta.k8s.io/v1","rv":7}"#, Err(message));
        let message = "invalid continue token: server does not recognize this encoded version meta.k8s.io/v2";
        check(r#"{"v":"meta.k8s.io/v2","rv":7,"start":"a"}"#, Err(message));
        assert_eq!(Continuation::decode("!").unwrap_err().code, 400);
    }
}
