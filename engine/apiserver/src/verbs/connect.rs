//! `exec`, `attach` and `portforward`: the request becomes a connection to the kubelet of the pod's node.
//! Counterpart: `pkg/registry/core/pod/rest/subresources.go`.

use labkit_api::{Object, Status};
use labkit_client::{Pipe, Response};

use crate::kinds::{Subresource, pods};
use crate::kubelets::{KubeletError, SessionRequest};
use crate::pod_spec::{list, text};
use crate::streams::{channels, port_forward, upgrade};
use crate::verbs::Call;

pub(super) async fn connect(call: Call) -> Result<Response, Status> {
    let (namespace, name) = (&call.info.namespace, &call.info.name);
    let pod = call.registry.get(&pods::KIND, namespace, name, -1).await?.object();
    let is_ports = call.info.subresource == Some(Subresource::PortForward);
    let container = if is_ports { String::new() } else { container(&pod, call.query.get("container"))? };
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    if is_ports { forward(&call, node).await } else { session(&call, node, container).await }
}

async fn session(call: &Call, node: &str, container: String) -> Result<Response, Status> {
    let is_exec = call.info.subresource == Some(Subresource::Exec);
    let request = SessionRequest {
        namespace: call.info.namespace.clone(),
        pod: call.info.name.clone(),
        container,
        command: is_exec.then(|| call.query.all("command")),
        stdin: call.query.flag("stdin"),
        stdout: call.query.flag("stdout"),
        // A terminal has one output.
        stderr: call.query.flag("stderr") && !call.query.flag("tty"),
        tty: call.query.flag("tty"),
    };
    let (stdout, stderr) = (request.stdout, request.stderr);
    if !request.stdin && !stdout && !stderr {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let protocol = upgrade::negotiate(&call.headers, channels::PROTOCOLS)?;
    let verb = if is_exec { "exec" } else { "attach" };
    let path = format!("{verb}/{}/{}/{}", request.namespace, request.pod, request.container);
    let opened = call.kubelets.open_session(node, request).await;
    let (client, own) = Pipe::pair();
    match opened {
        Ok(session) => {
            labkit_sim::spawn(channels::carry(protocol, stdout, stderr, own, session));
        }
        Err(error) if channels::is_translated(protocol) => {
            labkit_sim::spawn(channels::refuse(own, error, path));
        }
        Err(error) => return Err(proxied(error)),
    }
    Ok(upgrade::switch(protocol, client))
}

async fn forward(call: &Call, node: &str) -> Result<Response, Status> {
    // Dialled first: a client that falls back to SPDY is to learn what is wrong, not that SPDY is not spoken.
    let ports = call.kubelets.pod_ports(node, &call.info.namespace, &call.info.name).await;
    let ports = ports.map_err(proxied)?;
    let protocol = upgrade::negotiate(&call.headers, port_forward::PROTOCOLS)?;
    let (client, own) = Pipe::pair();
    labkit_sim::spawn(port_forward::serve(own, ports));
    Ok(upgrade::switch(protocol, client))
}

/// A refusal as the proxy in front of the kubelet passes it on.
fn proxied(error: KubeletError) -> Status {
    match error {
        KubeletError::Dial { .. } => Status::failure(500, "", format!("error dialing backend: {error}")),
        KubeletError::Refused { code, message } => Status::failure(code, "", message),
    }
}

/// The container that is named, or the only one.
pub(super) fn container(pod: &Object, asked: &str) -> Result<String, Status> {
    let name = &pod.metadata.name;
    let spec = pod.rest.get("spec").unwrap_or(&serde_json::Value::Null);
    let names =
        |field: &str| list(spec, field).iter().map(|container| text(container, "name")).collect::<Vec<_>>();
    let (containers, init) = (names("containers"), names("initContainers"));
    if !asked.is_empty() {
        let ephemeral = names("ephemeralContainers");
        return if [&containers, &init, &ephemeral].iter().any(|names| names.contains(&asked)) {
            Ok(asked.to_owned())
        } else {
            Err(Status::bad_request(format!("container {asked} is not valid for pod {name}")))
        };
    }
    match containers.as_slice() {
        [only] => Ok((*only).to_owned()),
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
