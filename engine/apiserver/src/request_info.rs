//! What a request is about: its path, method and query, parsed once.
//! Counterpart: `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`.

use http::Method;
use labkit_api::{Status, StatusDetails, Verb};

use crate::custom::Served;
use crate::kinds::{Kind, Subresource};
use crate::query::Query;

/// What is asked of the API.
#[derive(Debug)]
pub(crate) struct RequestInfo {
    pub verb: Verb,
    pub kind: &'static Kind,
    /// Empty: all, or a kind without namespaces.
    pub namespace: String,
    /// Empty: the collection.
    pub name: String,
    pub subresource: Option<Subresource>,
}

/// Where a path leads.
#[derive(Debug)]
pub(crate) enum Target {
    Resource(Box<RequestInfo>),
    /// Discovery, health and the like: the segments of the path.
    Path(Vec<String>),
}

/// Reads a request's line. Paths below a group and version that is served must name a resource. A slash parts
/// segments however it is written, so that no name has one.
pub(crate) fn parse(method: &Method, path: &str, query: &Query, served: &Served) -> Result<Target, Status> {
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let segments: Vec<String> =
        path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Ok(Target::Path(segments)),
    };
    if !served.is_served(group, version) {
        return Ok(Target::Path(segments));
    }
    // The way to watch of the first versions, still served.
    let (is_watched, rest) = match rest {
        ["watch", rest @ ..] if method == Method::GET && !rest.is_empty() => (true, rest),
        rest => (false, rest),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !is_namespace_subresource(rest) => {
            (*namespace, rest)
        }
        rest => ("", rest),
    };
    let [plural, rest @ ..] = rest else { return Err(not_served()) };
    let kind = served.find(group, version, plural).ok_or_else(not_served)?;
    let (name, subresource) = match rest {
        [] => ("", None),
        [name] => (*name, None),
        [name, subresource] => (*name, Some(kind.subresource(subresource).ok_or_else(not_served)?)),
        _ => return Err(not_served()),
    };
    let fits =
        if kind.is_namespaced() { !namespace.is_empty() || name.is_empty() } else { namespace.is_empty() };
    if !fits {
        return Err(not_served());
    }
    check_name(name)?;
    let info = RequestInfo {
        verb: if is_watched {
            watched(kind, subresource)?
        } else {
            verb(kind, method, name, subresource, query)?
        },
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource,
    };
    let is_creation_everywhere = info.verb == Verb::Create && kind.is_namespaced() && namespace.is_empty();
    if is_creation_everywhere { Err(not_allowed()) } else { Ok(Target::Resource(Box::new(info))) }
}

/// Upstream's `IsValidPathSegmentName`.
fn check_name(name: &str) -> Result<(), Status> {
    let why = match name {
        "." | ".." => format!("may not be '{name}'"),
        name if name.contains('%') => "may not contain '%'".to_owned(),
        _ => return Ok(()),
    };
    Err(Status::bad_request(format!("Name parameter invalid: {name:?}: {why}")))
}

/// `namespaces/NAME/status` is about the namespace; `namespaces/NAME/pods` is about what is in it.
fn is_namespace_subresource(rest: &[&str]) -> bool {
    matches!(rest, ["status" | "finalize"])
}

/// `/api/v1/watch/...`: the collection, or one object of it.
fn watched(kind: &Kind, subresource: Option<Subresource>) -> Result<Verb, Status> {
    match subresource {
        None if kind.verbs().contains(&Verb::Watch) => Ok(Verb::Watch),
        _ => Err(not_served()),
    }
}

