//! HTTP: paths, methods, media types, sizes, discovery, health, a store that is away.

use super::*;

#[test]
fn unknown_paths_and_wrong_methods_are_refused_as_upstream_does() {
    lab(|lab| async move {
        let response = lab.send("GET", "/nothing", &[], "").await;
        assert_eq!((response.status().as_u16(), whole(response)), (404, Bytes::from("404 page not found\n")));
        lab.refused(
            "GET",
            "/api/v1/foos",
            Value::Null,
            404,
            "the server could not find the requested resource",
        )
        .await;
        let message = "the server does not allow this method on the requested resource";
        lab.refused("POST", &format!("{PODS}/a"), json!({}), 405, message).await;
    });
}

#[test]
fn bodies_are_json_or_yaml_within_the_limit() {
    lab(|lab| async move {
        let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\ndata:\n  a: b\n";
        let response = lab.send("POST", CONFIG_MAPS, &[("content-type", "application/yaml")], yaml).await;
        assert_eq!(response.status(), 201);
        let response = lab.send("POST", CONFIG_MAPS, &[("content-type", "text/plain")], "x").await;
        assert_eq!(response.status(), 415);
        let response = lab
            .send(
                "POST",
                CONFIG_MAPS,
                &[("content-type", "application/json")],
                vec![b' '; 3 * 1024 * 1024 + 1],
            )
            .await;
        assert_eq!(response.status(), 413);
        let response = lab.send("POST", CONFIG_MAPS, &[("content-type", "application/json")], "{").await;
        assert_eq!(response.status(), 400);
        let response = lab.send("GET", CONFIG_MAPS, &[("accept", "text/html")], "").await;
        assert_eq!(response.status(), 406);
        let response = lab
            .send(
                "PATCH",
                &format!("{CONFIG_MAPS}/y"),
                &[("content-type", "application/apply-patch+yaml")],
                "x",
            )
            .await;
        assert_eq!(response.status(), 422);
        let wrong = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
        let message = "the API version in the data (v1) does not match the expected API version (apps/v1)";
        lab.refused("POST", DEPLOYMENTS, wrong, 400, message).await;
    });
}

#[test]
fn discovery_lists_every_kind_in_both_forms() {
    lab(|lab| async move {
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        let response = lab.send("GET", "/apis", &[("accept", accept)], "").await;
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        let list: Value = serde_json::from_slice(&whole(response)).unwrap();
        assert_eq!(list["kind"], "APIGroupDiscoveryList");
        let groups: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap())
            .collect();
        let expected = [
            "apiregistration.k8s.io",
            "apps",
            "events.k8s.io",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "autoscaling",
            "batch",
            "certificates.k8s.io",
            "networking.k8s.io",
            "policy",
            "rbac.authorization.k8s.io",
            "storage.k8s.io",
            "admissionregistration.k8s.io",
            "apiextensions.k8s.io",
            "scheduling.k8s.io",
            "coordination.k8s.io",
            "node.k8s.io",
            "discovery.k8s.io",
            "flowcontrol.apiserver.k8s.io",
        ];
        assert_eq!(groups, expected);
        let again = lab.send("GET", "/apis", &[("accept", accept), ("if-none-match", &etag)], "").await;
        assert_eq!(again.status(), 304);
        let core = lab.get("/api/v1").await;
        let names: Vec<&str> =
            core["resources"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"pods/eviction") && names.contains(&"nodes"), "{names:?}");
        assert_eq!(lab.get("/version").await["minor"], "32");
        let index = lab.get("/openapi/v3").await;
        assert!(
            index["paths"]["apis/apps/v1"]["serverRelativeURL"]
                .as_str()
                .unwrap()
                .starts_with("/openapi/v3/apis/apps/v1?hash=")
        );
    });
}

#[test]
fn health_follows_the_store() {
    lab(|lab| async move {
        let response = lab.send("GET", "/readyz?verbose", &[], "").await;
        let text = String::from_utf8(whole(response).to_vec()).unwrap();
        assert_eq!(text, "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]informer-sync ok\nreadyz check passed\n");
        lab.etcd.kill("etcd1").await.unwrap();
        let response = lab.send("GET", "/livez", &[], "").await;
        assert_eq!(response.status(), 500);
        let text = String::from_utf8(whole(response).to_vec()).unwrap();
        assert_eq!(text, "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\nlivez check failed\n");
        let (code, _) = lab.json("POST", CONFIG_MAPS, config_map("a")).await;
        assert!(code == 500 || code == 504, "{code}");
        lab.etcd.start("etcd1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        lab.post(CONFIG_MAPS, config_map("b")).await;
    });
}

#[test]
fn a_store_without_quorum_is_told_in_etcds_words_and_recovers() {
    lab_of(3, |lab| async move {
        lab.post(CONFIG_MAPS, config_map("before")).await;
        lab.etcd.kill("etcd1").await.unwrap();
        lab.etcd.kill("etcd2").await.unwrap();
        let (code, status) = lab.json("POST", CONFIG_MAPS, config_map("a")).await;
        let message = status["message"].as_str().unwrap();
        assert!(code == 500 && message.starts_with("etcdserver: "), "{code} {message}");
        // The cache still answers those who are content with it.
        let cached = lab.get(&format!("{CONFIG_MAPS}?resourceVersion=0")).await;
        assert_eq!(cached["items"].as_array().unwrap().len(), 1);
        lab.etcd.start("etcd1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        lab.post(CONFIG_MAPS, config_map("after")).await;
        let mut events =
            lab.watch(&format!("{CONFIG_MAPS}?watch=true&fieldSelector=metadata.name%3Dafter")).await;
        assert_eq!(events.line().await, "ADDED after");
    });
}

#[test]
fn objects_come_as_yaml_or_as_metadata_alone() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let response =
            lab.send("GET", &format!("{CONFIG_MAPS}/a"), &[("accept", "application/yaml")], "").await;
        assert_eq!(response.headers()["content-type"], "application/yaml");
        let text = String::from_utf8(whole(response).to_vec()).unwrap();
        assert!(text.contains("data:\n  key: value\n"), "{text}");
        let accept = [("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")];
        let list: Value =
            serde_json::from_slice(&whole(lab.send("GET", CONFIG_MAPS, &accept, "").await)).unwrap();
        assert_eq!(
            (&list["kind"], list["items"][0].get("data")),
            (&json!("PartialObjectMetadataList"), None)
        );
    });
}

