//! Strategic merge patches, both ways: merged into an object, and made by apply.

use serde_json::{Value, json};

use super::*;
use crate::resource::GroupVersionKind;

fn deployment() -> GroupVersionKind {
    GroupVersionKind::new("apps", "v1", "Deployment")
}

fn pod() -> GroupVersionKind {
    GroupVersionKind::new("", "v1", "Pod")
}

fn service() -> GroupVersionKind {
    GroupVersionKind::new("", "v1", "Service")
}

#[track_caller]
fn check(gvk: GroupVersionKind, target: Value, patch: Value, expected: Value) {
    let mut merged = target;
    strategic_merge_patch(&gvk, &mut merged, &patch).unwrap();
    assert_eq!(merged.to_string(), expected.to_string());
}

#[track_caller]
fn check_error(target: Value, patch: Value, code: u16, message: &str) {
    let mut merged = target.clone();
    let error = strategic_merge_patch(&pod(), &mut merged, &patch).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (code, message));
    assert_eq!(merged, target);
}

fn containers(list: Value) -> Value {
    json!({"spec": {"containers": list}})
}

#[test]
fn containers_merge_by_name_and_new_ones_come_first() {
    check(
        pod(),
        containers(json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1", "tty": true}])),
        containers(json!([{"name": "b", "image": "b:2"}])),
        containers(json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:2", "tty": true}])),
    );
    check(
        pod(),
        containers(json!([{"name": "a", "image": "a:1"}])),
        containers(json!([{"name": "c", "image": "c:1", "args": null}])),
        containers(json!([{"name": "c", "image": "c:1"}, {"name": "a", "image": "a:1"}])),
    );
}

#[test]
fn keys_reach_into_the_template_of_a_deployment() {
    let template = |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    check(
        deployment(),
        template(
            json!([{"name": "c", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}]),
        ),
        template(
            json!([{"name": "c", "env": [{"name": "B", "value": "2"}], "ports": [{"containerPort": 80, "name": "web"}]}]),
        ),
        template(json!([{
            "name": "c",
            "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
            "ports": [{"containerPort": 80, "name": "web"}]
        }])),
    );
}

#[test]
fn lists_without_a_key_are_replaced() {
    check(
        pod(),
        json!({"spec": {"tolerations": [{"key": "a"}], "containers": [{"name": "c", "args": ["x", "y"]}]}}),
        json!({"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "c", "args": ["z"]}]}}),
        json!({"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "c", "args": ["z"]}]}}),
    );
    check(
        GroupVersionKind::new("example.com", "v1", "Pod"),
        containers(json!([{"name": "a"}])),
        containers(json!([{"name": "b"}])),
        containers(json!([{"name": "b"}])),
    );
}

#[test]
fn null_deletes_and_does_not_appear() {
    check(
        pod(),
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
        json!({"metadata": {"labels": {"a": null, "x": null}, "annotations": {"c": "3", "d": null}}}),
        json!({"metadata": {"labels": {"b": "2"}, "annotations": {"c": "3"}}}),
    );
}

#[test]
fn patch_directives_replace_and_delete() {
    check(
        pod(),
        containers(json!([{"name": "a"}, {"name": "b"}, {"name": "c"}])),
        containers(json!([{"name": "b", "$patch": "delete"}])),
        containers(json!([{"name": "a"}, {"name": "c"}])),
    );
    check(
        pod(),
        containers(json!([{"name": "a"}, {"name": "b"}])),
        containers(json!([{"name": "x", "image": "x:1"}, {"$patch": "replace"}])),
        containers(json!([{"name": "x", "image": "x:1"}])),
    );
    check(
        pod(),
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
        json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}}),
        json!({"metadata": {"labels": {"c": "3"}}}),
    );
    check(
        pod(),
        json!({"spec": {"securityContext": {"runAsUser": 1}}}),
        json!({"spec": {"securityContext": {"$patch": "delete"}, "affinity": {"$patch": "delete"}}}),
        json!({"spec": {"securityContext": {}}}),
    );
}

#[test]
fn finalizers_merge_as_a_set_and_are_deleted_by_a_parallel_list() {
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    check(
        pod(),
        finalizers(json!(["a", "b"])),
        finalizers(json!(["b", "c"])),
        finalizers(json!(["a", "b", "c"])),
    );
    check(
        pod(),
        finalizers(json!(["a", "b"])),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "x"]}}),
        finalizers(json!(["b"])),
    );
    check(
        pod(),
        finalizers(json!(["a", "b"])),
        json!({"metadata": {"$setElementOrder/finalizers": ["b", "c"], "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}),
        finalizers(json!(["b", "c"])),
    );
}

#[test]
fn set_element_order_puts_the_patchs_elements_in_order() {
    check(
        pod(),
        containers(json!([{"name": "a"}, {"name": "server"}, {"name": "b"}])),
        json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "new"}, {"name": "a"}], "containers": [{"name": "new"}]}}),
        containers(json!([{"name": "server"}, {"name": "b"}, {"name": "new"}, {"name": "a"}])),
    );
    check(
        pod(),
        containers(json!([{"name": "a"}, {"name": "b"}])),
        json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}),
        containers(json!([{"name": "b"}, {"name": "a"}])),
    );
    check(
        pod(),
        json!({"spec": {}}),
        json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a", "$setElementOrder/env": []}]}}),
        containers(json!([{"name": "a"}])),
    );
}

