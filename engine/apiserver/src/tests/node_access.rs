//! What kubelets may do: the Node authorizer and NodeRestriction.

use super::access::door_with;
use super::*;

fn pod_on(node: &str, name: &str, spec: Value) -> Value {
    let mut pod = pod(name);
    pod["spec"]["nodeName"] = json!(node);
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    pod
}

#[test]
fn a_kubelet_reads_what_its_pods_refer_to_and_nothing_else() {
    door_with(&[("authorization-mode", "Node,RBAC")], |door| async move {
        let from = |secret: &str| json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]);
        let spec = |node: &str| {
            json!({
                "containers": [{"name": "main", "image": "nginx", "env": from(&format!("env-{node}"))}],
                "imagePullSecrets": [{"name": format!("pull-{node}")}],
                "serviceAccountName": format!("account-{node}"),
                "volumes": [
                    {"name": "a", "configMap": {"name": format!("map-{node}")}},
                    {"name": "b", "projected": {"sources": [{"secret": {"name": format!("projected-{node}")}}]}},
                    {"name": "c", "persistentVolumeClaim": {"claimName": format!("claim-{node}")}},
                    {"name": "d", "secret": {"secretName": format!("volume-{node}")}},
                ],
            })
        };
        for node in ["worker1", "worker2"] {
            let accounts = "/api/v1/namespaces/default/serviceaccounts";
            door.root("POST", accounts, json!({"metadata": {"name": format!("account-{node}")}})).await;
            door.root("POST", PODS, pod_on(node, &format!("on-{node}"), spec(node))).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let core = "/api/v1/namespaces/default";
        let code =
            async |method: &str, target: String| door.ask("t-node", method, &target, Value::Null).await.0;
        for what in ["env", "pull", "projected", "volume"] {
            assert_eq!(
                code("GET", format!("{core}/secrets/{what}-worker1")).await,
                404,
                "may be read: {what}"
            );
            assert_eq!(code("GET", format!("{core}/secrets/{what}-worker2")).await, 403, "{what}");
        }
        assert_eq!(code("GET", format!("{core}/configmaps/map-worker1")).await, 404);
        assert_eq!(code("GET", format!("{core}/persistentvolumeclaims/claim-worker1")).await, 404);
        assert_eq!(code("GET", format!("{core}/persistentvolumeclaims/claim-worker2")).await, 403);
        assert_eq!(code("GET", format!("{PODS}/on-worker1")).await, 200);
        assert_eq!(code("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dworker1".to_owned()).await, 200);
        assert_eq!(code("GET", format!("{core}/services")).await, 200, "a rule of system:node");
        assert_eq!(
            code("GET", format!("{core}/secrets?fieldSelector=metadata.name%3Denv-worker1")).await,
            200
        );

        let user = "User \"system:node:worker1\" cannot";
        let cases = [
            (
                format!("{core}/secrets/other"),
                format!(
                    "secrets \"other\" is forbidden: {user} get resource \"secrets\" in API group \"\" in the namespace \"default\": no relationship found between node 'worker1' and this object"
                ),
            ),
            (
                format!("{core}/secrets"),
                format!(
                    "secrets is forbidden: {user} list resource \"secrets\" in API group \"\" in the namespace \"default\": No Object name found"
                ),
            ),
            (
                "/api/v1/secrets".to_owned(),
                format!(
                    "secrets is forbidden: {user} list resource \"secrets\" in API group \"\" at the cluster scope: can only read namespaced object of this type"
                ),
            ),
            (
                "/api/v1/pods".to_owned(),
                format!(
                    "pods is forbidden: {user} list resource \"pods\" in API group \"\" at the cluster scope: can only list/watch pods with spec.nodeName field selector"
                ),
            ),
            (
                "/api/v1/nodes/worker2".to_owned(),
                format!(
                    "nodes \"worker2\" is forbidden: {user} get resource \"nodes\" in API group \"\" at the cluster scope: node 'worker1' cannot read 'worker2', only its own Node object"
                ),
            ),
            (
                "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x".to_owned(),
                format!(
                    "leases.coordination.k8s.io \"x\" is forbidden: {user} get resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"kube-system\": can only access leases in the \"kube-node-lease\" system namespace"
                ),
            ),
        ];
        for (target, message) in &cases {
            door.refuses("t-node", "GET", target, message).await;
        }
        let (code, _) = door.ask("t-nodes", "GET", "/api/v1/pods", Value::Null).await;
        assert_eq!(code, 403, "a group alone makes no node");
        door.root("DELETE", &format!("{PODS}/on-worker1?gracePeriodSeconds=0"), Value::Null).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            door.ask("t-node", "GET", &format!("{core}/secrets/env-worker1"), Value::Null).await.0,
            403
        );
    });
}

