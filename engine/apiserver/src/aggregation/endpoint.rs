//! From an APIService to a port of a pod, and what hinders it, in upstream's words. Counterparts:
//! `kube-aggregator/pkg/controllers/status/remote`, `k8s.io/apiserver/pkg/util/proxy`.

use std::net::IpAddr;

use labkit_api::Object;
use serde_json::Value;

use super::ServiceReference;
use crate::kinds::{endpoint_slices, services};
use crate::registry::Registry;

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Where a service leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// What the API server dials: the service's own address and port.
    pub authority: String,
    /// Who answers there; `None` for a service without a pod.
    pub pod: Option<(IpAddr, u16)>,
}

/// Why a service leads nowhere: the reason and message of the condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    pub reason: &'static str,
    pub message: String,
}

pub(crate) async fn find(registry: &Registry, reference: &ServiceReference) -> Result<Endpoint, Missing> {
    let ServiceReference { namespace, name, port } = reference;
    let key = format!("{namespace}/{name}");
    let Some(service) = registry.followed(&services::KIND).await.get(&key) else {
        let message = format!("service/{name} in {namespace:?} is not present");
        return Err(Missing { reason: "ServiceNotFound", message });
    };
    let service = service.object();
    let kind = service.str_at(&["spec", "type"]).unwrap_or("ClusterIP");
    let named = service
        .at(&["spec", "ports"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|own| own["port"].as_i64() == Some(*port));
    let host = match kind {
        "ExternalName" => service.str_at(&["spec", "externalName"]),
        _ => service.str_at(&["spec", "clusterIP"]),
    };
    let authority = format!("{}:{port}", host.unwrap_or_default());
    let Some(named) = named else {
        if kind != "ClusterIP" {
            return Ok(Endpoint { authority, pod: None });
        }
        let message = format!("service/{name} in {namespace:?} is not listening on port {port}");
        return Err(Missing { reason: "ServicePortError", message });
    };
    let port_name = named["name"].as_str().unwrap_or_default();
    let slices = registry.followed(&endpoint_slices::KIND).await.snapshot(&format!("{namespace}/")).0;
    let mut own = slices
        .iter()
        .map(|entry| entry.object())
        .filter(|slice| slice.metadata.labels.get(SERVICE_NAME).is_some_and(|owner| owner == name))
        .peekable();
    if own.peek().is_none() && kind == "ClusterIP" {
        let message = format!("cannot find endpoints for service/{name} in {namespace:?}");
        return Err(Missing { reason: "EndpointsNotFound", message });
    }
    let pod = own.find_map(|slice| ready(&slice, port_name));
    if pod.is_none() && kind == "ClusterIP" {
        let message = format!(
            "endpoints for service/{name} in {namespace:?} have no addresses with port name {port_name:?}"
        );
        return Err(Missing { reason: "MissingEndpoints", message });
    }
    Ok(Endpoint { authority, pod })
}

/// The first endpoint of a slice that is ready, at the port of that name.
fn ready(slice: &Object, port_name: &str) -> Option<(IpAddr, u16)> {
    let list = |name: &str| slice.rest.get(name).and_then(Value::as_array).into_iter().flatten();
    let port = list("ports").find(|port| port["name"].as_str().unwrap_or_default() == port_name)?;
    let port = u16::try_from(port["port"].as_i64()?).ok()?;
    let is_ready = |endpoint: &&Value| endpoint["conditions"]["ready"] != Value::Bool(false);
    list("endpoints")
        .filter(is_ready)
        .find_map(|endpoint| endpoint["addresses"][0].as_str()?.parse().ok())
        .map(|address| (address, port))
}