#[test]
fn retain_keys_clears_what_is_not_named() {
    let strategy = |strategy: Value| json!({"spec": {"strategy": strategy}});
    check(
        deployment(),
        strategy(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})),
        strategy(json!({"type": "Recreate", "$retainKeys": ["type"]})),
        strategy(json!({"type": "Recreate"})),
    );
    let volumes = |volume: Value| json!({"spec": {"volumes": [volume]}});
    check(
        pod(),
        volumes(json!({"name": "v", "emptyDir": {}})),
        volumes(json!({"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["hostPath", "name"]})),
        volumes(json!({"name": "v", "hostPath": {"path": "/x"}})),
    );
}

#[test]
fn a_bad_patch_is_refused_in_upstreams_words() {
    check_error(json!({}), json!([]), 400, "invalid JSON document");
    check_error(
        containers(json!([{"name": "a"}])),
        containers(json!([{"image": "nginx"}])),
        500,
        "map: map[image:nginx] does not contain declared merge key: name",
    );
    check_error(
        json!({"metadata": {"labels": {}}}),
        json!({"metadata": {"labels": {"$patch": "x"}}}),
        500,
        "unknown patch type: x in map: map[$patch:x]",
    );
    check_error(json!({}), json!({"$retainKeys": "a"}), 400, "invalid patch format of retainKeys");
    check_error(json!({}), json!({"$retainKeys": ["a"], "b": 1}), 400, "invalid patch format of retainKeys");
    check_error(
        json!({}),
        json!({"$deleteFromPrimitiveList": []}),
        400,
        "invalid patch format of primitive list",
    );
    check_error(
        containers(json!([])),
        json!({"spec": {"$setElementOrder/containers": []}}),
        500,
        "no elements in any of the given slices",
    );
    check_error(
        containers(json!([{"name": "a"}])),
        json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}}),
        500,
        "The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n",
    );
}

/// What was applied last, what is applied now, what is live; then the patch. Applying it again changes nothing.
#[track_caller]
fn check_apply(gvk: GroupVersionKind, last_applied: Value, modified: Value, live: Value, expected: Value) {
    let patch = apply_patch(&gvk, &last_applied, &modified, &live);
    assert_eq!(patch, expected);
    let mut merged = live;
    strategic_merge_patch(&gvk, &mut merged, &patch).unwrap();
    let mut merged_again = merged.clone();
    let patch_again = apply_patch(&gvk, &modified, &modified, &merged);
    strategic_merge_patch(&gvk, &mut merged_again, &patch_again).unwrap();
    assert_eq!(merged_again, merged, "applied again: {patch_again}");
}

fn web(replicas: u32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
        }
    })
}

#[test]
fn the_patch_is_the_one_that_kubectl_was_seen_to_send() {
    let before = with_last_applied(&web(2, "nginx:1.25"));
    let after = with_last_applied(&web(3, "nginx:1.26"));
    let mut live = before.clone();
    live["metadata"]["uid"] = json!("u1");
    live["spec"]["strategy"] = json!({"type": "RollingUpdate"});
    live["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent");
    live["status"] = json!({"replicas": 2});
    let patch = apply_patch(&deployment(), &last_applied(&live).unwrap(), &after, &live);
    let seen = concat!(
        r#"{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"apps/v1\","#,
        r#"\"kind\":\"Deployment\",\"metadata\":{\"annotations\":{},\"labels\":{\"app\":\"web\"},\"name\":\"web\","#,
        r#"\"namespace\":\"default\"},\"spec\":{\"replicas\":3,\"selector\":{\"matchLabels\":{\"app\":\"web\"}},"#,
        r#"\"template\":{\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"image\":\"nginx:1.26\","#,
        r#"\"name\":\"c\"}]}}}}\n"}},"spec":{"replicas":3,"template":{"spec":{"$setElementOrder/containers":[{"name":"c"}],"#,
        r#""containers":[{"image":"nginx:1.26","name":"c"}]}}}}"#
    );
    assert_eq!(patch.to_string(), seen);
    assert_eq!(apply_patch(&deployment(), &last_applied(&live).unwrap(), &before, &live), json!({}));
}

