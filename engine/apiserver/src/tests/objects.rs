//! Create, read, update, patch.

use labkit_etcd::RangeRequest;
use serde_json::json;

use super::*;

#[test]
fn a_fresh_cluster_has_its_namespaces_and_its_service() {
    lab(|lab| async move {
        let list = lab.get("/api/v1/namespaces").await;
        let names: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system"]);
        let service = lab.get("/api/v1/namespaces/default/services/kubernetes").await;
        assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
        assert_eq!(service["spec"]["ports"][0]["targetPort"], 6443);
    });
}

#[test]
fn an_object_is_stored_as_json_under_its_key_without_a_resource_version() {
    lab(|lab| async move {
        let created = lab.post(DEPLOYMENTS, deployment("web")).await;
        let response = lab
            .etcd
            .client("test")
            .range(RangeRequest::key("/registry/deployments/default/web"))
            .await
            .unwrap();
        let kv = &response.kvs[0];
        assert_eq!(created["metadata"]["resourceVersion"], kv.mod_revision.to_string());
        let stored: Value = serde_json::from_slice(&kv.value).unwrap();
        assert_eq!(stored["metadata"].get("resourceVersion"), None);
        assert_eq!(stored["spec"], created["spec"]);
        assert_eq!(lab.get(&format!("{DEPLOYMENTS}/web")).await, created);
    });
}

