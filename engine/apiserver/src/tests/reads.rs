//! Reads: their options and refusals, and the forms of an answer.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

fn version(object: &Value) -> i64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[test]
fn options_of_a_list_that_contradict_each_other_are_refused() {
    lab(|lab| async move {
        for (query, code, message) in [
            (
                "resourceVersionMatch=Exact",
                422,
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is \
                 forbidden unless resourceVersion is provided",
            ),
            (
                "resourceVersionMatch=Newest&resourceVersion=1",
                422,
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: \"Newest\": supported \
                 values: \"Exact\", \"NotOlderThan\", \"\"",
            ),
            (
                "resourceVersionMatch=Exact&resourceVersion=0",
                422,
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" \
                 is forbidden for resourceVersion \"0\"",
            ),
            (
                "sendInitialEvents=true",
                422,
                "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden \
                 for list",
            ),
            (
                "watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1",
                422,
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is \
                 forbidden for watch unless sendInitialEvents is provided",
            ),
            (
                "watch=true&sendInitialEvents=true",
                422,
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires \
                 setting resourceVersionMatch to NotOlderThan",
            ),
            (
                "resourceVersion=99999999999999999999",
                400,
                "Invalid value: \"99999999999999999999\": strconv.ParseUint: parsing \"99999999999999999999\": value out \
                 of range",
            ),
            (
                "resourceVersion=7&continue=abc",
                400,
                "specifying resource version is not allowed when using continue",
            ),
        ] {
            lab.refused("GET", &format!("{CONFIG_MAPS}?{query}"), Value::Null, code, message).await;
        }
    });
}

#[test]
fn a_list_whose_revision_is_compacted_goes_on_inconsistently_with_the_token_of_the_refusal() {
    lab(|lab| async move {
        for name in ["a", "b", "c"] {
            lab.post(CONFIG_MAPS, config_map(name)).await;
        }
        let first = lab.get(&format!("{CONFIG_MAPS}?limit=1")).await;
        let token = first["metadata"]["continue"].as_str().unwrap();
        lab.json("DELETE", &format!("{CONFIG_MAPS}/b"), Value::Null).await;
        let newest = lab.post(CONFIG_MAPS, config_map("d")).await;
        lab.etcd.client("test").compact(version(&newest)).await.unwrap();
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a \
                       new list without the continue parameter, or use the continue token in this response to retrieve \
                       the remainder of the results. Continuing with the provided token results in an inconsistent \
                       list - objects that were created, modified, or deleted between the time the first chunk was \
                       returned and now may show up in the list.";
        let target = format!("{CONFIG_MAPS}?limit=1&continue={token}");
        let status = lab.refused("GET", &target, Value::Null, 410, message).await;
        let token = status["metadata"]["continue"].as_str().unwrap();
        let second = lab.get(&format!("{CONFIG_MAPS}?limit=1&continue={token}")).await;
        assert_eq!(names(&second), ["c"]);
        let token = second["metadata"]["continue"].as_str().unwrap();
        lab.post(CONFIG_MAPS, config_map("e")).await;
        let rest = lab.get(&format!("{CONFIG_MAPS}?continue={token}")).await;
        assert_eq!((names(&rest), version(&rest)), (vec!["d"], version(&second)));
    });
}

#[test]
fn a_forged_token_does_not_lead_out_of_the_namespace() {
    lab(|lab| async move {
        lab.post("/api/v1/namespaces/default/secrets", json!({"metadata": {"name": "s"}})).await;
        let revision = version(&lab.post(CONFIG_MAPS, config_map("a")).await);
        for start in ["../../secrets/default/", "..", "/../kube-system/x", "a/../../b"] {
            let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string();
            let target = format!("{CONFIG_MAPS}?continue={}", URL_SAFE_NO_PAD.encode(token));
            let message = format!("invalid continue token: continue key is not valid: {start}");
            lab.refused("GET", &target, Value::Null, 400, &message).await;
        }
    });
}