fn verb(
    kind: &Kind,
    method: &Method,
    name: &str,
    subresource: Option<Subresource>,
    query: &Query,
) -> Result<Verb, Status> {
    let is_collection = name.is_empty();
    let verb = match method.as_str() {
        "GET" | "HEAD" if is_collection && query.flag("watch") => Verb::Watch,
        "GET" | "HEAD" if is_collection => Verb::List,
        "GET" | "HEAD" => Verb::Get,
        "POST" if is_collection || subresource.is_some() => Verb::Create,
        "PUT" if !is_collection => Verb::Update,
        "PATCH" if !is_collection => Verb::Patch,
        "DELETE" if is_collection => Verb::DeleteCollection,
        "DELETE" => Verb::Delete,
        _ => return Err(not_allowed()),
    };
    match subresource {
        Some(subresource) if !subresource.verbs().contains(&verb) => Err(not_allowed()),
        None if !kind.verbs().contains(&verb) => Err(not_allowed()),
        _ => Ok(verb),
    }
}

/// A path that no resource has, below a group that is served.
fn not_served() -> Status {
    let mut status = Status::failure(404, "NotFound", "the server could not find the requested resource");
    status.details = Some(StatusDetails::default());
    status
}

fn not_allowed() -> Status {
    let message = "the server does not allow this method on the requested resource";
    let mut status = Status::failure(405, "MethodNotAllowed", message);
    status.details = Some(StatusDetails::default());
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, target: &str, expected: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let found = match parse(&method, path, &Query::parse(Some(query)), &Served::built_in()) {
            Err(status) => status.code.to_string(),
            Ok(Target::Path(segments)) => format!("path {}", segments.join("/")),
            Ok(Target::Resource(info)) => {
                let subresource = info
                    .subresource
                    .map(|subresource| format!("/{}", subresource.name()))
                    .unwrap_or_default();
                format!(
                    "{} {}{subresource} {}/{}",
                    info.verb.as_str(),
                    info.kind.plural,
                    info.namespace,
                    info.name
                )
            }
        };
        assert_eq!(found, expected, "{method} {target}");
    }

    #[test]
    fn paths_become_verbs_on_resources() {
        check("GET", "/api/v1/pods", "list pods /");
        check("GET", "/api/v1/pods?watch=true", "watch pods /");
        check("GET", "/api/v1/namespaces/default/pods/a", "get pods default/a");
        check("GET", "/api/v1/namespaces/default", "get namespaces /default");
        check("PUT", "/api/v1/namespaces/default/finalize", "update namespaces/finalize /default");
        check("POST", "/apis/apps/v1/namespaces/default/deployments", "create deployments default/");
        check(
            "PATCH",
            "/apis/apps/v1/namespaces/default/deployments/a/scale",
            "patch deployments/scale default/a",
        );
        check("DELETE", "/api/v1/namespaces/default/pods", "deletecollection pods default/");
        check("POST", "/api/v1/namespaces/default/pods/a/binding", "create pods/binding default/a");
        check("GET", "/api/v1/watch/pods", "watch pods /");
        check("GET", "/api/v1/watch/namespaces/default/pods/a", "watch pods default/a");
        check("GET", "/api/v1/watch/namespaces/a", "watch namespaces /a");
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        check("GET", "/version", "path version");
        check("GET", "/api/v1", "path api/v1");
        check("GET", "/apis/extensions/v1beta1/deployments", "path apis/extensions/v1beta1/deployments");
        check("GET", "/api/v1/foos", "404");
        check("GET", "/api/v1/namespaces/default/pods/a/foo", "404");
        check("GET", "/api/v1/namespaces/default/nodes", "404");
        check("POST", "/api/v1/namespaces/default/pods/a", "405");
        check("POST", "/api/v1/pods", "405");
        check("GET", "/api/v1/watch", "404");
        check("POST", "/api/v1/watch/namespaces/default/pods", "404");
        check("GET", "/api/v1/watch/namespaces/default/pods/a/log", "404");
        check("GET", "/api/v1/namespaces/default/pods/a/binding", "405");
        check("GET", "/api/v1/namespaces/default/pods/%2e%2e", "400");
        check("GET", "/api/v1/namespaces/default/pods/a%2500", "400");
        check("GET", "/api/v1/namespaces/default/pods/..%2f..%2fsecrets%2fkube-system%2fa", "404");
        check("GET", "/api/v1/namespaces/default/pods/a%2fstatus", "get pods/status default/a");
    }
}
