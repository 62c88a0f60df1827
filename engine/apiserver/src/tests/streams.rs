//! exec, attach, port-forward and logs, up to the kubelet's door.

use super::*;

const EXEC: &str = "/api/v1/namespaces/default/pods/a/exec?command=echo&command=hi&stdin=true&stdout=true";

fn websocket(protocol: &str) -> [(&str, &str); 3] {
    [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-protocol", protocol)]
}

async fn bound(lab: &Lab, node: &str) {
    lab.json("POST", PODS, pod("a")).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": node}});
    let (code, answer) = lab.json("POST", &format!("{PODS}/a/binding"), binding).await;
    assert_eq!(code, 201, "{answer}");
}

/// The code and the message of a refusal.
async fn refusal(lab: &Lab, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let response = lab.send(method, target, headers, "").await;
    let code = response.status().as_u16();
    let body: Value = serde_json::from_slice(&whole(response)).unwrap();
    format!("{code} {}", body["message"].as_str().unwrap())
}

#[test]
fn exec_is_a_connection_of_channels() {
    lab(|lab| async move {
        bound(&lab, "worker1").await;
        let response = lab.send("GET", EXEC, &websocket("v5.channel.k8s.io,v4.channel.k8s.io"), "").await;
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-protocol"], "v5.channel.k8s.io");
        let Body::Upgraded(mut pipe) = response.into_body() else { panic!("no upgrade") };
        let mut heard = async || pipe.receiver.recv().await.unwrap_or_default();
        assert_eq!(heard().await, &b"\x01"[..]);
        assert_eq!(heard().await, &b"\x01echo hi"[..]);
        pipe.sender.send(Bytes::from_static(b"\x00more")).await.unwrap();
        assert_eq!(heard().await, &b"\x01more"[..]);
        pipe.sender.send(Bytes::from_static(b"\xff\x00")).await.unwrap();
        let end = heard().await;
        assert!(String::from_utf8_lossy(&end).contains("\"NonZeroExitCode\""), "{end:?}");
        assert_eq!(heard().await, Bytes::new());
    });
}

#[test]
fn what_cannot_be_a_session_is_refused() {
    lab(|lab| async move {
        let v5 = websocket("v5.channel.k8s.io");
        assert_eq!(refusal(&lab, "GET", EXEC, &v5).await, "404 pods \"a\" not found");
        lab.json("POST", PODS, pod("a")).await;
        assert_eq!(refusal(&lab, "GET", EXEC, &v5).await, "400 pod a does not have a host assigned");
        let other = format!("{EXEC}&container=nope");
        assert_eq!(refusal(&lab, "GET", &other, &v5).await, "400 container nope is not valid for pod a");
    });
    lab(|lab| async move {
        bound(&lab, "worker1").await;
        assert_eq!(refusal(&lab, "GET", EXEC, &[]).await, "400 Upgrade request required");
        let spdy = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
        assert!(
            refusal(&lab, "POST", EXEC, &spdy).await.starts_with("400 unable to upgrade: only WebSocket")
        );
        let chat = refusal(&lab, "GET", EXEC, &websocket("chat")).await;
        assert!(chat.starts_with("403 requested protocol(s) are not supported: [chat]"), "{chat}");
        let silent = "/api/v1/namespaces/default/pods/a/exec?command=ls";
        let silent = refusal(&lab, "GET", silent, &websocket("v5.channel.k8s.io")).await;
        assert_eq!(silent, "400 you must specify at least 1 of stdin, stdout, stderr");
        let ports = "/api/v1/namespaces/default/pods/a/portforward";
        let ports = refusal(&lab, "GET", ports, &websocket("SPDY/3.1+portforward.k8s.io")).await;
        assert_eq!(ports, "404 pod not found on worker1");
    });
}

#[test]
fn a_kubelet_that_does_not_answer_is_told_as_each_protocol_has_it() {
    lab(|lab| async move {
        bound(&lab, "worker2").await;
        let dial = "dial tcp 10.0.0.12:10250: connect: connection refused";
        let v4 = refusal(&lab, "GET", EXEC, &websocket("v4.channel.k8s.io")).await;
        assert_eq!(v4, format!("500 error dialing backend: {dial}"));
        let response = lab.send("GET", EXEC, &websocket("v5.channel.k8s.io"), "").await;
        let Body::Upgraded(mut pipe) = response.into_body() else { panic!("no upgrade") };
        let said = pipe.receiver.recv().await.unwrap();
        let status: Value = serde_json::from_slice(&said[1..]).unwrap();
        let expected = format!(
            "Internal error occurred: error sending request: Post \"https://10.0.0.12:10250/exec/default/a/c\": {dial}"
        );
        assert_eq!((said[0], status["message"].as_str().unwrap()), (3, expected.as_str()));
    });
}

#[test]
fn options_of_a_log_are_checked_before_the_pod() {
    lab(|lab| async move {
        let log = |query: &str| format!("/api/v1/namespaces/default/pods/a/log?{query}");
        let invalid = "422 PodLogOptions \"a\" is invalid: ";
        for (query, expected) in [
            ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
            ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
            ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ] {
            assert_eq!(refusal(&lab, "GET", &log(query), &[]).await, format!("{invalid}{expected}"));
        }
        assert!(refusal(&lab, "GET", &log("sinceTime=soon"), &[]).await.starts_with("400 parsing time"));
        assert!(refusal(&lab, "GET", &log("tailLines=x"), &[]).await.starts_with("400 strconv.ParseInt"));
    });
}
