//! From a service and its pods to endpoints, grouped by the ports that the pods really have.
//! Counterpart: `k8s.io/endpointslice/utils.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::objects::{is_being_deleted, name, uid};
use crate::pods::{is_ready, is_terminated, node_name};

/// Ports, and the endpoints that have them. Keyed by the ports' JSON, since they have no order of their own.
pub(super) type Groups = BTreeMap<String, (Vec<EndpointPort>, Vec<Endpoint>)>;

pub(super) fn ports_key(ports: &[EndpointPort]) -> String {
    serde_json::to_string(ports).expect("k8s-openapi's types are JSON")
}

/// The endpoints that the service is to have. `zone_of` gives a node's zone.
pub(super) fn groups(
    service: &Service,
    pods: &[Arc<Pod>],
    zone_of: impl Fn(&str) -> Option<String>,
) -> Groups {
    let mut groups = Groups::new();
    for pod in pods.iter().filter(|pod| !is_terminated(pod) && !ip(pod).is_empty()) {
        let ports = ports(service, pod);
        let group = groups.entry(ports_key(&ports)).or_insert_with(|| (ports, Vec::new()));
        group.1.push(endpoint(service, pod, zone_of(node_name(pod))));
    }
    groups
}

fn ip(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or_default()
}

fn endpoint(service: &Service, pod: &Pod, zone: Option<String>) -> Endpoint {
    let spec = service.spec.as_ref();
    let publishes_all = spec.and_then(|spec| spec.publish_not_ready_addresses).unwrap_or_default();
    let (serving, terminating) = (is_ready(pod), is_being_deleted(pod));
    let pod_spec = pod.spec.as_ref();
    let hostname = pod_spec
        .and_then(|spec| spec.hostname.clone())
        .filter(|_| pod_spec.and_then(|spec| spec.subdomain.as_deref()) == Some(name(service)));
    Endpoint {
        addresses: vec![ip(pod).to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(publishes_all || serving && !terminating),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname,
        node_name: Some(node_name(pod).to_owned()).filter(|node| !node.is_empty()),
        zone,
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: Some(uid(pod).to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The service's ports on this pod; those that name a port which the pod does not have are left out.
fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let resolved = ports.iter().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(target(port, pod)?),
            protocol: Some(protocol(&port.protocol).to_owned()),
            app_protocol: port.app_protocol.clone(),
        })
    });
    resolved.collect()
}

fn target(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(wanted)) => {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            let found = ports.find(|own| {
                own.name.as_ref() == Some(wanted) && protocol(&own.protocol) == protocol(&port.protocol)
            });
            found.map(|own| own.container_port)
        }
    }
}

fn protocol(protocol: &Option<String>) -> &str {
    protocol.as_deref().unwrap_or("TCP")
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub fn service(more: Value) -> Service {
        let mut value = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "svc", "labels": {"team": "a"}},
            "spec": {"clusterIP": "10.96.0.7", "selector": {"app": "web"},
                "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
        });
        labkit_api::patch::merge_patch(&mut value, &more);
        serde_json::from_value(value).unwrap()
    }

    pub fn pod(name: &str, port: i32, ready: bool) -> Arc<Pod> {
        let value = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": port}]}]},
            "status": {"phase": "Running", "podIP": format!("10.244.1.{}", name.len()),
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn named_ports_are_looked_up_in_each_pod() {
        let groups = groups(&service(json!({})), &[pod("a", 80, true), pod("bb", 8080, true)], |_| None);
        let ports: Vec<i32> = groups.values().map(|(ports, _)| ports[0].port.unwrap()).collect();
        assert_eq!(ports, [80, 8080]);
    }

    #[track_caller]
    fn check_conditions(pod: &Arc<Pod>, more: Value, expected: (bool, bool, bool)) {
        let groups = groups(&service(more), std::slice::from_ref(pod), |_| Some("z1".to_owned()));
        let endpoint = &groups.values().next().unwrap().1[0];
        let conditions = endpoint.conditions.clone().unwrap();
        let actual =
            [conditions.ready, conditions.serving, conditions.terminating].map(|value| value.unwrap());
        assert_eq!((actual[0], actual[1], actual[2]), expected);
        assert_eq!(endpoint.zone.as_deref(), Some("z1"));
    }

    #[test]
    fn conditions_tell_ready_serving_and_terminating() {
        let mut terminating = Pod::clone(&pod("a", 80, true));
        terminating.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        check_conditions(&pod("a", 80, true), json!({}), (true, true, false));
        check_conditions(&pod("a", 80, false), json!({}), (false, false, false));
        check_conditions(&Arc::new(terminating), json!({}), (false, true, true));
        check_conditions(
            &pod("a", 80, false),
            json!({"spec": {"publishNotReadyAddresses": true}}),
            (true, false, false),
        );
    }
}
