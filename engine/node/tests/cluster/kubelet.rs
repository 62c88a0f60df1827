//! Kubelets that stop, machines that lose their power.

use std::collections::BTreeSet;
use std::time::Duration;

use labkit_sim::Rule;
use serde_json::{Value, json};

use crate::lab::{self, condition};

fn renewals(lab: &lab::Lab) -> usize {
    let puts = lab.records("PUT");
    puts.iter().filter(|record| lab::field(record, "target").to_string().contains("kube-node-lease")).count()
}

#[test]
fn a_stopped_kubelet_leaves_its_containers_and_the_next_one_picks_them_up() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        lab.kill_kubelet("worker1").await;
        let before = (renewals(&lab), lab.get("web").await["status"].clone());
        lab.container("later", "nginx", json!({})).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(renewals(&lab), before.0, "the lease is not renewed");
        let ip = before.1["podIP"].as_str().unwrap().parse().unwrap();
        assert!(lab.machine("worker1").http_get(ip, 80, "/").is_some(), "the container still serves");
        assert_eq!(lab.get("later").await["status"]["containerStatuses"], Value::Null);
        lab.start_kubelet("worker1");
        lab.until_ready("later").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(lab.get("web").await["status"], before.1, "nothing changed for the pod that ran on");
        assert!(renewals(&lab) > before.0);
    });
}

#[test]
fn a_pod_deleted_while_the_kubelet_is_stopped_goes_when_it_is_back() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        lab.kill_kubelet("worker1").await;
        lab.delete("web", None).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(lab.get("web").await["metadata"]["deletionTimestamp"].is_string());
        lab.start_kubelet("worker1");
        lab.until("it is gone", async |lab| lab.get("web").await.is_null()).await;
        assert_eq!(lab.records("ContainerDied").len(), 1);
    });
}

#[test]
fn a_pod_deleted_by_force_while_the_kubelet_is_stopped_is_ended_when_it_is_back() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        lab.kill_kubelet("worker1").await;
        lab.delete("web", Some(0)).await;
        lab.start_kubelet("worker1");
        lab.until("its container ended", async |lab| !lab.records("ContainerDied").is_empty()).await;
    });
}

#[test]
fn a_machine_that_lost_its_power_starts_its_pods_anew() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        lab.kill_kubelet("worker1").await;
        lab.machine("worker1").power_off().await;
        let before = renewals(&lab);
        let ip = lab.get("web").await["status"]["podIP"].as_str().unwrap().parse().unwrap();
        assert_eq!(lab.machine("worker1").http_get(ip, 80, "/"), None);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(renewals(&lab), before);
        assert_eq!(condition(&lab.get("web").await, "Ready")["status"], "True", "nobody told the API");
        lab.machine("worker1").power_on();
        lab.start_kubelet("worker1");
        lab.until("it was restarted", async |lab| {
            let container = &lab.get("web").await["status"]["containerStatuses"][0];
            container["ready"] == true && container["restartCount"] == 1
        })
        .await;
        let container = &lab.get("web").await["status"]["containerStatuses"][0];
        assert_eq!(container["lastState"]["terminated"]["exitCode"], 255);
        let events = lab.events("web").await;
        assert!(
            events.iter().any(|event| event.starts_with("SandboxChanged: Pod sandbox changed")),
            "{events:#?}"
        );
        let events = lab.events("worker1").await;
        assert!(
            events.iter().any(|event| event.starts_with("Rebooted: Node worker1 has been rebooted")),
            "{events:#?}"
        );
    });
}

#[test]
fn a_kubelet_that_was_cut_off_catches_up_when_the_link_is_healed() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        let groups = ["kubelet/worker1", "apiServer/0"].map(|name| BTreeSet::from([name.to_owned()]));
        let cut = lab.world.network().add(Rule::Partition { groups: groups.to_vec() });
        lab.container("later", "nginx", json!({})).await;
        lab.delete("web", None).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(lab.get("web").await["metadata"]["deletionTimestamp"].is_string());
        assert_eq!(lab.records("ContainerDied").len(), 0, "the containers do not notice");
        lab.world.network().remove(cut);
        let healed = lab.world.clock().elapsed();
        lab.until_ready("later").await;
        lab.until("it is gone", async |lab| lab.get("web").await.is_null()).await;
        assert!(lab.world.clock().elapsed() - healed < Duration::from_secs(60));
    });
}
