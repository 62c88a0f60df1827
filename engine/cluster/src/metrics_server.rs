//! `metricsServer: {}`: the objects of the metrics server's manifest, made when the cluster is up.
//! Counterpart: `components.yaml` of `sigs.k8s.io/metrics-server`.

use labkit_api::{Object, Resource, Scope};
use labkit_client::{Client, Error};
use serde_json::{Value, json};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "metrics-server";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Makes what is missing.
pub(crate) async fn install(client: &Client) -> Result<(), Error> {
    for manifest in manifests() {
        let object = Object::from_value(manifest).expect("written below");
        let gvk = object.gvk();
        let scope = if object.metadata.namespace.is_empty() { Scope::Cluster } else { Scope::Namespaced };
        let resource = Resource { plural: format!("{}s", gvk.kind.to_lowercase()), gvk, scope };
        match client.create(&resource, &object).await {
            Err(error) if !error.is_already_exists() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn manifests() -> Vec<Value> {
    let labels = json!({"k8s-app": NAME});
    let own = json!({"name": NAME, "namespace": NAMESPACE, "labels": labels});
    let role = |name: &str, labels: Value, rules: Value| {
        json!({
            "apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": name, "labels": labels}, "rules": rules,
        })
    };
    let reader = "system:aggregated-metrics-reader";
    let aggregated = ["admin", "edit", "view"]
        .map(|role| (format!("rbac.authorization.k8s.io/aggregate-to-{role}"), json!("true")));
    let aggregated: serde_json::Map<String, Value> = aggregated.into_iter().collect();
    let read = ["get", "list", "watch"];
    let system = format!("system:{NAME}");
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own}),
        role(
            reader,
            Value::Object(aggregated),
            json!([{"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": read}]),
        ),
        role(
            &system,
            labels.clone(),
            json!([
                {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": read},
            ]),
        ),
        json!({
            "apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": system, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": system},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": own,
            "spec": {
                "selector": labels,
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}],
            },
        }),
        deployment(&own, &labels),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io", "labels": labels},
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true, "service": {"name": NAME, "namespace": NAMESPACE},
            },
        }),
    ]
}

fn deployment(own: &Value, labels: &Value) -> Value {
    let probe = |path: &str, delay: Option<i64>| {
        let get = json!({"path": path, "port": "https", "scheme": "HTTPS"});
        let mut probe = json!({"failureThreshold": 3, "periodSeconds": 10, "httpGet": get});
        if let Some(delay) = delay {
            probe["initialDelaySeconds"] = json!(delay);
        }
        probe
    };
    let container = json!({
        "name": NAME, "image": "registry.k8s.io/metrics-server/metrics-server:v0.7.2",
        "args": [
            "--cert-dir=/tmp", "--secure-port=10250",
            "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname", "--kubelet-use-node-status-port",
            "--metric-resolution=15s",
        ],
        "ports": [{"containerPort": 10250, "name": "https", "protocol": "TCP"}],
        "livenessProbe": probe("/livez", None), "readinessProbe": probe("/readyz", Some(20)),
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}},
        "volumeMounts": [{"mountPath": "/tmp", "name": "tmp-dir"}],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": own,
        "spec": {
            "selector": {"matchLabels": labels}, "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [container], "priorityClassName": "system-cluster-critical",
                    "serviceAccountName": NAME, "volumes": [{"emptyDir": {}, "name": "tmp-dir"}],
                },
            },
        },
    })
}
