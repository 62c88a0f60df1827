//! Who asks. A connection that showed a client certificate carries its user, and in process the caller says so; a
//! bearer token is one of the static ones or a service account's. Counterpart: `pkg/kubeapiserver/authenticator`.

mod impersonation;
pub(crate) mod service_account;
mod static_tokens;

use http::HeaderMap;
use labkit_api::{Status, UserInfo};
use labkit_client::{Caller, Request};

use crate::guard::Guard;

pub use static_tokens::StaticTokens;

/// The field of a user's extra that names the credential.
pub(crate) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
pub(crate) const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";

/// The user of a request, or of whom it is made in the name of.
pub(crate) async fn authenticate(guard: &Guard, request: &Request) -> Result<UserInfo, Status> {
    let user = match (request.extensions().get::<UserInfo>(), bearer_token(request.headers())) {
        (Some(user), _) => user.clone(),
        (None, Some(token)) => authenticate_token(guard, token, &[]).await.map_err(|_| unauthorized())?.0,
        (None, None) if guard.access.anonymous_auth => UserInfo::new(ANONYMOUS, &["system:unauthenticated"]),
        (None, None) => return Err(unauthorized()),
    };
    if let Some(caller) = request.extensions().get::<Caller>() {
        caller.found(&user.name);
    }
    impersonation::impersonate(guard, request.headers(), with_group_of_all(user))
}

/// The user of a token, and the audiences that it is for. The error is upstream's text.
pub(crate) async fn authenticate_token(
    guard: &Guard,
    token: &str,
    audiences: &[String],
) -> Result<(UserInfo, Vec<String>), String> {
    if let Some(user) = guard.access.static_tokens.find(token) {
        return Ok((with_group_of_all(user.clone()), guard.own_audiences(audiences)));
    }
    let (user, audiences) = service_account::authenticate(guard, token, audiences).await?;
    Ok((with_group_of_all(user), audiences))
}

/// With the group that everybody known is in.
fn with_group_of_all(mut user: UserInfo) -> UserInfo {
    if user.name != ANONYMOUS && !user.groups.iter().any(|group| group == AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.trim().split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}

fn unauthorized() -> Status {
    Status::failure(401, "Unauthorized", "Unauthorized")
}
