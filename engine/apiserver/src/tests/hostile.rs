//! Bodies and queries that no client should send: a refusal, never a panic, never a 500.

use labkit_sim::{Rng, Seed};
use rand::Rng as _;

use super::*;

fn seeds() -> Vec<(&'static str, Value)> {
    vec![
        (PODS, pod("a")),
        (DEPLOYMENTS, deployment("a")),
        (CONFIG_MAPS, config_map("a")),
        (
            "/api/v1/namespaces/default/services",
            json!({"metadata": {"name": "a"}, "spec": {"type": "NodePort", "ports": [{"port": 80, "name": "http"}, {"port": 81, "name": "b"}],
                "selector": {"app": "a"}, "clusterIP": "10.96.0.9"}}),
        ),
        (
            "/api/v1/nodes",
            json!({"metadata": {"name": "a"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}, "status": {
                "conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}}),
        ),
        (
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            json!({"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}),
        ),
        (
            "/apis/coordination.k8s.io/v1/namespaces/default/leases",
            json!({"metadata": {"name": "a"}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 15}}),
        ),
        (
            "/apis/events.k8s.io/v1/namespaces/default/events",
            json!({"metadata": {"name": "a"}, "note": "x", "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}}),
        ),
        ("/api/v1/namespaces/default/secrets", json!({"metadata": {"name": "a"}, "stringData": {"a": "b"}})),
        ("/api/v1/namespaces", json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}})),
    ]
}

/// Puts something odd in the place of a random part.
fn spoil(value: &mut Value, rng: &mut Rng) {
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(i64::MAX),
        json!(""),
        json!("../x"),
        json!("ü\u{0}"),
        json!([]),
        json!([null]),
        json!({}),
        json!({"a": {"b": [1]}}),
        json!("x".repeat(300)),
        json!([[]]),
        json!(["a", "a"]),
    ];
    let descend = rng.gen_bool(0.8);
    match value {
        Value::Object(fields) if descend && !fields.is_empty() => {
            let index = rng.gen_range(0..fields.len());
            let (_, field) = fields.iter_mut().nth(index).unwrap();
            spoil(field, rng);
        }
        Value::Array(items) if descend && !items.is_empty() => {
            let index = rng.gen_range(0..items.len());
            spoil(&mut items[index], rng);
        }
        value => *value = odd[rng.gen_range(0..odd.len())].clone(),
    }
}

#[test]
fn spoilt_objects_are_refused_or_stored_but_break_nothing() {
    lab(|lab| async move {
        let mut rng = Seed(7).stream("hostile");
        for round in 0..400 {
            let (collection, object) = &seeds()[round % seeds().len()];
            let mut body = object.clone();
            for _ in 0..rng.gen_range(1..3) {
                spoil(&mut body, &mut rng);
            }
            let (code, status) = lab.json("POST", collection, body.clone()).await;
            assert!(matches!(code, 201 | 400 | 403 | 404 | 409 | 422), "{code} {status}\n{body}");
            let path = format!("{collection}/a");
            for method in ["PATCH", "PUT"] {
                let (code, status) = lab.json(method, &path, body.clone()).await;
                assert!(
                    matches!(code, 200 | 400 | 403 | 404 | 409 | 422),
                    "{method} {code} {status}\n{body}"
                );
            }
            let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
            assert_eq!(lab.send("GET", collection, &accept, "").await.status(), 200, "{body}");
            let options = json!({"gracePeriodSeconds": 0});
            let (code, status) = lab.json("DELETE", &path, options).await;
            assert!(matches!(code, 200 | 404), "{code} {status}");
        }
    });
}

#[test]
fn strange_queries_are_refused() {
    lab(|lab| async move {
        for query in [
            "resourceVersion=x",
            "resourceVersion=-1",
            "limit=x",
            "limit=1&continue=%21",
            "labelSelector=a%3D%3D%3D",
            "fieldSelector=x",
            "watch=true&timeoutSeconds=x",
            "watch=true&resourceVersionMatch=Exact",
            "watch=true&sendInitialEvents=true",
            "fieldSelector=status.foo%3D1",
        ] {
            let (code, status) = lab.json("GET", &format!("{PODS}?{query}"), Value::Null).await;
            assert!(matches!(code, 400 | 422), "{query}: {code} {status}");
        }
        for (method, query, code) in [
            ("POST", "dryRun=Some", 422),
            ("POST", "fieldValidation=x", 422),
            ("DELETE", "propagationPolicy=x", 422),
        ] {
            let target =
                if method == "POST" { format!("{PODS}?{query}") } else { format!("{PODS}/a?{query}") };
            let body = if method == "POST" { pod("a") } else { Value::Null };
            assert_eq!(lab.json(method, &target, body).await.0, code, "{method} {query}");
        }
        for path in [
            "/api/v1/namespaces//pods",
            "/api/v1/namespaces/%2e%2e/pods/x",
            "/apis",
            "//",
            "/api/v1/namespaces/default/pods/a/b/c",
        ] {
            let code = lab.send("GET", path, &[], "").await.status().as_u16();
            assert!(matches!(code, 200 | 404), "{path}: {code}");
        }
    });
}
