//! Pods that are deleted.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{self, field};

#[test]
fn a_deleted_pod_ends_its_containers_and_is_then_deleted_for_good() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        lab.delete("web", None).await;
        let asked = lab.world.clock().elapsed();
        lab.until("it is gone", async |lab| lab.get("web").await.is_null()).await;
        assert!(lab.world.clock().elapsed() - asked < Duration::from_secs(1), "nginx heeds SIGTERM");
        assert_eq!(lab.events("web").await.last().unwrap(), "Killing: Stopping container c");
        let deletes = lab.records("DELETE");
        let from: Vec<&str> = deletes.iter().map(|record| &*record.from).collect();
        assert_eq!(from, ["kubectl", "kubelet/worker1"]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(lab.records("RemovePodSandbox").len(), 1);
    });
}

#[test]
fn what_does_not_heed_sigterm_is_killed_after_the_grace_period() {
    lab::run(1, 1, |lab| async move {
        let spec = |seconds: i64| {
            let container = json!({"name": "c", "image": "busybox", "command": ["sleep", "infinity"]});
            json!({"terminationGracePeriodSeconds": seconds, "containers": [container]})
        };
        lab.pod("slow", spec(10)).await;
        lab.pod("hurried", spec(600)).await;
        lab.until_ready("slow").await;
        lab.until_ready("hurried").await;
        let asked = lab.world.clock().elapsed();
        lab.delete("slow", None).await;
        lab.delete("hurried", None).await;
        lab.until("the first is gone", async |lab| lab.get("slow").await.is_null()).await;
        assert_eq!((lab.world.clock().elapsed() - asked).as_secs(), 10);
        let died = lab.records("ContainerDied");
        assert_eq!(field(&died[0], "exitCode"), 137);
        assert!(lab.get("hurried").await["metadata"]["deletionTimestamp"].is_string());
        lab.delete("hurried", Some(15)).await;
        lab.until("the second is gone", async |lab| lab.get("hurried").await.is_null()).await;
        assert_eq!((lab.world.clock().elapsed() - asked).as_secs(), 15, "a second delete shortens the wait");
    });
}

#[test]
fn a_pod_deleted_by_force_is_gone_at_once_and_its_containers_soon() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        lab.delete("web", Some(0)).await;
        assert_eq!(lab.get("web").await, Value::Null);
        lab.until("its container ended", async |lab| !lab.records("ContainerDied").is_empty()).await;
    });
}

#[test]
fn a_pod_deleted_while_its_image_is_pulled_never_starts() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until("the image is pulled", async |lab| !lab.records("PullImage").is_empty()).await;
        lab.delete("web", None).await;
        lab.until("it is gone", async |lab| lab.get("web").await.is_null()).await;
        assert!(lab.records("StartContainer").is_empty());
    });
}
