//! What is particular to a kind: validation, immutability, allocation, admission.

use super::*;

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

#[test]
fn a_pod_is_admitted_with_account_priority_and_tolerations() {
    lab(|lab| async move {
        let pod = lab.post(PODS, pod("a")).await;
        assert_eq!(
            (&pod["spec"]["serviceAccountName"], &pod["spec"]["priority"]),
            (&json!("default"), &json!(0))
        );
        let tolerations = pod["spec"]["tolerations"].as_array().unwrap();
        assert_eq!(tolerations.len(), 2);
        assert_eq!(tolerations[0]["tolerationSeconds"], 300);
        assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    });
}

#[test]
fn invalid_workloads_are_refused_in_upstreams_words() {
    lab(|lab| async move {
        let mut web = deployment("web");
        web["spec"]["replicas"] = json!(-1);
        let message = "Deployment.apps \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0";
        lab.refused("POST", DEPLOYMENTS, web, 422, message).await;
        let mut web = deployment("web");
        web["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
        let message = "Deployment.apps \"web\" is invalid: spec.template.metadata.labels: Invalid value: \
                       map[string]string{\"app\":\"other\"}: `selector` does not match template `labels`";
        lab.refused("POST", DEPLOYMENTS, web, 422, message).await;
        let mut broken = pod("a");
        broken["spec"]["containers"] =
            json!([{"name": "c", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]);
        let message = "Pod \"a\" is invalid: spec.containers[0].volumeMounts[0].name: Not found: \"v\"";
        lab.refused("POST", PODS, broken, 422, message).await;
        let mut greedy = pod("a");
        greedy["spec"]["containers"][0]["resources"] =
            json!({"requests": {"cpu": "1"}, "limits": {"cpu": "500m"}});
        let message = "Pod \"a\" is invalid: spec.containers[0].resources.requests: Invalid value: \"1\": must be less than \
                       or equal to cpu limit of 500m";
        lab.refused("POST", PODS, greedy, 422, message).await;
        let status = lab.json("POST", CONFIG_MAPS, json!({"metadata": {}})).await.1;
        assert_eq!(
            status["message"],
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"
        );
    });
}

#[test]
fn what_may_not_change_does_not() {
    lab(|lab| async move {
        lab.post(DEPLOYMENTS, deployment("web")).await;
        let (code, status) = lab
            .json(
                "PATCH",
                &format!("{DEPLOYMENTS}/web"),
                json!({"spec": {"selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}}}}),
            )
            .await;
        assert_eq!(code, 422);
        let expected = "Deployment.apps \"web\" is invalid: spec.selector: Invalid value: v1.LabelSelector{MatchLabels:\
                        map[string]string{\"app\":\"x\"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable";
        assert_eq!(status["message"], expected);
        lab.post(PODS, pod("a")).await;
        let image = json!({"spec": {"containers": [{"name": "c", "image": "nginx:1.28"}]}});
        assert_eq!(
            lab.patch(&format!("{PODS}/a"), image).await["spec"]["containers"][0]["image"],
            "nginx:1.28"
        );
        let (code, status) =
            lab.json("PATCH", &format!("{PODS}/a"), json!({"spec": {"hostname": "x"}})).await;
        assert_eq!(code, 422);
        assert!(
            status["message"]
                .as_str()
                .unwrap()
                .contains("spec: Forbidden: pod updates may not change fields other than")
        );
        let mut fixed = config_map("fixed");
        fixed["immutable"] = json!(true);
        lab.post(CONFIG_MAPS, fixed).await;
        let message =
            "ConfigMap \"fixed\" is invalid: data: Forbidden: field is immutable when `immutable` is set";
        lab.refused(
            "PATCH",
            &format!("{CONFIG_MAPS}/fixed"),
            json!({"data": {"key": "other"}}),
            422,
            message,
        )
        .await;
    });
}

#[test]
fn services_get_addresses_and_node_ports_of_their_own() {
    lab(|lab| async move {
        let ports = json!([{"port": 80}]);
        let first = lab.post(SERVICES, service("a", json!({"ports": ports, "selector": {"app": "a"}}))).await;
        let second = lab.post(SERVICES, service("b", json!({"ports": ports, "type": "NodePort"}))).await;
        let ip = first["spec"]["clusterIP"].as_str().unwrap().to_owned();
        assert!(ip.starts_with("10."), "{ip}");
        assert_ne!(first["spec"]["clusterIP"], second["spec"]["clusterIP"]);
        assert_eq!(first["spec"]["ports"][0], json!({"port": 80, "protocol": "TCP", "targetPort": 80}));
        assert_eq!(
            (&first["spec"]["sessionAffinity"], &first["spec"]["ipFamilyPolicy"]),
            (&json!("None"), &json!("SingleStack"))
        );
        let node_port = second["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
        assert!((30000..=32767).contains(&node_port));
        let message = format!(
            "Service \"c\" is invalid: spec.clusterIPs: Invalid value: []string{{\"{ip}\"}}: failed to allocate IP {ip}: provided \
             IP is already allocated"
        );
        lab.refused("POST", SERVICES, service("c", json!({"ports": ports, "clusterIP": ip})), 422, &message)
            .await;
        let message = format!(
            "Service \"c\" is invalid: spec.ports[0].nodePort: Invalid value: {node_port}: provided port is already allocated"
        );
        let taken = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": node_port}]});
        lab.refused("POST", SERVICES, service("c", taken), 422, &message).await;
        lab.json("DELETE", &format!("{SERVICES}/a"), Value::Null).await;
        lab.post(SERVICES, service("c", json!({"ports": ports, "clusterIP": ip}))).await;
        let mut changed = lab.get(&format!("{SERVICES}/b")).await;
        changed["spec"]["clusterIP"] = json!("10.96.0.77");
        changed["spec"]["clusterIPs"] = json!(["10.96.0.77"]);
        let message = "Service \"b\" is invalid: spec.clusterIPs[0]: Invalid value: []string{\"10.96.0.77\"}: may not change once set";
        lab.refused("PUT", &format!("{SERVICES}/b"), changed, 422, message).await;
    });
}

#[test]
fn a_secrets_string_data_is_encoded() {
    lab(|lab| async move {
        let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}});
        let created = lab.post("/api/v1/namespaces/default/secrets", secret).await;
        assert_eq!(
            (&created["data"]["password"], &created["type"]),
            (&json!("aHVudGVyMg=="), &json!("Opaque"))
        );
        assert_eq!(created.get("stringData"), None);
    });
}

#[test]
fn events_are_one_collection_under_two_names_and_expire() {
    lab(|lab| async move {
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}, "reason": "Scheduled",
            "message": "Successfully assigned", "type": "Normal", "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}});
        lab.post("/api/v1/namespaces/default/events", event).await;
        let served = lab.get("/apis/events.k8s.io/v1/namespaces/default/events/e").await;
        assert_eq!(
            (&served["note"], &served["apiVersion"]),
            (&json!("Successfully assigned"), &json!("events.k8s.io/v1"))
        );
        let selected =
            lab.get("/api/v1/events?fieldSelector=involvedObject.name%3Dp,involvedObject.kind%3DPod").await;
        assert_eq!(selected["items"].as_array().unwrap().len(), 1);
        tokio::time::sleep(Duration::from_secs(3600 + 120)).await;
        assert_eq!(lab.get("/api/v1/events").await["items"], json!([]));
    });
}

#[test]
fn a_log_is_asked_of_the_node() {
    lab(|lab| async move {
        lab.post(PODS, pod("a")).await;
        let binding = json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "worker1"}});
        lab.post(&format!("{PODS}/a/binding"), binding).await;
        let response = lab.send("GET", &format!("{PODS}/a/log"), &[], "").await;
        assert_eq!(whole(response), "c on worker1\n");
        let message = "container x is not valid for pod a";
        lab.refused("GET", &format!("{PODS}/a/log?container=x"), Value::Null, 400, message).await;
    });
}

