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

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// The code of an answer and its message.
async fn sent(
    lab: &Lab,
    method: &str,
    target: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> (u16, String) {
    let response = lab.send(method, target, &[("content-type", content_type)], body).await;
    let code = response.status().as_u16();
    let status: Value = serde_json::from_slice(&whole(response)).unwrap();
    (code, status["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn ten_thousand_levels_are_refused_in_every_kind_of_body() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let object = format!("{{\"data\": {}1{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        let list = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let operations = format!("[{{\"op\": \"add\", \"path\": \"/data\", \"value\": {object}}}]");
        let target = format!("{CONFIG_MAPS}/a");
        for (method, target, content_type, body) in [
            ("POST", CONFIG_MAPS, "application/json", &object),
            ("POST", CONFIG_MAPS, "application/json", &list),
            ("POST", CONFIG_MAPS, "application/yaml", &object),
            ("POST", CONFIG_MAPS, "application/yaml", &list),
            ("PUT", &target, "application/json", &object),
            ("PATCH", &target, "application/merge-patch+json", &object),
            ("PATCH", &target, "application/strategic-merge-patch+json", &object),
            ("PATCH", &target, "application/json-patch+json", &operations),
            ("PATCH", &format!("{target}?fieldManager=x"), "application/apply-patch+yaml", &object),
            ("DELETE", &target, "application/json", &object),
        ] {
            let (code, message) = sent(&lab, method, target, content_type, body.clone()).await;
            assert_eq!(code, 400, "{method} {content_type}: {message}");
        }
        assert_eq!(lab.get(&target).await["data"]["key"], "value");
    });
}

#[test]
fn yaml_that_multiplies_itself_is_refused() {
    lab(|lab| async move {
        let mut yaml =
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx0: &x0 [lol, lol]\n".to_owned();
        for level in 1..40 {
            let inner = format!("*x{}", level - 1);
            yaml.push_str(&format!("x{level}: &x{level} [{}]\n", [inner.as_str(); 9].join(", ")));
        }
        let (code, message) = sent(&lab, "POST", CONFIG_MAPS, "application/yaml", yaml.clone()).await;
        assert_eq!(code, 400, "{message}");
        let target = format!("{CONFIG_MAPS}/a?fieldManager=x");
        let (code, message) = sent(&lab, "PATCH", &target, "application/apply-patch+yaml", yaml).await;
        assert_eq!(code, 400, "{message}");
    });
}

#[test]
fn bodies_beyond_the_limit_and_of_unknown_types_are_refused_in_upstreams_words() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let target = format!("{CONFIG_MAPS}/a");
        let large = vec![b' '; 3 * 1024 * 1024 + 1];
        let too_large = (413, "Request entity too large: limit is 3145728".to_owned());
        for (method, target, content_type) in [
            ("POST", CONFIG_MAPS, "application/json"),
            ("PUT", &target, "application/yaml"),
            ("PATCH", &target, "application/merge-patch+json"),
            ("PATCH", &target, "application/json-patch+json"),
        ] {
            assert_eq!(
                sent(&lab, method, target, content_type, large.clone()).await,
                too_large,
                "{content_type}"
            );
        }
        let unknown = "the body of the request was in an unknown format - accepted media types include: \
                       application/json, application/yaml, application/vnd.kubernetes.protobuf";
        for content_type in ["text/plain", "application/cbor", "application/jsonx", "/"] {
            let found = sent(&lab, "POST", CONFIG_MAPS, content_type, "{}").await;
            assert_eq!(found, (415, unknown.to_owned()), "{content_type}");
        }
        assert_eq!(sent(&lab, "PATCH", &target, "text/plain", "{}").await.0, 415);
    });
}

#[test]
fn bytes_that_are_no_text_and_names_that_are_none_are_refused_or_replaced() {
    lab(|lab| async move {
        // As Go reads JSON, what is no UTF-8 is replaced.
        let body = b"{\"metadata\": {\"name\": \"bytes\"}, \"data\": {\"key\": \"a\xffb\"}}";
        assert_eq!(lab.send("POST", CONFIG_MAPS, &JSON, &body[..]).await.status(), 201);
        assert_eq!(lab.get(&format!("{CONFIG_MAPS}/bytes")).await["data"]["key"], "a\u{fffd}b");
        let (code, _) =
            sent(&lab, "POST", CONFIG_MAPS, "application/yaml", &b"metadata: {name: \xff}"[..]).await;
        assert_eq!(code, 400);
        for name in ["a\u{0}b", "../a", "a/b", "..", "\u{ad6d}", "a\nb", ""] {
            let (code, status) = lab.json("POST", CONFIG_MAPS, json!({"metadata": {"name": name}})).await;
            assert_eq!(code, 422, "{name:?}: {status}");
        }
        for (name, code) in [
            ("a%00b", 404),
            ("%ff", 404),
            ("..%2f..%2fsecrets", 404),
            ("%2e%2e", 400),
            ("%2e", 400),
            ("a%25", 400),
            ("%", 400),
        ] {
            for method in ["GET", "DELETE", "PUT", "PATCH"] {
                let target = format!("{CONFIG_MAPS}/{name}");
                let (found, status) = lab.json(method, &target, json!({"metadata": {}})).await;
                assert!(found == code || found == 405 || found == 400, "{method} {name}: {found} {status}");
            }
        }
        let message = "Name parameter invalid: \"..\": may not be '..'";
        lab.refused("GET", &format!("{CONFIG_MAPS}/%2e%2e"), Value::Null, 400, message).await;
    });
}

#[test]
fn a_hundred_thousand_warnings_are_summed_up() {
    lab(|lab| async move {
        let twice = "\"key\": \"value\", ".repeat(50_000);
        let body = format!("{{\"metadata\": {{\"name\": \"a\"}}, \"data\": {{{twice}\"key\": \"last\"}}}}");
        let response = lab.send("POST", CONFIG_MAPS, &JSON, body).await;
        assert_eq!(response.status(), 201);
        let warnings: Vec<_> = response.headers().get_all("warning").iter().collect();
        assert_eq!(warnings[0], "299 - \"duplicate field \\\"data.key\\\"\"");
        assert!(warnings.len() <= 200, "{}", warnings.len());
        assert_eq!(lab.get(&format!("{CONFIG_MAPS}/a")).await["data"]["key"], "last");
        let unknown: String = (0..50_000).map(|number| format!("\"unknown{number}\": 1, ")).collect();
        let body = format!("{{{unknown}\"metadata\": {{\"name\": \"b\"}}}}");
        let response = lab.send("POST", CONFIG_MAPS, &JSON, body).await;
        let length: usize = response.headers().get_all("warning").iter().map(|warning| warning.len()).sum();
        assert!(response.status() == 201 && length < 10_000, "{length}");
    });
}

#[test]
fn thirty_thousand_fields_come_and_go_at_once() {
    lab(|lab| async move {
        let fields = |value: Value| -> Value {
            (0..30_000)
                .map(|number| (format!("key{number}"), value.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let full = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": fields(json!("v"))});
        let empty = json!({"data": fields(Value::Null)}).to_string();
        let target = format!("{CONFIG_MAPS}/a");
        for content_type in ["application/merge-patch+json", "application/strategic-merge-patch+json"] {
            lab.post(CONFIG_MAPS, full.clone()).await;
            let response = lab.send("PATCH", &target, &[("content-type", content_type)], empty.clone()).await;
            assert_eq!(response.status(), 200, "{content_type}");
            assert_eq!(lab.get(&target).await.get("data").unwrap_or(&json!({})), &json!({}));
            lab.json("DELETE", &target, Value::Null).await;
        }
        let apply = [("content-type", "application/apply-patch+yaml")];
        let applied = format!("{target}?fieldManager=x");
        assert_eq!(lab.send("PATCH", &applied, &apply, full.to_string()).await.status(), 201);
        let nothing = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}).to_string();
        assert_eq!(lab.send("PATCH", &applied, &apply, nothing).await.status(), 200);
        assert_eq!(lab.get(&target).await.get("data").unwrap_or(&json!({})), &json!({}));
    });
}

#[test]
fn absurd_selectors_are_answered_at_once() {
    lab(|lab| async move {
        lab.post(PODS, pod("a")).await;
        let many = |term: &str, count: usize| vec![term; count].join(",");
        for (selector, code) in [
            (many("app!=x", 5_000), 200),
            (many("!x", 10_000), 200),
            (format!("app in ({})", many("x", 20_000)), 200),
            ("(".repeat(30_000), 400),
            (format!("app in ({}", "(".repeat(10_000)), 400),
            (",".repeat(30_000), 400),
            ("=".repeat(30_000), 400),
            (format!("{}=b", "a".repeat(30_000)), 400),
            ("a b c".to_owned(), 400),
            ("\u{0}".to_owned(), 400),
        ] {
            let text = percent_encoding::utf8_percent_encode(&selector, percent_encoding::NON_ALPHANUMERIC);
            if text.to_string().len() > 60_000 {
                // An address has 64 KiB at most; the parser is tried with the whole of it all the same.
                let parsed = labkit_api::LabelSelector::parse(&selector);
                assert_eq!(parsed.is_ok(), code == 200, "{}", &selector[..20]);
                continue;
            }
            let (found, status) = lab.json("GET", &format!("{PODS}?labelSelector={text}"), Value::Null).await;
            assert_eq!(found, code, "{}: {}", &selector[..selector.len().min(20)], status["message"]);
        }
    });
}

#[test]
fn ten_thousand_idle_watches_share_what_they_are_told() {
    lab(|lab| async move {
        let mut watches = Vec::new();
        for _ in 0..10_000 {
            watches.push(lab.watch(&format!("{CONFIG_MAPS}?watch=true")).await);
        }
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let mut told = Vec::new();
        for watch in &mut watches {
            told.push(watch.chunk().await.unwrap().bytes);
        }
        assert!(told.iter().all(|bytes| bytes.as_ptr() == told[0].as_ptr()), "one event is kept once");
        // Who does not read holds a bounded number of events back; the others go on.
        for _ in 0..100 {
            lab.patch(&format!("{CONFIG_MAPS}/a"), json!({"data": {"key": lab.server.registry.uid()}})).await;
            assert_eq!(watches[0].line().await, "MODIFIED a");
        }
    });
}
