//! Commands in containers, clients attached to them, connections to ports: at the kubelet's door.

use std::time::Duration;

use bytes::Bytes;
use labkit_client::{Body, Input, Output, Pipe, PortRequest, Session};
use labkit_node::{LogOptions, SessionError, SessionOptions};
use serde_json::json;
use tokio::sync::oneshot;

use crate::lab::{self, Lab};

fn exec(command: &[&str]) -> SessionOptions {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    SessionOptions { command: Some(command), stdin: true, stdout: true, stderr: true, tty: false }
}

fn attach(tty: bool) -> SessionOptions {
    SessionOptions { command: None, stdin: true, stdout: true, stderr: true, tty }
}

fn open(lab: &Lab, pod: &str, options: SessionOptions) -> Session {
    lab.machine("worker1").open_session("default", pod, "c", options).unwrap()
}

/// What a session says to its end, and the end; `None` where it is cut off.
async fn rest(session: &mut Session) -> (String, Option<Result<i32, String>>) {
    let mut said = String::new();
    while let Some(output) = session.output.recv().await {
        match output {
            Output::Stdout(bytes) | Output::Stderr(bytes) => {
                said.push_str(std::str::from_utf8(&bytes).unwrap())
            }
            Output::End(end) => return (said, Some(end)),
        }
    }
    (said, None)
}

async fn says(session: &Session, text: &'static str) {
    session.input.send(Input::Stdin(Bytes::from_static(text.as_bytes()))).await.unwrap();
}

#[test]
fn commands_share_the_files_of_their_container_until_it_restarts() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({"env": [{"name": "A", "value": "b"}], "workingDir": "/tmp"}))
            .await;
        lab.until_ready("web").await;
        let mut first = open(&lab, "web", exec(&["sh", "-c", "cat > heard; echo $A; exit 3"]));
        says(&first, "kept").await;
        first.input.send(Input::StdinEnd).await.unwrap();
        assert_eq!(rest(&mut first).await, ("b\n".to_owned(), Some(Ok(3))));
        let mut second = open(&lab, "web", exec(&["cat", "/tmp/heard"]));
        assert_eq!(rest(&mut second).await, ("kept".to_owned(), Some(Ok(0))));

        let mut killer = open(&lab, "web", exec(&["sh", "-c", "kill 1; sleep 100"]));
        assert_eq!(rest(&mut killer).await, (String::new(), Some(Ok(137))), "it ends with its container");
        lab.until("it restarts", async |lab| {
            lab.get("web").await["status"]["containerStatuses"][0]["restartCount"] == 1
        })
        .await;
        lab.until_ready("web").await;
        let mut third = open(&lab, "web", exec(&["cat", "heard"]));
        let said = "cat: can't open 'heard': No such file or directory\n";
        assert_eq!(rest(&mut third).await, (said.to_owned(), Some(Ok(1))));
    });
}

#[test]
fn a_session_needs_a_container_that_runs() {
    lab::run(1, 1, |lab| async move {
        let once = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox", "command": ["true"]}]});
        lab.pod("done", once).await;
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        lab.until("it is done", async |lab| lab.get("done").await["status"]["phase"] == "Succeeded").await;
        let refusal = |pod: &str, container: &str| {
            lab.machine("worker1").open_session("default", pod, container, exec(&["true"])).unwrap_err()
        };
        assert_eq!(refusal("nope", "c"), SessionError::NoPod);
        assert_eq!(refusal("done", "c").to_string(), "container not found (\"c\")");
        assert_eq!(refusal("web", "d").to_string(), "container not found (\"d\")");
        let mut missing = open(&lab, "web", exec(&["foo"]));
        let why = rest(&mut missing).await.1.unwrap().unwrap_err();
        assert!(
            why.starts_with(
                "error executing command in container: failed to exec in container: failed to start exec \""
            ),
            "{why}"
        );
        let gone = open(&lab, "web", exec(&["yes"]));
        drop(gone);
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
}

#[test]
fn a_power_cut_breaks_a_session_off() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        let mut session = open(&lab, "web", exec(&["sleep", "1000"]));
        lab.kill_kubelet("worker1").await;
        lab.machine("worker1").power_off().await;
        assert_eq!(rest(&mut session).await, (String::new(), None));
    });
}

