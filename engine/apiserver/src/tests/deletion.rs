//! Deletion: grace, finalizers, preconditions, namespaces.

use super::*;

async fn bound(lab: &Lab, name: &str) -> Value {
    lab.post(PODS, pod(name)).await;
    let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "worker1"}});
    lab.post(&format!("{PODS}/{name}/binding"), binding).await;
    lab.get(&format!("{PODS}/{name}")).await
}

#[test]
fn a_deleted_object_answers_with_a_status() {
    lab(|lab| async move {
        let created = lab.post(CONFIG_MAPS, config_map("a")).await;
        let (code, status) = lab.json("DELETE", &format!("{CONFIG_MAPS}/a"), Value::Null).await;
        assert_eq!(code, 200);
        let details = json!({"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]});
        assert_eq!((&status["status"], &status["details"]), (&json!("Success"), &details));
        lab.refused("DELETE", &format!("{CONFIG_MAPS}/a"), Value::Null, 404, "configmaps \"a\" not found")
            .await;
    });
}

#[test]
fn a_pod_on_a_node_waits_for_its_kubelet() {
    lab(|lab| async move {
        let pod = bound(&lab, "a").await;
        assert_eq!(pod["spec"]["nodeName"], "worker1");
        let (_, deleted) = lab.json("DELETE", &format!("{PODS}/a"), Value::Null).await;
        assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 30);
        assert_eq!(deleted["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z");
        lab.get(&format!("{PODS}/a")).await;
        let now = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}});
        assert_eq!(lab.json("DELETE", &format!("{PODS}/a"), now).await.0, 200);
        lab.refused("GET", &format!("{PODS}/a"), Value::Null, 404, "pods \"a\" not found").await;
    });
}

#[test]
fn a_pod_on_no_node_goes_at_once_and_an_eviction_is_a_deletion() {
    lab(|lab| async move {
        lab.post(PODS, pod("a")).await;
        lab.json("DELETE", &format!("{PODS}/a"), Value::Null).await;
        lab.refused("GET", &format!("{PODS}/a"), Value::Null, 404, "pods \"a\" not found").await;
        bound(&lab, "b").await;
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "b", "namespace": "default"}});
        lab.post(&format!("{PODS}/b/eviction"), eviction).await;
        let evicted = lab.get(&format!("{PODS}/b")).await;
        assert_eq!(evicted["metadata"]["deletionGracePeriodSeconds"], 30);
        assert_eq!(evicted["status"]["conditions"][1]["reason"], "EvictionByEvictionAPI");
    });
}

#[test]
fn a_pod_is_bound_once() {
    lab(|lab| async move {
        let pod = bound(&lab, "a").await;
        assert_eq!(
            (&pod["status"]["conditions"][0]["type"], &pod["status"]["conditions"][0]["status"]),
            (&json!("PodScheduled"), &json!("True"))
        );
        let binding = json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "worker2"}});
        let message = "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"worker1\"";
        lab.refused("POST", &format!("{PODS}/a/binding"), binding, 409, message).await;
    });
}