#[test]
fn a_restricted_kubelet_changes_its_own_node_and_pods() {
    let flags = [("authorization-mode", "Node,RBAC"), ("enable-admission-plugins", "NodeRestriction")];
    door_with(&flags, |door| async move {
        let refused = async |method: &str, target: &str, body: Value, why: &str| {
            let (code, status) = door.ask("t-node", method, target, body).await;
            let message = status["message"].as_str().unwrap_or_default().to_owned();
            assert_eq!(code, 403, "{method} {target}: {status}");
            assert!(message.ends_with(why), "{message}\n{why}");
        };
        let node = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
        let nodes = "/api/v1/nodes";
        refused(
            "POST",
            nodes,
            node("worker2", json!({})),
            "nodes \"worker2\" is forbidden: node \"worker1\" is not allowed to modify node \"worker2\"",
        )
        .await;
        let labels = json!({"node-restriction.kubernetes.io/a": "b", "kubernetes.io/os": "linux"});
        refused(
            "POST",
            nodes,
            node("worker1", labels),
            "node \"worker1\" is not allowed to set the following labels: node-restriction.kubernetes.io/a",
        )
        .await;
        let made =
            door.ask("t-node", "POST", nodes, node("worker1", json!({"kubernetes.io/os": "linux"}))).await;
        assert_eq!(made.0, 201, "{}", made.1);
        let mut tainted = made.1.clone();
        tainted["spec"]["taints"] = json!([{"key": "a", "effect": "NoSchedule"}]);
        refused("PUT", "/api/v1/nodes/worker1", tainted, "node \"worker1\" is not allowed to modify taints")
            .await;
        let mut labelled = made.1.clone();
        labelled["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = json!("");
        refused(
            "PUT",
            "/api/v1/nodes/worker1",
            labelled,
            "is not allowed to modify labels: node-role.kubernetes.io/control-plane",
        )
        .await;

        refused("POST", PODS, pod("web"), "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"worker1\" can only create mirror pods").await;
        for on in ["worker1", "worker2"] {
            door.root("POST", PODS, pod_on(on, &format!("on-{on}"), json!({}))).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let theirs = format!("{PODS}/on-worker2");
        refused(
            "DELETE",
            &theirs,
            Value::Null,
            "node \"worker1\" can only delete pods with spec.nodeName set to itself",
        )
        .await;
        let status = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": {"phase": "Running"}});
        refused(
            "PUT",
            &format!("{theirs}/status"),
            status("on-worker2"),
            "node \"worker1\" can only update pod status for pods with spec.nodeName set to itself",
        )
        .await;
        let eviction =
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "on-worker2"}});
        refused(
            "POST",
            &format!("{theirs}/eviction"),
            eviction,
            "node \"worker1\" can only evict pods with spec.nodeName set to itself",
        )
        .await;
        let token = json!({"spec": {}});
        refused(
            "POST",
            "/api/v1/namespaces/default/serviceaccounts/default/token",
            token,
            "node requested token not bound to a pod",
        )
        .await;
        assert_eq!(door.ask("t-node", "DELETE", &format!("{PODS}/on-worker1"), Value::Null).await.0, 200);
    });
}