#[test]
fn ephemeral_containers_are_only_ever_added() {
    lab(|lab| async move {
        let mut early = pod("early");
        early["spec"]["ephemeralContainers"] = json!([{"name": "d", "image": "busybox"}]);
        let message =
            "Pod \"early\" is invalid: spec.ephemeralContainers: Forbidden: cannot be set on create";
        lab.refused("POST", PODS, early, 422, message).await;
        lab.post(PODS, pod("a")).await;
        let path = format!("{PODS}/a/ephemeralcontainers");
        let debugger = json!({"name": "d", "image": "busybox", "targetContainerName": "c"});
        let patched = lab.patch(&path, json!({"metadata": {"labels": {"x": "y"}}, "spec": {"hostname": "h", "ephemeralContainers": [debugger]}})).await;
        assert_eq!(patched["spec"]["ephemeralContainers"][0]["imagePullPolicy"], "Always");
        assert_eq!(
            (&patched["spec"]["hostname"], &patched["metadata"]["labels"]["x"]),
            (&Value::Null, &Value::Null)
        );
        let wrong = json!({"name": "c", "image": "busybox", "targetContainerName": "d", "ports": [{"containerPort": 1}], "livenessProbe": {"tcpSocket": {"port": 1}}});
        let message = "Pod \"a\" is invalid: [\
            spec.ephemeralContainers[1].name: Duplicate value: \"c\", \
            spec.ephemeralContainers[1].targetContainerName: Not found: \"d\", \
            spec.ephemeralContainers[1].ports: Forbidden: cannot be set for an Ephemeral Container, \
            spec.ephemeralContainers[1].livenessProbe: Forbidden: cannot be set for an Ephemeral Container]";
        let body = json!({"spec": {"$setElementOrder/ephemeralContainers": [{"name": "d"}, {"name": "c"}], "ephemeralContainers": [wrong]}});
        lab.refused("PATCH", &path, body, 422, message).await;
        let mut gone = lab.get(&path).await;
        gone["spec"].as_object_mut().unwrap().remove("ephemeralContainers");
        let message = "Pod \"a\" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be removed\n";
        lab.refused("PUT", &path, gone, 422, message).await;
        let mut more = lab.get(&format!("{PODS}/a")).await;
        more["spec"]["ephemeralContainers"][0]["image"] = json!("alpine");
        assert_eq!(lab.json("PUT", &format!("{PODS}/a"), more).await.0, 422);
    });
}