/// Everything that was said in a world in which much happens at once.
fn trace() -> String {
    let text = std::sync::Mutex::new(String::new());
    lab_of(3, |lab| {
        let text = &text;
        async move {
            let mut watches = Vec::new();
            for _ in 0..5 {
                watches.push(lab.watch(&format!("{DEPLOYMENTS}?watch=true")).await);
            }
            let writes = (0..20).map(|number| {
                let lab = lab.clone();
                async move {
                    lab.post(DEPLOYMENTS, deployment(&format!("web{number}"))).await;
                    lab.patch(&format!("{DEPLOYMENTS}/web{number}"), json!({"spec": {"replicas": 2}})).await
                }
            });
            let mut seen = format!("{:?}", futures::future::join_all(writes).await);
            for events in &mut watches {
                for _ in 0..40 {
                    seen.push_str(&events.next().await.unwrap().to_string());
                }
            }
            for record in lab.world.trace().records() {
                let fields = record.payload.fields();
                seen.push_str(&format!(
                    "{} {:?} {} {}\n",
                    record.id,
                    record.at,
                    record.payload.kind(),
                    fields
                ));
            }
            *text.lock().unwrap() = seen;
        }
    });
    text.into_inner().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let first = trace();
    assert!(first.len() > 10_000);
    for _ in 0..5 {
        assert!(trace() == first, "another run said something else");
    }
}

#[test]
fn an_object_may_be_watched_on_the_old_path() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let target = "/api/v1/watch/namespaces/default/configmaps/b?timeoutSeconds=5";
        let mut events = lab.watch(target).await;
        for name in ["a2", "b"] {
            lab.post(CONFIG_MAPS, config_map(name)).await;
        }
        assert_eq!(events.line().await, "ADDED b");
    });
}

#[test]
fn a_replacement_says_its_name_and_names_that_are_all_taken_are_told() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        let message = "the name of the object (a based on URL) was undeterminable: name must be provided";
        lab.refused("PUT", &format!("{CONFIG_MAPS}/a"), nameless, 400, message).await;
    });
}

#[test]
fn one_document_of_the_second_version_tells_everything() {
    lab(|lab| async move {
        let document = lab.get("/openapi/v2").await;
        let definitions = document["definitions"].as_object().unwrap();
        let spec = &definitions["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(
            (&spec["x-kubernetes-patch-merge-key"], &spec["x-kubernetes-patch-strategy"]),
            (&json!("name"), &json!("merge"))
        );
        assert_eq!(spec["items"], json!({"$ref": "#/definitions/io.k8s.api.core.v1.Container"}));
        let pod = &definitions["io.k8s.api.core.v1.Pod"];
        assert_eq!(
            pod["x-kubernetes-group-version-kind"],
            json!([{"group": "", "version": "v1", "kind": "Pod"}])
        );
        assert_eq!(pod["properties"]["spec"]["$ref"], "#/definitions/io.k8s.api.core.v1.PodSpec");
        let port = &definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
        assert_eq!(
            (&port["type"], &port["format"], port.get("oneOf")),
            (&json!("string"), &json!("int-or-string"), None)
        );
        let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert_eq!(patch["x-kubernetes-action"], "patch");
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
        let text = document.to_string();
        for (at, _) in text.match_indices("\"#/definitions/") {
            let name = text[at + 15..].split('"').next().unwrap();
            assert!(definitions.contains_key(name), "{name}");
        }
        assert!(!text.contains("#/components/"));
        let asked = [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")];
        let response = lab.send("GET", "/openapi/v2", &asked, "").await;
        assert_eq!(
            response.headers()["content-type"],
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
        );
        let bytes = whole(response);
        assert!(bytes.starts_with(b"\x0a\x032.0\x12"), "{:?}", &bytes[..12]);
        let refused = lab.send("GET", "/openapi/v2", &[("accept", "text/html")], "").await;
        assert_eq!(refused.status(), 406);
    });
}
