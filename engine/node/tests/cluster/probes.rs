//! Probes against what images declare to serve.

use std::collections::BTreeMap;
use std::time::Duration;

use labkit_node::Image;
use serde_json::{Value, json};

use crate::lab::{self, condition};

fn images() -> BTreeMap<String, Image> {
    let api = json!({"serves": [{"port": 8080, "opensAfter": "12s", "paths": {
        "/ok": {}, "/ages": {"then": {"after": "30s", "code": 500}}}}]});
    BTreeMap::from([("api".to_owned(), serde_json::from_value(api).unwrap())])
}

fn get(path: &str) -> Value {
    json!({"httpGet": {"path": path, "port": 8080}, "periodSeconds": 5, "failureThreshold": 3})
}

#[test]
fn a_pod_is_ready_when_its_readiness_probe_succeeds_and_unready_when_it_fails() {
    lab::run_with(1, 1, images(), |lab| async move {
        lab.container("web", "api", json!({"readinessProbe": get("/ages")})).await;
        lab.until("it runs", async |lab| lab.get("web").await["status"]["phase"] == "Running").await;
        let pod = lab.get("web").await;
        assert_eq!(condition(&pod, "Ready")["message"], "containers with unready status: [c]");
        lab.until_ready("web").await;
        let ready_at = lab.world.clock().elapsed();
        lab.until("it is unready", async |lab| {
            condition(&lab.get("web").await, "Ready")["status"] == "False"
        })
        .await;
        assert!(lab.world.clock().elapsed() - ready_at > Duration::from_secs(20));
        let events = lab.events("web").await;
        let ip = pod["status"]["podIP"].as_str().unwrap();
        let refused = format!(
            "Unhealthy: Readiness probe failed: Get \"http://{ip}:8080/ages\": dial tcp {ip}:8080: connect: connection refused"
        );
        assert!(events.contains(&refused), "{events:#?}");
        let failed = "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 500".to_owned();
        assert!(events.contains(&failed), "{events:#?}");
        assert_eq!(lab.get("web").await["status"]["containerStatuses"][0]["restartCount"], 0);
    });
}

#[test]
fn a_failing_liveness_probe_restarts_the_container() {
    lab::run_with(1, 1, images(), |lab| async move {
        let mut startup = get("/ok");
        startup["failureThreshold"] = json!(10);
        let probes = json!({"startupProbe": startup, "livenessProbe": get("/ages")});
        lab.container("web", "api", probes).await;
        lab.until_ready("web").await;
        lab.until("it was restarted", async |lab| {
            lab.get("web").await["status"]["containerStatuses"][0]["restartCount"] == 1
        })
        .await;
        let events = lab.events("web").await;
        let killing = "Killing: Container c failed liveness probe, will be restarted".to_owned();
        assert!(events.contains(&killing), "{events:#?}");
        assert!(
            events.iter().any(|event| event.starts_with("Unhealthy: Startup probe failed: Get")),
            "{events:#?}"
        );
        assert!(
            !events.iter().any(|event| event.contains("Liveness probe failed: Get")),
            "not before it started"
        );
    });
}

#[test]
fn a_tcp_probe_dials_and_an_exec_probe_runs_its_command() {
    lab::run(1, 1, |lab| async move {
        let tcp = |port: i32| json!({"readinessProbe": {"tcpSocket": {"port": port}}});
        lab.container("open", "nginx", tcp(80)).await;
        lab.container("closed", "nginx", tcp(81)).await;
        let exec = |command: &[&str]| json!({"readinessProbe": {"exec": {"command": command}}});
        lab.container("exec", "nginx", exec(&["true"])).await;
        lab.container("failing", "nginx", exec(&["cat", "/tmp/healthy"])).await;
        lab.container("slow", "nginx", exec(&["sleep", "5"])).await;
        lab.container("absent", "nginx", exec(&["foo"])).await;
        lab.until_ready("open").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let ready = async |name: &str| lab.get(name).await["status"]["containerStatuses"][0]["ready"].clone();
        assert_eq!((ready("closed").await, ready("exec").await), (json!(false), json!(true)));
        for (name, expected) in [
            ("failing", "Readiness probe failed: cat: can't open '/tmp/healthy': No such file or directory"),
            ("slow", "Readiness probe failed: command timed out after 1s"),
            ("absent", "exec: \"foo\": executable file not found in $PATH"),
        ] {
            assert_eq!(ready(name).await, json!(false));
            let events = lab.events(name).await;
            assert!(events.iter().any(|event| event.contains(expected)), "{events:#?}");
        }
    });
}