#[test]
fn who_is_attached_hears_and_speaks_with_the_first_process() {
    lab::run(1, 1, |lab| async move {
        let shell = json!({"command": ["sh"], "stdin": true, "stdinOnce": true, "tty": true});
        let mut pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]});
        labkit_api::patch::merge_patch(&mut pod["containers"][0], &shell);
        lab.pod("shell", pod).await;
        lab.until_ready("shell").await;
        let mut session = open(&lab, "shell", attach(true));
        says(&session, "echo hi; exit 4\r").await;
        let (said, end) = rest(&mut session).await;
        assert_eq!((said.as_str(), end), ("echo hi; exit 4\r\nhi\r\n", Some(Ok(0))));
        lab.until("it has failed", async |lab| lab.get("shell").await["status"]["phase"] == "Failed").await;
        let log = lab.machine("worker1").logs("default", "shell", "c", &LogOptions::default()).unwrap();
        assert!(matches!(log, Body::Full(text) if text == "/ # echo hi; exit 4\nhi\n"));

        let cat = json!({"args": ["cat"], "stdin": true, "stdinOnce": true});
        let mut pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]});
        labkit_api::patch::merge_patch(&mut pod["containers"][0], &cat);
        lab.pod("cat", pod).await;
        lab.until_ready("cat").await;
        let session = open(&lab, "cat", attach(false));
        says(&session, "bye").await;
        drop(session);
        lab.until("it ends with its client", async |lab| {
            lab.get("cat").await["status"]["phase"] == "Succeeded"
        })
        .await;
    });
}

/// One exchange with a port of a pod.
async fn fetch(lab: &Lab, port: u16, request: &'static [u8]) -> Result<String, String> {
    let ports = lab.machine("worker1").pod_ports("default", "web").unwrap();
    let (answer, answered) = oneshot::channel();
    ports.send(PortRequest { port, answer }).await.unwrap();
    let Pipe { sender, mut receiver } = answered.await.unwrap()?;
    sender.send(Bytes::from_static(request)).await.unwrap();
    drop(sender);
    let mut text = Vec::new();
    while let Some(bytes) = receiver.recv().await {
        text.extend_from_slice(&bytes);
    }
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn ports_answer_what_the_image_declares() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        let page = fetch(&lab, 80, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(
            page.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ndate: Thu, 01 Jan 2026 "),
            "{page}"
        );
        assert!(page.ends_with("\r\n\r\n<h1>Welcome to nginx!</h1>\n"), "{page}");
        let missing = fetch(&lab, 80, b"GET /nope?x=1 HTTP/1.0\r\n\r\n").await.unwrap();
        assert!(
            missing.starts_with("HTTP/1.0 404 Not Found") && missing.ends_with("404 page not found\n"),
            "{missing}"
        );
        let garbage = fetch(&lab, 80, b"\x00\x01\x02\r\n\r\n").await.unwrap();
        assert!(garbage.starts_with("HTTP/1.1 400 Bad Request"), "{garbage}");
        let refused = fetch(&lab, 81, b"").await.unwrap_err();
        assert!(refused.starts_with("error forwarding port 81 to pod "), "{refused}");
        assert!(refused.contains("dial tcp4 127.0.0.1:81: connect: connection refused"), "{refused}");
        let unknown = lab.machine("worker1").pod_ports("default", "nope").unwrap_err();
        assert_eq!(unknown, SessionError::NoPod);
    });
}

#[test]
fn an_ephemeral_container_joins_a_pod_that_runs() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        let debugger = json!({"name": "d", "image": "busybox", "stdin": true, "targetContainerName": "c"});
        lab.add_ephemeral("web", debugger).await;
        lab.until("it runs", async |lab| {
            let pod = lab.get("web").await;
            let own = &pod["status"]["ephemeralContainerStatuses"][0];
            own["state"]["running"].is_object()
                && own["ready"] == false
                && pod["status"]["phase"] == "Running"
        })
        .await;
        let machine = lab.machine("worker1");
        let mut session = machine.open_session("default", "web", "d", exec(&["hostname"])).unwrap();
        assert_eq!(rest(&mut session).await, ("web\n".to_owned(), Some(Ok(0))));
        let shell = machine.open_session("default", "web", "d", attach(false)).unwrap();
        says(&shell, "exit 4\n").await;
        lab.until("it ends for good", async |lab| {
            let pod = lab.get("web").await;
            let own = &pod["status"]["ephemeralContainerStatuses"][0];
            own["state"]["terminated"]["exitCode"] == 4
                && pod["status"]["containerStatuses"][0]["ready"] == true
        })
        .await;
    });
}