#[test]
fn pages_are_full_however_few_objects_match() {
    lab(|lab| async move {
        for number in 0..40 {
            let mut object = config_map(&format!("c{number:02}"));
            object["metadata"]["labels"] = json!({"app": if number % 10 == 9 { "x" } else { "y" }});
            lab.post(CONFIG_MAPS, object).await;
        }
        let first = lab.get(&format!("{CONFIG_MAPS}?limit=3&labelSelector=app%3Dx")).await;
        assert_eq!(names(&first), ["c09", "c19", "c29"]);
        assert_eq!(first["metadata"].get("remainingItemCount"), None);
        let token = first["metadata"]["continue"].as_str().unwrap();
        let rest = lab.get(&format!("{CONFIG_MAPS}?limit=3&labelSelector=app%3Dx&continue={token}")).await;
        assert_eq!((names(&rest), version(&rest)), (vec!["c39"], version(&first)));
        // With a version and a limit, a list is true at exactly that version.
        let at = version(&first) - 1;
        let past = lab.get(&format!("{CONFIG_MAPS}?limit=500&resourceVersion={at}")).await;
        assert_eq!((names(&past).len(), version(&past)), (39, at));
        let target = format!("{CONFIG_MAPS}?limit=2&resourceVersion={at}&resourceVersionMatch=NotOlderThan");
        assert_eq!(version(&lab.get(&target).await), version(&first));
    });
}

#[test]
fn a_get_is_at_least_as_new_as_it_is_asked_to_be() {
    lab(|lab| async move {
        let object = lab.post(CONFIG_MAPS, config_map("a")).await;
        let later = version(&lab.post(PODS, pod("p")).await);
        for version in [0, version(&object), later] {
            let found = lab.get(&format!("{CONFIG_MAPS}/a?resourceVersion={version}")).await;
            assert_eq!(found["data"]["key"], "value", "{version}");
        }
        let target = format!("{CONFIG_MAPS}/a?resourceVersion={}", later + 100);
        let (code, status) = lab.json("GET", &target, Value::Null).await;
        assert_eq!(
            (code, &status["details"]["causes"][0]["reason"]),
            (504, &json!("ResourceVersionTooLarge"))
        );
    });
}

#[test]
fn large_answers_are_compressed_for_those_who_accept_it() {
    lab(|lab| async move {
        let get = |accepts: &'static str| lab.send("GET", CONFIG_MAPS, accept_encoding(accepts), "");
        lab.post(CONFIG_MAPS, config_map("small")).await;
        assert!(get("gzip").await.headers().get("content-encoding").is_none());
        let mut large = config_map("large");
        large["data"]["key"] = json!("x".repeat(200_000));
        lab.post(CONFIG_MAPS, large).await;
        assert!(get("deflate").await.headers().get("content-encoding").is_none());
        let response = get("deflate, gzip").await;
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(response.headers()["vary"], "Accept-Encoding");
        let body = whole(response);
        assert!(body.len() < 10_000, "{}", body.len());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(names(&serde_json::from_str(&text).unwrap()), ["large", "small"]);
    });
}

fn accept_encoding(value: &'static str) -> &'static [(&'static str, &'static str)] {
    match value {
        "gzip" => &[("accept-encoding", "gzip")],
        "deflate" => &[("accept-encoding", "deflate")],
        _ => &[("accept-encoding", "deflate, gzip")],
    }
}

#[test]
fn json_is_indented_for_those_who_read_it_themselves() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        for (target, agent, is_indented) in [
            ("", "kubectl/v1.32.4", false),
            ("?pretty=true", "kubectl/v1.32.4", true),
            ("", "curl/8.5.0", true),
            ("?pretty=0", "curl/8.5.0", false),
        ] {
            let target = format!("{CONFIG_MAPS}/a{target}");
            let body = whole(lab.send("GET", &target, &[("user-agent", agent)], "").await);
            assert_eq!(body.starts_with(b"{\n  \"apiVersion\""), is_indented, "{target} {agent}");
        }
        let version = whole(lab.send("GET", "/version", &[], "").await);
        assert!(version.starts_with(b"{\n  \"major\": \"1\""));
        let missing = lab.send("GET", &format!("{CONFIG_MAPS}/b"), &[("user-agent", "curl/8.5.0")], "").await;
        assert!(whole(missing).starts_with(b"{\n  \"kind\": \"Status\""));
    });
}

