//! A container's log, asked of the kubelet of its node. Counterpart: `pkg/registry/core/pod/rest/log.go`.

use jiff::Timestamp;
use labkit_api::{GroupVersionKind, Status, StatusCause};
use labkit_client::Response;

use crate::field;
use crate::kinds::pods;
use crate::kubelets::LogRequest;
use crate::verbs::{Call, connect};

pub(super) async fn log(call: Call) -> Result<Response, Status> {
    let (namespace, name) = (&call.info.namespace, &call.info.name);
    let mut request = LogRequest {
        namespace: namespace.clone(),
        pod: name.clone(),
        container: String::new(),
        follow: call.query.flag("follow"),
        previous: call.query.flag("previous"),
        tail_lines: call.query.number("tailLines")?,
        since_seconds: call.query.number("sinceSeconds")?,
        since_time: since_time(call.query.get("sinceTime"))?,
        limit_bytes: call.query.number("limitBytes")?,
        timestamps: call.query.flag("timestamps"),
    };
    let problems = problems(&request);
    if !problems.is_empty() {
        let gvk = GroupVersionKind::new("", "v1", "PodLogOptions");
        return Err(Status::invalid(&gvk, name, problems));
    }
    let pod = call.registry.get(&pods::KIND, namespace, name, -1).await?.object();
    request.container = connect::container(&pod, call.query.get("container"))?;
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        // No host, no log, no error.
        return Ok(crate::respond::whole(http::StatusCode::NO_CONTENT, "text/plain", bytes::Bytes::new()));
    }
    let body = call.kubelets.container_logs(node, request).await?;
    let response = http::Response::builder().header(http::header::CONTENT_TYPE, "text/plain");
    Ok(response.body(body).expect("the header is valid"))
}

fn since_time(text: &str) -> Result<Option<Timestamp>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let message = || {
        format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\"")
    };
    text.parse().map(Some).map_err(|_| Status::bad_request(message()))
}

fn problems(request: &LogRequest) -> Vec<StatusCause> {
    let mut problems = Vec::new();
    let mut check = |name: &str, value: Option<i64>, least: i64| {
        if let Some(value) = value.filter(|value| *value < least) {
            let detail =
                if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
            problems.push(field::invalid(name, value, detail));
        }
    };
    check("tailLines", request.tail_lines, 0);
    check("limitBytes", request.limit_bytes, 1);
    check("sinceSeconds", request.since_seconds, 1);
    if request.since_seconds.is_some() && request.since_time.is_some() {
        let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        problems.push(field::forbidden("", detail));
    }
    problems
}