#[test]
fn a_minimal_deployment_gets_its_defaults_and_metadata() {
    lab(|lab| async move {
        let created = lab.post(DEPLOYMENTS, deployment("web")).await;
        let meta = &created["metadata"];
        assert_eq!(meta["creationTimestamp"], "2026-01-01T00:00:00Z");
        assert_eq!(meta["generation"], 1);
        assert_eq!(meta["uid"].as_str().unwrap().len(), 36);
        assert_eq!(&meta["uid"].as_str().unwrap()[14..15], "4");
        let spec = &created["spec"];
        assert_eq!(spec["replicas"], 1);
        assert_eq!(
            spec["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
        );
        assert_eq!(
            (&spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"]),
            (&json!(10), &json!(600))
        );
        assert_eq!(spec["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
        assert_eq!(spec["template"]["spec"]["terminationGracePeriodSeconds"], 30);
    });
}

#[test]
fn names_are_generated_and_taken_ones_refused() {
    lab(|lab| async move {
        let generated = json!({"metadata": {"generateName": "web-"}, "data": {}});
        let first =
            lab.post(CONFIG_MAPS, generated.clone()).await["metadata"]["name"].as_str().unwrap().to_owned();
        let second = lab.post(CONFIG_MAPS, generated).await["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(first.starts_with("web-") && first.len() == 9 && first != second, "{first} {second}");
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let status =
            lab.refused("POST", CONFIG_MAPS, config_map("a"), 409, "configmaps \"a\" already exists").await;
        assert_eq!(status["reason"], "AlreadyExists");
        lab.refused("GET", &format!("{DEPLOYMENTS}/x"), Value::Null, 404, "deployments.apps \"x\" not found")
            .await;
        let nowhere = "/api/v1/namespaces/nowhere/configmaps";
        lab.refused("POST", nowhere, config_map("a"), 404, "namespaces \"nowhere\" not found").await;
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        let elsewhere = json!({"metadata": {"name": "a", "namespace": "kube-system"}});
        lab.refused("POST", CONFIG_MAPS, elsewhere, 400, message).await;
    });
}

#[test]
fn a_stale_replace_is_a_conflict_and_one_without_a_version_is_not() {
    lab(|lab| async move {
        let path = format!("{DEPLOYMENTS}/web");
        let first = lab.post(DEPLOYMENTS, deployment("web")).await;
        let mut second = first.clone();
        second["spec"]["replicas"] = json!(2);
        let (code, second) = lab.json("PUT", &path, second).await;
        assert_eq!((code, &second["metadata"]["generation"]), (200, &json!(2)));
        let message = "Operation cannot be fulfilled on deployments.apps \"web\": the object has been modified; please \
                       apply your changes to the latest version and try again";
        lab.refused("PUT", &path, first.clone(), 409, message).await;
        let mut unconditional = first;
        unconditional["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        assert_eq!(lab.json("PUT", &path, unconditional).await.0, 200);
        lab.refused(
            "PUT",
            &format!("{DEPLOYMENTS}/x"),
            deployment("x"),
            404,
            "deployments.apps \"x\" not found",
        )
        .await;
    });
}

#[test]
fn an_update_that_changes_nothing_writes_nothing() {
    lab(|lab| async move {
        let created = lab.post(DEPLOYMENTS, deployment("web")).await;
        let patched = lab.patch(&format!("{DEPLOYMENTS}/web"), json!({"spec": {"replicas": 1}})).await;
        assert_eq!(patched, created);
        let (_, replaced) = lab.json("PUT", &format!("{DEPLOYMENTS}/web"), created.clone()).await;
        assert_eq!(replaced, created);
    });
}

#[test]
fn the_status_is_written_through_its_subresource_only() {
    lab(|lab| async move {
        let mut web = lab.post(DEPLOYMENTS, deployment("web")).await;
        web["status"] = json!({"replicas": 1});
        web["spec"]["replicas"] = json!(3);
        let (_, by_status) = lab.json("PUT", &format!("{DEPLOYMENTS}/web/status"), web.clone()).await;
        assert_eq!(
            (&by_status["status"]["replicas"], &by_status["spec"]["replicas"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(by_status["metadata"]["generation"], 1);
        web["metadata"]["resourceVersion"] = by_status["metadata"]["resourceVersion"].clone();
        web["status"] = json!({"replicas": 9});
        let (_, by_main) = lab.json("PUT", &format!("{DEPLOYMENTS}/web"), web).await;
        assert_eq!((&by_main["status"]["replicas"], &by_main["spec"]["replicas"]), (&json!(1), &json!(3)));
        assert_eq!(by_main["metadata"]["generation"], 2);
    });
}

#[test]
fn patches_merge_lists_by_their_keys_or_replace_them() {
    lab(|lab| async move {
        lab.post(DEPLOYMENTS, deployment("web")).await;
        let strategic =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:1.28"}]}}}});
        let patched = lab.patch(&format!("{DEPLOYMENTS}/web"), strategic).await;
        let container = &patched["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(
            (&container["image"], &container["imagePullPolicy"]),
            (&json!("nginx:1.28"), &json!("IfNotPresent"))
        );
        let merge = json!({"metadata": {"labels": {"app": null, "x": "y"}}}).to_string();
        let headers = [("content-type", "application/merge-patch+json")];
        let response = lab.send("PATCH", &format!("{DEPLOYMENTS}/web"), &headers, merge).await;
        let merged: Value = serde_json::from_slice(&whole(response)).unwrap();
        assert_eq!(merged["metadata"]["labels"], json!({"x": "y"}));
    });
}

#[test]
fn concurrent_patches_lose_no_change() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let patches = (0..20).map(|number| {
            let lab = lab.clone();
            async move {
                lab.patch(&format!("{CONFIG_MAPS}/a"), json!({"data": {format!("k{number}"): "v"}})).await
            }
        });
        futures::future::join_all(patches).await;
        assert_eq!(lab.get(&format!("{CONFIG_MAPS}/a")).await["data"].as_object().unwrap().len(), 21);
    });
}

#[test]
fn scale_is_read_and_written() {
    lab(|lab| async move {
        lab.post(DEPLOYMENTS, deployment("web")).await;
        let path = format!("{DEPLOYMENTS}/web/scale");
        let mut scale = lab.get(&path).await;
        assert_eq!((&scale["kind"], &scale["status"]["selector"]), (&json!("Scale"), &json!("app=web")));
        scale["spec"]["replicas"] = json!(4);
        assert_eq!(lab.json("PUT", &path, scale).await.0, 200);
        let headers = [("content-type", "application/merge-patch+json")];
        let response = lab.send("PATCH", &path, &headers, r#"{"spec":{"replicas":5}}"#).await;
        assert_eq!(response.status(), 200);
        let web = lab.get(&format!("{DEPLOYMENTS}/web")).await;
        assert_eq!((&web["spec"]["replicas"], &web["metadata"]["generation"]), (&json!(5), &json!(3)));
    });
}

#[test]
fn a_dry_run_stores_nothing() {
    lab(|lab| async move {
        let before = lab.get(CONFIG_MAPS).await["metadata"]["resourceVersion"].clone();
        lab.post(&format!("{CONFIG_MAPS}?dryRun=All"), config_map("a")).await;
        lab.refused("GET", &format!("{CONFIG_MAPS}/a"), Value::Null, 404, "configmaps \"a\" not found").await;
        assert_eq!(lab.get(CONFIG_MAPS).await["metadata"]["resourceVersion"], before);
    });
}