#[test]
fn objects_lists_and_refusals_come_in_protobuf() {
    lab(|lab| async move {
        lab.post(DEPLOYMENTS, deployment("web")).await;
        let accept = [("accept", "application/vnd.kubernetes.protobuf,application/json")];
        let response = lab.send("GET", &format!("{DEPLOYMENTS}/web"), &accept, "").await;
        assert_eq!(response.headers()["content-type"], PROTOBUF);
        let mut decoded = labkit_api::protobuf::decode(&whole(response)).unwrap();
        let mut json = lab.get(&format!("{DEPLOYMENTS}/web")).await;
        decoded.sort_all_objects();
        json.sort_all_objects();
        // Of a structure without fields the wire does not tell whether it was given.
        json.as_object_mut().unwrap().shift_remove("status");
        decoded.as_object_mut().unwrap().shift_remove("status");
        let container =
            json.pointer_mut("/spec/template/spec/containers/0").unwrap().as_object_mut().unwrap();
        assert_eq!(container.shift_remove("resources"), Some(json!({})));
        assert_eq!(
            serde_json::to_string_pretty(&decoded).unwrap(),
            serde_json::to_string_pretty(&json).unwrap()
        );

        let list = whole(lab.send("GET", DEPLOYMENTS, &accept, "").await);
        let find = |text: &[u8]| list.windows(text.len()).any(|window| window == text);
        assert!(list.starts_with(b"k8s\0\n\x19\n\x07apps/v1\x12\x0eDeploymentList") && find(b"nginx:1.27"));

        let response = lab.send("GET", &format!("{DEPLOYMENTS}/none"), &accept, "").await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (404, &PROTOBUF.parse().unwrap())
        );
        assert!(whole(response).starts_with(b"k8s\0\n\x0c\n\x02v1\x12\x06Status"));

        let accept =
            [("accept", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")];
        let partial = whole(lab.send("GET", &format!("{DEPLOYMENTS}/web"), &accept, "").await);
        assert!(partial.starts_with(b"k8s\0\n'\n\x0emeta.k8s.io/v1\x12\x15PartialObjectMetadata"));
        assert!(!partial.windows(5).any(|window| window == b"nginx"));

        let scale =
            whole(lab.send("GET", &format!("{DEPLOYMENTS}/web/scale"), &[("accept", PROTOBUF)], "").await);
        let scale = labkit_api::protobuf::decode(&scale).unwrap();
        assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(1)));
    });
}

/// The frames of a watch in protobuf: type and object.
async fn frame(events: &mut Events) -> (String, Value) {
    let chunk = events.chunk().await.unwrap().bytes;
    assert_eq!(u32::from_be_bytes(chunk[..4].try_into().unwrap()) as usize, chunk.len() - 4);
    let length = usize::from(chunk[5]);
    let kind = String::from_utf8(chunk[6..6 + length].to_vec()).unwrap();
    let at = chunk.windows(4).position(|window| window == b"k8s\0").unwrap();
    (kind, labkit_api::protobuf::decode(&chunk[at..]).unwrap_or_default())
}

#[test]
fn a_watch_comes_in_protobuf_and_never_in_yaml() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let accept = [("accept", "application/vnd.kubernetes.protobuf,application/json")];
        let target = format!("{CONFIG_MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=100");
        let response = lab.send("GET", &target, &accept, "").await;
        assert_eq!(response.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
        let Body::Stream(chunks) = response.into_body() else { panic!("no stream") };
        let mut events = Events { chunks };
        let (kind, object) = frame(&mut events).await;
        assert_eq!((kind.as_str(), &object["metadata"]["name"]), ("ADDED", &json!("a")));
        lab.json("DELETE", &format!("{CONFIG_MAPS}/a"), Value::Null).await;
        assert_eq!(frame(&mut events).await.0, "DELETED");
        let (kind, object) = frame(&mut events).await;
        assert_eq!((kind.as_str(), &object["kind"]), ("BOOKMARK", &json!("ConfigMap")));
        assert!(object["metadata"]["resourceVersion"].is_string());

        let response = lab.send("GET", &target, &[("accept", "application/yaml")], "").await;
        let message = "only the following media types are accepted: application/json;stream=watch, \
                       application/vnd.kubernetes.protobuf;stream=watch";
        assert_eq!(response.status(), 406);
        let status = String::from_utf8(whole(response).to_vec()).unwrap();
        assert!(status.starts_with("apiVersion: v1\ncode: 406\nkind: Status\n"), "{status}");
        let status: Value = serde_yaml::from_str(&status).unwrap();
        assert_eq!(status["message"], message);
    });
}

#[test]
fn the_end_of_initial_events_is_told_to_those_who_take_bookmarks() {
    lab(|lab| async move {
        lab.post(CONFIG_MAPS, config_map("a")).await;
        let options = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        let mut events = lab.watch(&format!("{CONFIG_MAPS}?{options}")).await;
        assert_eq!(events.line().await, "ADDED a");
        assert!(events.is_quiet().await);
    });
}
