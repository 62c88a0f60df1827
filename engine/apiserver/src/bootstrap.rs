//! What every cluster has from its first second: the system namespaces and the service `default/kubernetes`
//! with its endpoints.
//! Counterpart: `pkg/controlplane/controller/{systemnamespaces,kubernetesservice}`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use labkit_api::{Object, Status, Time};
use serde_json::{Value, json};

use crate::authz::bootstrap;
use crate::endpoint_lease;
use crate::kinds::{Kind, cluster_role_bindings, cluster_roles, namespaces, role_bindings, roles, services};
use crate::registry::Registry;

const NAMESPACES: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];

/// The service that leads to the API servers, and its endpoints.
pub(crate) const NAMESPACE: &str = "default";
pub(crate) const NAME: &str = "kubernetes";

/// Makes what is missing; a second server finds it done.
pub(crate) async fn make_default_objects(registry: &Registry, port: u16) -> Result<(), Status> {
    for name in NAMESPACES {
        make(registry, &namespaces::KIND, json!({"metadata": {"name": name}})).await?;
    }
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let ip = registry.addresses.first().to_string();
    let service = json!({
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip],
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
        },
    });
    make(registry, &services::KIND, service).await
}

/// Makes the roles and bindings that RBAC begins with. From then on their caches are what requests are judged by.
pub(crate) async fn make_default_roles(registry: &Registry) -> Result<(), Status> {
    for kind in [&cluster_roles::KIND, &cluster_role_bindings::KIND, &roles::KIND, &role_bindings::KIND] {
        registry.followed(kind).await;
    }
    let (role_values, bindings) = bootstrap::namespaced().into_iter().unzip();
    let defaults: [(&'static Kind, Vec<Value>); 4] = [
        (&cluster_roles::KIND, bootstrap::cluster_roles()),
        (&cluster_role_bindings::KIND, bootstrap::cluster_role_bindings()),
        (&roles::KIND, role_values),
        (&role_bindings::KIND, bindings),
    ];
    for (kind, objects) in defaults {
        let mut last = String::new();
        for object in objects {
            let metadata = &object["metadata"];
            let part = |field: &str| metadata[field].as_str().unwrap_or_default();
            last = crate::storage::relative_key(kind, part("namespace"), part("name"));
            make(registry, kind, object).await?;
        }
        if let Some(entry) = registry.fresh(kind, &last).await? {
            registry.cache(kind).reached(entry.revision).await?;
        }
    }
    Ok(())
}

/// Makes the endpoints of a server that is alone.
pub(crate) async fn make_endpoints(registry: &Registry, address: (IpAddr, u16)) -> Result<(), Status> {
    for (kind, object) in endpoint_lease::objects(&BTreeSet::from([address.0]), address.1) {
        make(registry, kind, object).await?;
    }
    Ok(())
}

pub(crate) async fn make(registry: &Registry, kind: &'static Kind, value: Value) -> Result<(), Status> {
    let mut object = Object::from_value(value).expect("written just above");
    object.api_version = kind.api_version();
    object.kind = kind.kind.to_owned();
    let key = crate::storage::relative_key(kind, &object.metadata.namespace, &object.metadata.name);
    if registry.cache(kind).get(&key).is_some() {
        return Ok(());
    }
    kind.strategy.set_defaults(&mut object);
    let now = Time::new(registry.world.clock().now());
    object.metadata.managed_fields = crate::verbs::field_manager::own(kind, &object, now);
    match registry.create(kind, object, false).await {
        Err(status) if !status.is_already_exists() => Err(status),
        _ => Ok(()),
    }
}