#[test]
fn component_statuses_are_asked_when_somebody_asks() {
    lab(|lab| async move {
        let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
        let response = lab.send("GET", "/api/v1/componentstatuses", &accept, "").await;
        assert_eq!(response.headers()["warning"], "299 - \"v1 ComponentStatus is deprecated in v1.19+\"");
        let table: Value = serde_json::from_slice(&whole(response)).unwrap();
        let cells: Vec<&Value> = table["rows"].as_array().unwrap().iter().map(|row| &row["cells"]).collect();
        assert_eq!(
            json!(cells),
            json!([
                ["scheduler", "Healthy", "ok", ""],
                ["controller-manager", "Unhealthy", "connection refused", ""],
                ["etcd-0", "Healthy", "ok", ""],
            ])
        );
        let one = lab.get("/api/v1/componentstatuses/etcd-0").await;
        assert_eq!(one["conditions"], json!([{"type": "Healthy", "status": "True", "message": "ok"}]));
        let message = "componentstatuses \"etcd-1\" not found";
        lab.refused("GET", "/api/v1/componentstatuses/etcd-1", Value::Null, 404, message).await;
        let message = "the server does not allow this method on the requested resource";
        lab.refused("POST", "/api/v1/componentstatuses", json!({}), 405, message).await;
    });
}
