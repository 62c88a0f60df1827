//! What upstream says of common mistakes, one row each: request, code, message.

use super::*;

const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const QUANTITY: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Sends each body as it stands.
async fn check(lab: &Lab, rows: &[(&str, &str, &str, &str, u16, &str)]) {
    for (method, target, content_type, body, code, message) in rows {
        let response = lab.send(method, target, &[("content-type", content_type)], (*body).to_owned()).await;
        let found = response.status().as_u16();
        let status: Value = serde_json::from_slice(&whole(response)).unwrap();
        let said = status["message"].as_str().unwrap_or_default();
        assert_eq!((found, said), (*code, *message), "{method} {target} {body}");
    }
}

const JSON: &str = "application/json";

#[test]
fn bodies_that_are_no_json_are_refused_in_gos_words() {
    lab(|lab| async move {
        let unrecognized = "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: ";
        let row = |why: &str| format!("{unrecognized}{why}");
        let target = &format!("{CONFIG_MAPS}/a");
        lab.post(CONFIG_MAPS, config_map("a")).await;
        check(
            &lab,
            &[
                ("POST", PODS, JSON, "not json", 400, &row("invalid character 'o' in literal null (expecting 'u') (6e6f74206a736f6e)")),
                ("POST", PODS, JSON, "{\"a\":", 400, &row("unexpected end of JSON input (7b2261223a)")),
                ("POST", PODS, JSON, "", 400, &row("unexpected end of JSON input (empty)")),
                ("POST", PODS, JSON, "[]", 400, &row(
                    "json: cannot unmarshal array into Go value of type struct { APIVersion string \
                     \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" } (5b5d)")),
                ("POST", PODS, JSON, "{\"kind\":1}", 400, &row(
                    "json: cannot unmarshal number into Go struct field .kind of type string (7b226b696e64223a317d)")),
                ("PATCH", target, MERGE, "xx", 400, "error decoding patch: invalid character 'x' looking for beginning of value"),
                ("PATCH", target, MERGE, "[]", 400,
                    "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
                ("PATCH", target, JSON_PATCH, "xx", 400, "error decoding patch: invalid character 'x' looking for beginning of value"),
                ("PATCH", target, JSON_PATCH, "{}", 400,
                    "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
                ("DELETE", target, JSON, "xxx", 400,
                    "couldn't get version/kind; json parse error: invalid character 'x' looking for beginning of value"),
                ("DELETE", target, JSON, "{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}", 400,
                    "decoded object cannot be converted to DeleteOptions"),
                ("DELETE", target, JSON, "{\"gracePeriodSeconds\": \"x\"}", 400,
                    "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64"),
            ],
        )
        .await;
    });
}

#[test]
fn ten_thousand_levels_are_read_and_no_more() {
    lab(|lab| async move {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let map = |name: &str, levels: usize| {
            format!(
                "{{\"metadata\":{{\"name\":{name:?}}},\"data\":{{\"k\":\"v\"}},\"extra\":{}}}",
                nested(levels)
            )
        };
        // What is unknown is dropped, as deep as it may be.
        for (name, levels) in [("a", 125), ("b", 126), ("c", 500), ("d", 9_999)] {
            let response = lab.send("POST", CONFIG_MAPS, &[("content-type", JSON)], map(name, levels)).await;
            assert_eq!(response.status(), 201, "{levels}");
            assert_eq!(response.headers()["warning"], "299 - \"unknown field \\\"extra\\\"\"");
            let response = lab
                .send(
                    "PATCH",
                    &format!("{CONFIG_MAPS}/{name}"),
                    &[("content-type", MERGE)],
                    map(name, levels),
                )
                .await;
            assert_eq!(response.status(), 200, "{levels}");
        }
        let too_deep = map("e", 10_000);
        let shown: String = too_deep.bytes().take(30).map(|byte| format!("{byte:02x}")).collect();
        let said = "couldn't get version/kind; json parse error: invalid character '{' exceeded max depth";
        let message =
            format!("the object provided is unrecognized (must be of type ConfigMap): {said} ({shown} ...)");
        let patch = "error decoding patch: invalid character '{' exceeded max depth";
        // What is kept may be no deeper than the components of this cluster read.
        let revisions = "/apis/apps/v1/namespaces/default/controllerrevisions";
        let kept = format!("{{\"metadata\":{{\"name\":\"r\"}},\"revision\":1,\"data\":{}}}", nested(200));
        let in_the_way = "ControllerRevision in version \"v1\" cannot be handled as a ControllerRevision: exceeded max depth";
        check(
            &lab,
            &[
                ("POST", CONFIG_MAPS, JSON, &too_deep, 400, &message),
                ("PATCH", &format!("{CONFIG_MAPS}/a"), MERGE, &too_deep, 400, patch),
                ("DELETE", &format!("{CONFIG_MAPS}/a"), JSON, &too_deep, 400, said),
                ("POST", revisions, JSON, &kept, 400, in_the_way),
            ],
        )
        .await;
    });
}

#[test]
fn values_that_have_another_syntax_are_refused_before_all_validation() {
    lab(|lab| async move {
        let cannot =
            |kind: &str, why: &str| format!("{kind} in version \"v1\" cannot be handled as a {kind}: {why}");
        let secret =
            |data: &str| format!("{{\"metadata\": {{\"name\": \"s\"}}, \"data\": {{\"a\": {data:?}}}}}");
        let cpu = "{\"metadata\": {\"name\": \"P\"}, \"spec\": {\"containers\": [{\"resources\": {\"limits\": {\"cpu\": \"1x\"}}}]}}";
        let soon = "{\"metadata\": {\"name\": \"s\", \"creationTimestamp\": \"soon\"}}";
        check(
            &lab,
            &[
                ("POST", SECRETS, JSON, &secret("abc!"), 400, &cannot("Secret", "illegal base64 data at input byte 3")),
                ("POST", SECRETS, JSON, &secret("abc"), 400, &cannot("Secret", "illegal base64 data at input byte 0")),
                ("POST", SECRETS, JSON, soon, 400, &cannot("Secret",
                    "parsing time \"soon\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"soon\" as \"2006\"")),
                ("POST", PODS, JSON, cpu, 400, &cannot("Pod", QUANTITY)),
            ],
        )
        .await;
        let mut made = pod("a");
        made["spec"]["containers"][0]["resources"] =
            json!({"limits": {"cpu": 1, "memory": "1024Mi"}, "requests": {"cpu": 0.1, "memory": "0.5Gi"}});
        let made = lab.post(PODS, made).await;
        assert_eq!(
            made["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "512Mi"}})
        );
    });
}

#[test]
fn what_is_left_out_is_named_and_nothing_more() {
    lab(|lab| async move {
        let misfit = "`selector` does not match template `labels`";
        let deployment_needs = format!(
            "Deployment.apps \"z\" is invalid: [spec.selector: Required value, \
             spec.template.metadata.labels: Invalid value: map[string]string(nil): {misfit}, \
             spec.template.spec.containers: Required value]"
        );
        let no_selector = "{\"metadata\": {\"name\": \"z\"}, \"spec\": {\"template\": {\"metadata\": {\"labels\": {\"a\": \"b\"}}, \
             \"spec\": {\"containers\": [{\"name\": \"c\", \"image\": \"i\"}]}}}}";
        let selector_needs = format!(
            "Deployment.apps \"z\" is invalid: [spec.selector: Required value, \
             spec.template.metadata.labels: Invalid value: map[string]string{{\"a\":\"b\"}}: {misfit}]"
        );
        let z = "{\"metadata\": {\"name\": \"z\"}}";
        check(
            &lab,
            &[
                ("POST", PODS, JSON, z, 422, "Pod \"z\" is invalid: spec.containers: Required value"),
                ("POST", DEPLOYMENTS, JSON, z, 422, &deployment_needs),
                ("POST", DEPLOYMENTS, JSON, no_selector, 422, &selector_needs),
                ("POST", SERVICES, JSON, z, 422, "Service \"z\" is invalid: spec.ports: Required value"),
                ("POST", "/apis/batch/v1/namespaces/default/jobs", JSON, z, 422,
                    "Job.batch \"z\" is invalid: [spec.template.spec.containers: Required value, \
                     spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"]"),
                ("POST", "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", JSON,
                    "{\"metadata\": {\"name\": \"z\"}, \"spec\": {\"podSelector\": {}, \"ingress\": [{\"from\": [\
                     {\"ipBlock\": {\"cidr\": \"1.2.3/33\"}}, {\"ipBlock\": {\"cidr\": \"10.0.0.0/8\", \"except\": [\"11.0.0.0/16\"]}}]}]}}", 422,
                    "NetworkPolicy.networking.k8s.io \"z\" is invalid: [spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"1.2.3/33\": \
                     must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64), spec.ingress[0].from[1].ipBlock.except[0]: \
                     Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`]"),
            ],
        )
        .await;
        let quota =
            lab.post("/api/v1/namespaces/default/resourcequotas", json!({"metadata": {"name": "q"}})).await;
        assert_eq!(quota["spec"], json!({}));
        let role = json!({"kind": "Role", "name": "r"});
        let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
        let made = lab.post(bindings, json!({"metadata": {"name": "b"}, "roleRef": role})).await;
        assert_eq!(made["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
    });
}

#[test]
fn what_a_path_does_not_serve_is_refused() {
    lab(|lab| async move {
        lab.post(PODS, pod("a")).await;
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let not_allowed = "the server does not allow this method on the requested resource";
        let unknown = "failed to create typed patch object (default/a; /v1, Kind=ConfigMap): .foo: field not declared in schema";
        check(
            &lab,
            &[
                ("DELETE", "/api/v1/namespaces", JSON, "", 405, not_allowed),
                (
                    "POST",
                    &format!("{PODS}/a/eviction"),
                    JSON,
                    "{\"metadata\": {\"name\": \"b\"}}",
                    400,
                    "name in URL does not match name in Eviction object",
                ),
                (
                    "PATCH",
                    &format!("{CONFIG_MAPS}/a?fieldManager=x"),
                    APPLY,
                    "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, foo: 1}",
                    500,
                    unknown,
                ),
            ],
        )
        .await;
        let namespaces = lab.get("/api/v1").await;
        let namespaces =
            namespaces["resources"].as_array().unwrap().iter().find(|found| found["name"] == "namespaces");
        assert_eq!(
            namespaces.unwrap()["verbs"],
            json!(["create", "delete", "get", "list", "patch", "update", "watch"])
        );
        let paths = lab.get("/").await["paths"].as_array().unwrap().clone();
        assert_eq!(paths.iter().filter(|path| *path == "/apis/autoscaling").count(), 1);
    });
}

#[test]
fn limit_ranges_fill_in_and_refuse() {
    lab(|lab| async move {
        let ranges = "/api/v1/namespaces/default/limitranges";
        let limit = json!({
            "type": "Container", "default": {"cpu": "300m"}, "defaultRequest": {"cpu": "200m", "memory": "64Mi"},
            "max": {"cpu": "500m"},
        });
        lab.post(ranges, json!({"metadata": {"name": "l"}, "spec": {"limits": [limit]}})).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let made = lab.post(PODS, pod("a")).await;
        assert_eq!(
            made["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "300m"}, "requests": {"cpu": "200m", "memory": "64Mi"}})
        );
        assert_eq!(
            made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
            "LimitRanger plugin set: cpu, memory request for container c; cpu limit for container c"
        );
        let mut greedy = pod("");
        greedy["metadata"]["generateName"] = json!("web-");
        greedy["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}});
        let message = "pods \"web-\" is forbidden: maximum cpu usage per Container is 500m, but limit is 1";
        lab.refused("POST", PODS, greedy, 403, message).await;
        let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
        let claim = json!({
            "metadata": {"name": "c"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
        });
        let limit = json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}});
        lab.post(ranges, json!({"metadata": {"name": "m"}, "spec": {"limits": [limit]}})).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let message = "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 5Gi";
        lab.refused("POST", claims, claim, 403, message).await;
    });
}

#[test]
fn a_pod_needs_the_account_that_it_names() {
    lab(|lab| async move {
        let mut made = pod("a");
        made["spec"]["serviceAccountName"] = json!("robot");
        let message = "pods \"a\" is forbidden: error looking up service account default/robot: serviceaccount \"robot\" not found";
        lab.refused("POST", PODS, made.clone(), 403, message).await;
        lab.post("/api/v1/namespaces/default/serviceaccounts", json!({"metadata": {"name": "robot"}})).await;
        lab.post(PODS, made).await;
    });
}

#[test]
fn an_eviction_asks_the_budget_first() {
    lab(|lab| async move {
        let ready =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        for name in ["a", "b"] {
            let mut made = pod(name);
            made["metadata"]["labels"] = json!({"app": "web"});
            made["spec"]["nodeName"] = json!("worker1");
            lab.post(PODS, made).await;
            lab.patch(&format!("{PODS}/{name}/status"), ready.clone()).await;
        }
        let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
        let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}});
        lab.post(budgets, json!({"metadata": {"name": "p"}, "spec": spec})).await;
        let evict = |name: &str| {
            let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
            let (lab, path) = (lab.clone(), format!("{PODS}/{name}/eviction"));
            async move { lab.json("POST", &path, eviction).await }
        };
        // Both at once, as `kubectl drain` does it.
        let (first, second) = futures::join!(evict("a"), evict("b"));
        assert_eq!((first.0, second.0), (201, 429), "{first:?} {second:?}");
        let status = second.1;
        assert_eq!(status["message"], "Cannot evict pod as it would violate the pod's disruption budget.");
        assert_eq!(status["reason"], "TooManyRequests");
        assert_eq!(
            status["details"]["causes"],
            json!([{"reason": "DisruptionBudget", "message": "The disruption budget p needs 1 healthy pods and has 1 currently"}])
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        let standing = lab.get(&format!("{budgets}/p")).await["status"].clone();
        let numbers =
            ["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods", "observedGeneration"];
        assert_eq!(numbers.map(|name| standing[name].as_i64().unwrap()), [1, 1, 0, 2, 1], "{standing}");
        assert_eq!(standing["conditions"][0]["reason"], "InsufficientPods");
        lab.json("DELETE", &format!("{budgets}/p"), Value::Null).await;
        assert_eq!(evict("b").await.0, 201);
    });
}

#[test]
fn who_makes_a_pod_is_warned_of_what_is_wrong_with_it() {
    lab(|lab| async move {
        let mut made = deployment("web");
        made["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
        let response = lab.send("POST", DEPLOYMENTS, &[("content-type", JSON)], made.to_string()).await;
        assert_eq!(
            response.headers()["warning"],
            "299 - \"spec.template.spec.containers[0].env[1]: hides previous definition of \\\"A\\\", which may be \
             dropped when using apply\""
        );
    });
}

#[test]
fn what_is_applied_is_settled_as_what_is_created() {
    lab(|lab| async move {
        lab.post(
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            json!({"metadata": {"name": "high"}, "value": 7}),
        )
        .await;
        let body = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {priorityClassName: high, containers: [\
            {name: c, image: i, resources: {limits: {cpu: 1, memory: 1024Mi}}}]}}";
        let target = format!("{PODS}/a?fieldManager=x");
        let made = lab.send("PATCH", &target, &[("content-type", APPLY)], body).await;
        assert_eq!(made.status(), 201);
        let made: Value = serde_json::from_slice(&whole(made)).unwrap();
        assert_eq!(
            (&made["spec"]["priority"], &made["spec"]["containers"][0]["resources"]["limits"]),
            (&json!(7), &json!({"cpu": "1", "memory": "1Gi"}))
        );
    });
}

#[test]
fn a_quota_refuses_what_is_too_much() {
    lab(|lab| async move {
        let quotas = "/api/v1/namespaces/default/resourcequotas";
        lab.post(
            quotas,
            json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2", "count/configmaps": 1}}}),
        )
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let make = |name: &'static str| {
            let lab = lab.clone();
            async move { lab.json("POST", PODS, pod(name)).await }
        };
        // At once, and yet counted one after another.
        let codes = futures::join!(make("a"), make("b"), make("c"));
        assert_eq!((codes.0.0, codes.1.0, codes.2.0), (201, 201, 403));
        let exceeded = "is forbidden: exceeded quota: q, requested:";
        let message = format!("pods \"c\" {exceeded} pods=1, used: pods=2, limited: pods=2");
        assert_eq!(codes.2.1["message"], json!(message));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let hard = json!({"pods": "2", "count/configmaps": "1"});
        let used = json!({"pods": "2", "count/configmaps": "0"});
        assert_eq!(lab.get(&format!("{quotas}/q")).await["status"], json!({"hard": hard, "used": used}));
        lab.json("DELETE", &format!("{PODS}/a"), Value::Null).await;
        assert_eq!(make("c").await.0, 201);
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let message = format!(
            "configmaps \"b\" {exceeded} count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1"
        );
        lab.refused("POST", CONFIG_MAPS, config_map("b"), 403, &message).await;
        let hard = json!({"requests.cpu": "1", "limits.memory": "1Gi"});
        lab.post("/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await;
        lab.post(
            "/api/v1/namespaces/n/resourcequotas",
            json!({"metadata": {"name": "q"}, "spec": {"hard": hard}}),
        )
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let message = "pods \"a\" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c";
        lab.refused("POST", "/api/v1/namespaces/n/pods", pod("a"), 403, message).await;
        let mut sized = pod("a");
        let resources = |cpu: &str| json!({"requests": {"cpu": cpu}, "limits": {"memory": "64Mi"}});
        sized["spec"]["containers"][0]["resources"] = resources("700m");
        lab.post("/api/v1/namespaces/n/pods", sized.clone()).await;
        sized["metadata"]["name"] = json!("b");
        sized["spec"]["containers"][0]["resources"] = resources("500m");
        let message = format!(
            "pods \"b\" {exceeded} requests.cpu=500m, used: requests.cpu=700m, limited: requests.cpu=1"
        );
        lab.refused("POST", "/api/v1/namespaces/n/pods", sized, 403, &message).await;
    });
}
