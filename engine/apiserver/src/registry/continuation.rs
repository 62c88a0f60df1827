//! Tokens of lists that go on: where the next page begins, and at which revision all pages are true.
//! Counterpart: `storage/continue.go`.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine};
use labkit_api::Status;
use serde::{Deserialize, Serialize};

use crate::go_json;

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
        let refuse = |why: &str| {
            Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|error| {
            let at = match error {
                DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
                DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => token.len() / 4 * 4,
            };
            refuse(&format!("illegal base64 data at input byte {at}"))
        })?;
        go_json::check(&bytes).map_err(|error| refuse(&error))?;
        let token: Continuation =
            serde_json::from_slice(&bytes).map_err(|error| refuse(&format!("json: {error}")))?;
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
            return Err(refuse(&token.start));
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
            check(&token, Err(&format!("invalid continue token: continue key is not valid: {start}")));
        }
        let message = "invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)";
        check(r#"{"v":"meta.k8s.io/v1","start":"a"}"#, Err(message));
        let message = "invalid continue token: continue key is not valid: encoded start key empty (version meta.k8s.io/v1)";
        check(r#"{"v":"meta.k8s.io/v1","rv":7}"#, Err(message));
        let message = "invalid continue token: continue key is not valid: server does not recognize this encoded version meta.k8s.io/v2";
        check(r#"{"v":"meta.k8s.io/v2","rv":7,"start":"a"}"#, Err(message));
        check(
            "x",
            Err(
                "invalid continue token: continue key is not valid: invalid character 'x' looking for beginning of value",
            ),
        );
        let message =
            "invalid continue token: continue key is not valid: illegal base64 data at input byte 0";
        assert_eq!(Continuation::decode("!").unwrap_err().message, message);
    }
}
