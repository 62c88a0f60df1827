//! A request to a group that another server answers for: who asks is known and may, then it is passed on.
//! Counterpart: `kube-aggregator/pkg/apiserver/handler_proxy.go`.

use http::{Method, StatusCode};
use labkit_api::{Status, UserInfo};
use labkit_client::{Request, Response};

use super::{Remote, endpoint};
use crate::authz::Attributes;
use crate::guard::Guard;
use crate::query::Query;
use crate::respond;

pub(crate) async fn pass(
    guard: &Guard,
    remote: &Remote,
    mut request: Request,
    query: &Query,
) -> Result<Response, Status> {
    let user = guard.authenticate(&request).await?;
    guard.authorize(|| attributes(&user, remote, &request, query))?;
    if !remote.is_available {
        return Ok(unavailable("service unavailable"));
    }
    let registry = &guard.registry;
    let found = endpoint::find(registry, &remote.service).await.ok().and_then(|endpoint| endpoint.pod);
    let Some((address, port)) = found else { return Ok(unavailable("service unavailable")) };
    request.extensions_mut().insert(user);
    let answer = registry.aggregation.backends.request(address, port, request).await;
    Ok(answer.unwrap_or_else(|error| unavailable(&format!("error trying to reach service: {error}"))))
}

/// In plain text, as upstream's: the client makes a Status of it.
fn unavailable(why: &str) -> Response {
    let body = format!("{why}\n").into();
    respond::whole(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", body)
}

/// What is judged, read off the path: nothing is known of the resource but its place.
fn attributes(user: &UserInfo, remote: &Remote, request: &Request, query: &Query) -> Attributes {
    let path = request.uri().path();
    let mut attributes = Attributes::of_path(user, request.method(), path);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).skip(3).collect();
    let (namespace, rest) = match segments.as_slice() {
        [] => return attributes,
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let place = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
    let is_collection = rest.len() < 2;
    let verb = match *request.method() {
        Method::GET | Method::HEAD if is_collection && query.flag("watch") => "watch",
        Method::GET | Method::HEAD if is_collection => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if is_collection => "deletecollection",
        Method::DELETE => "delete",
        _ => attributes.verb.as_str(),
    };
    attributes.verb = verb.to_owned();
    attributes.group = remote.group.to_owned();
    attributes.namespace = namespace.to_owned();
    (attributes.resource, attributes.name, attributes.subresource) = (place(0), place(1), place(2));
    attributes.path = None;
    attributes
}