#[test]
fn finalizers_hold_an_object_until_the_last_is_gone() {
    lab(|lab| async move {
        let path = format!("{CONFIG_MAPS}/a");
        let mut held = config_map("a");
        held["metadata"]["finalizers"] = json!(["example.com/held"]);
        lab.post(CONFIG_MAPS, held).await;
        let (code, deleted) = lab.json("DELETE", &path, Value::Null).await;
        assert_eq!((code, deleted["metadata"]["deletionTimestamp"].is_string()), (200, true));
        let message = "ConfigMap \"a\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the \
                       object is being deleted, found new finalizers []string{\"example.com/other\"}";
        let add = json!({"metadata": {"finalizers": ["example.com/held", "example.com/other"]}});
        lab.refused("PATCH", &path, add, 422, message).await;
        lab.patch(&path, json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/held"]}}))
            .await;
        lab.refused("GET", &path, Value::Null, 404, "configmaps \"a\" not found").await;
    });
}

#[test]
fn preconditions_that_do_not_hold_are_conflicts() {
    lab(|lab| async move {
        let created = lab.post(CONFIG_MAPS, config_map("a")).await;
        let uid = created["metadata"]["uid"].as_str().unwrap();
        let message = format!(
            "Operation cannot be fulfilled on configmaps \"a\": Precondition failed: UID in precondition: other, UID in \
             object meta: {uid}"
        );
        let options = json!({"preconditions": {"uid": "other"}});
        lab.refused("DELETE", &format!("{CONFIG_MAPS}/a"), options, 409, &message).await;
    });
}

#[test]
fn a_namespace_is_held_by_its_finalizer() {
    lab(|lab| async move {
        lab.post("/api/v1/namespaces", json!({"metadata": {"name": "shop"}})).await;
        let (code, deleted) = lab.json("DELETE", "/api/v1/namespaces/shop", Value::Null).await;
        assert_eq!((code, &deleted["status"]["phase"]), (200, &json!("Terminating")));
        let message = "configmaps \"a\" is forbidden: unable to create new content in namespace shop because it is being terminated";
        let status =
            lab.refused("POST", "/api/v1/namespaces/shop/configmaps", config_map("a"), 403, message).await;
        assert_eq!(status["details"]["causes"][0]["reason"], "NamespaceTerminating");
        let mut finalized = lab.get("/api/v1/namespaces/shop").await;
        finalized["spec"]["finalizers"] = json!([]);
        assert_eq!(lab.json("PUT", "/api/v1/namespaces/shop/finalize", finalized).await.0, 200);
        lab.refused("GET", "/api/v1/namespaces/shop", Value::Null, 404, "namespaces \"shop\" not found")
            .await;
        let message = "namespaces \"default\" is forbidden: this namespace may not be deleted";
        lab.refused("DELETE", "/api/v1/namespaces/default", Value::Null, 403, message).await;
    });
}

#[test]
fn a_collection_is_deleted_by_its_selector() {
    lab(|lab| async move {
        for name in ["a", "b", "c"] {
            lab.post(PODS, pod(name)).await;
        }
        let target = format!("{PODS}?labelSelector=app%20in%20(a%2Cb)");
        assert_eq!(lab.json("DELETE", &target, Value::Null).await.0, 200);
        let left = lab.get(PODS).await;
        assert_eq!(left["items"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn the_ways_of_propagation_become_finalizers_or_are_refused() {
    lab(|lab| async move {
        let path = |name: &str| format!("{DEPLOYMENTS}/{name}");
        for name in ["a", "b", "c"] {
            lab.post(DEPLOYMENTS, deployment(name)).await;
        }
        let foreground = json!({"propagationPolicy": "Foreground"});
        let (code, held) = lab.json("DELETE", &path("a"), foreground).await;
        assert_eq!((code, &held["metadata"]["finalizers"]), (200, &json!(["foregroundDeletion"])));
        let (_, orphaning) = lab.json("DELETE", &path("a"), json!({"propagationPolicy": "Orphan"})).await;
        assert_eq!(orphaning["metadata"]["finalizers"], json!(["orphan"]));
        let version = lab.get(&path("b")).await["metadata"]["resourceVersion"].clone();
        lab.patch(&path("b"), json!({"metadata": {"finalizers": ["example.com/x"]}})).await;
        let newer = lab.get(&path("b")).await["metadata"]["resourceVersion"].clone();
        let message = format!(
            "Operation cannot be fulfilled on deployments.apps \"b\": Precondition failed: ResourceVersion in \
             precondition: {}, ResourceVersion in object meta: {}",
            version.as_str().unwrap(),
            newer.as_str().unwrap()
        );
        let stale = json!({"preconditions": {"resourceVersion": version}});
        lab.refused("DELETE", &path("b"), stale, 409, &message).await;
        // The old option is answered with 202 while the object is held.
        assert_eq!(lab.json("DELETE", &path("b"), json!({"orphanDependents": false})).await.0, 202);
        let options =
            |what: &str| format!("DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: {what}");
        let message = options(
            "Unsupported value: \"Now\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
        );
        lab.refused("DELETE", &path("c"), json!({"propagationPolicy": "Now"}), 422, &message).await;
        let message =
            options("Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set");
        let both = json!({"propagationPolicy": "Orphan", "orphanDependents": true});
        lab.refused("DELETE", &path("c"), both, 422, &message).await;
        let (code, list) = lab.json("DELETE", &format!("{DEPLOYMENTS}?dryRun=All"), Value::Null).await;
        assert_eq!((code, list["items"].as_array().unwrap().len()), (200, 3));
        lab.get(&path("c")).await;
    });
}
