//! Containers that end and are started again.

use std::time::Duration;

use serde_json::json;

use crate::lab::{self, field};

#[test]
fn a_crashing_container_restarts_after_0_10_20_40_80_160_300_seconds() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "busybox", json!({"command": ["sh", "-c", "sleep 1; exit 1"]})).await;
        tokio::time::sleep(Duration::from_secs(1300)).await;
        let starts: Vec<Duration> = lab.records("StartContainer").iter().map(|record| record.at).collect();
        let deaths: Vec<Duration> = lab.records("ContainerDied").iter().map(|record| record.at).collect();
        let waits: Vec<u64> =
            deaths.iter().zip(&starts[1..]).map(|(died, start)| (*start - *died).as_secs()).collect();
        assert_eq!(waits[..8], [0, 10, 20, 40, 80, 160, 300, 300]);
        let pod = lab.get("web").await;
        let container = &pod["status"]["containerStatuses"][0];
        assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        let message = format!("back-off 5m0s restarting failed container=c pod=web_default({uid})");
        assert_eq!(container["state"]["waiting"]["message"], json!(message));
        assert_eq!(container["lastState"]["terminated"]["exitCode"], 1);
        assert_eq!(pod["status"]["phase"], "Running");
        let backoff = format!("BackOff: Back-off restarting failed container c in pod web_default({uid})");
        assert!(lab.events("web").await.contains(&backoff));
    });
}

#[test]
fn the_first_crash_shows_as_error_the_second_as_back_off() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "busybox", json!({"command": ["sh", "-c", "sleep 3; exit 7"]})).await;
        let mut seen = Vec::new();
        for _ in 0..500 {
            let pod = lab.get("web").await;
            let state = &pod["status"]["containerStatuses"][0]["state"];
            let word = match state.as_object().and_then(|state| state.iter().next()) {
                Some((kind, inner)) if kind == "running" => format!("running {}", inner.is_object()),
                Some((_, inner)) => inner["reason"].as_str().unwrap_or_default().to_owned(),
                None => String::new(),
            };
            if seen.last() != Some(&word) {
                seen.push(word);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let expected = [
            "ContainerCreating",
            "running true",
            "Error",
            "running true",
            "Error",
            "CrashLoopBackOff",
            "running true",
        ];
        assert_eq!(seen[..7], expected);
    });
}

#[test]
fn on_failure_restarts_only_what_failed() {
    lab::run(1, 1, |lab| async move {
        let container = |name: &str, code: i32| json!({"name": name, "image": "busybox", "command": ["sh", "-c", format!("sleep 2; exit {code}")]});
        lab.pod(
            "web",
            json!({"restartPolicy": "OnFailure", "containers": [container("good", 0), container("bad", 1)]}),
        )
        .await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let started = lab.records("StartContainer");
        let of = |name: &str| started.iter().filter(|record| field(record, "container") == name).count();
        assert_eq!(of("good"), 1);
        assert!(of("bad") > 2);
        assert_eq!(lab.get("web").await["status"]["phase"], "Running");
    });
}
