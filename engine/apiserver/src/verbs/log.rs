//! A container's log, asked of the kubelet of its node. Counterpart: `pkg/registry/core/pod/rest/log.go`.

use labkit_api::{Object, Status};
use labkit_client::Response;

use crate::kinds::pods;
use crate::kubelets::LogRequest;
use crate::pod_spec::{list, text};
use crate::verbs::Call;

pub(super) async fn log(call: Call) -> Result<Response, Status> {
    let (namespace, name) = (&call.info.namespace, &call.info.name);
    let pod = call.registry.get(&pods::KIND, namespace, name, -1).await?;
    let container = container(&pod.object, call.query.get("container"))?;
    let node = pod.object.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        // No host, no log, no error.
        return Ok(crate::respond::whole(http::StatusCode::NO_CONTENT, "text/plain", bytes::Bytes::new()));
    }
    let request = LogRequest {
        namespace: namespace.clone(),
        pod: name.clone(),
        container,
        follow: call.query.flag("follow"),
        previous: call.query.flag("previous"),
        tail_lines: call.query.number("tailLines")?,
        since_seconds: call.query.number("sinceSeconds")?,
        timestamps: call.query.flag("timestamps"),
    };
    let body = call.kubelets.container_logs(node, request).await?;
    let response = http::Response::builder().header(http::header::CONTENT_TYPE, "text/plain");
    Ok(response.body(body).expect("the header is valid"))
}

/// The container that is named, or the only one.
fn container(pod: &Object, asked: &str) -> Result<String, Status> {
    let name = &pod.metadata.name;
    let spec = pod.rest.get("spec").unwrap_or(&serde_json::Value::Null);
    let names =
        |field: &str| list(spec, field).iter().map(|container| text(container, "name")).collect::<Vec<_>>();
    let (containers, init) = (names("containers"), names("initContainers"));
    if !asked.is_empty() {
        return if containers.contains(&asked) || init.contains(&asked) {
            Ok(asked.to_owned())
        } else {
            Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")))
        };
    }
    match containers.as_slice() {
        [only] if init.is_empty() => Ok((*only).to_owned()),
        some => {
            let mut message = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                some.join(" ")
            );
            if !init.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(message))
        }
    }
}