#[test]
fn what_is_no_longer_applied_is_deleted_and_what_others_set_stays() {
    check_apply(
        pod(),
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"nodeName": "n1"}}),
        json!({"metadata": {"labels": {"a": "1"}}, "spec": {}}),
        json!({"metadata": {"labels": {"a": "1", "b": "2", "c": "3"}}, "spec": {"nodeName": "n1", "priority": 0}}),
        json!({"metadata": {"labels": {"b": null}}, "spec": {"nodeName": null}}),
    );
    check_apply(
        pod(),
        containers(json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}])),
        containers(json!([{"name": "b", "image": "b:2"}])),
        containers(
            json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}, {"name": "sidecar"}]),
        ),
        json!({"spec": {
            "$setElementOrder/containers": [{"name": "b"}],
            "containers": [{"name": "b", "image": "b:2"}, {"name": "a", "$patch": "delete"}]
        }}),
    );
}

#[test]
fn a_field_of_an_element_is_deleted_within_it() {
    check_apply(
        pod(),
        containers(json!([{"name": "a", "image": "a:1", "tty": true}])),
        containers(json!([{"name": "a", "image": "a:1"}])),
        containers(json!([{"name": "a", "image": "a:1", "tty": true, "imagePullPolicy": "Always"}])),
        json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a", "tty": null}]}}),
    );
}

#[test]
fn a_change_of_volume_source_retains_only_the_new_keys() {
    let volumes = |volume: Value| json!({"spec": {"volumes": [volume]}});
    check_apply(
        pod(),
        volumes(json!({"name": "v", "emptyDir": {}})),
        volumes(json!({"name": "v", "hostPath": {"path": "/x"}})),
        volumes(json!({"name": "v", "emptyDir": {}})),
        json!({"spec": {
            "$setElementOrder/volumes": [{"name": "v"}],
            "volumes": [{"name": "v", "$retainKeys": ["hostPath", "name"], "emptyDir": null, "hostPath": {"path": "/x"}}]
        }}),
    );
}

#[test]
fn finalizers_that_are_no_longer_applied_go_by_a_parallel_list() {
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    check_apply(
        pod(),
        finalizers(json!(["a", "b"])),
        finalizers(json!(["b", "c"])),
        finalizers(json!(["a", "b", "server"])),
        json!({"metadata": {
            "$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["b", "c"], "finalizers": ["c"]
        }}),
    );
}

#[test]
fn a_first_apply_over_a_created_object_deletes_nothing() {
    check_apply(
        service(),
        Value::Null,
        json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}], "type": "ClusterIP"}}),
        json!({"spec": {"ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}, {"port": 443}], "type": "NodePort"}}),
        json!({"spec": {
            "$setElementOrder/ports": [{"port": 80}],
            "ports": [{"port": 80, "targetPort": 8080}],
            "type": "ClusterIP"
        }}),
    );
}

#[test]
fn the_annotation_is_written_as_by_kubectl() {
    let annotated =
        with_last_applied(&json!({"kind": "ConfigMap", "data": {"a": "<b>"}, "metadata": {"name": "c"}}));
    assert_eq!(
        annotated["metadata"]["annotations"][LAST_APPLIED],
        "{\"data\":{\"a\":\"\\u003cb\\u003e\"},\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"c\"}}\n"
    );
    assert_eq!(last_applied(&annotated).unwrap()["data"], json!({"a": "<b>"}));
    assert_eq!(last_applied(&json!({"metadata": {}})), None);
}

/// The lines of `kubectl.jsonl` are random objects of which kubectl 1.32 made the patch (`apply`, seen on the
/// wire) or merged it (`patch --local`).
#[test]
fn kubectl_makes_and_merges_the_same_patches() {
    for line in include_str!("kubectl.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (live, patch) = (&case["live"], &case["patch"]);
        let text = |field: &str| live[field].as_str().unwrap();
        let gvk = GroupVersionKind::parse(text("apiVersion"), text("kind"));
        if let Some(object) = case.get("apply") {
            let made = apply_patch(&gvk, &last_applied(live).unwrap(), &with_last_applied(object), live);
            assert_eq!(made, *patch, "applying {object}\nto {live}");
        } else {
            let mut merged = live.clone();
            strategic_merge_patch(&gvk, &mut merged, patch).unwrap();
            assert_eq!(merged, case["merged"], "merging {patch}\ninto {live}");
        }
    }
}
