//! The node's own object.

use std::time::Duration;

use serde_json::json;

use crate::lab::{self, condition};

#[test]
fn a_kubelet_registers_its_node() {
    lab::run(1, 1, |lab| async move {
        let node = lab.node("worker1").await;
        assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "worker1");
        assert_eq!(node["spec"]["podCIDR"], "10.244.1.0/24");
        assert_eq!(node["status"]["capacity"]["memory"], "8Gi");
        assert_eq!(node["status"]["addresses"][0], json!({"type": "InternalIP", "address": "10.0.0.11"}));
        let ready = condition(&node, "Ready");
        assert_eq!(
            (&ready["reason"], &ready["message"]),
            (&json!("KubeletReady"), &json!("kubelet is posting ready status"))
        );
        let events = lab.events("worker1").await;
        assert_eq!(events[0], "Starting: Starting kubelet.");
        assert_eq!(events[1], "NodeHasSufficientMemory: Node worker1 status is now: NodeHasSufficientMemory");
    });
}

#[test]
fn the_lease_is_renewed_every_ten_seconds_and_the_status_rarely() {
    lab::run(1, 1, |lab| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lease = lab.list("Lease").await.remove(0);
        assert_eq!(lease["metadata"]["namespace"], "kube-node-lease");
        assert_eq!(lease["spec"]["leaseDurationSeconds"], 40);
        let uid = &lab.node("worker1").await["metadata"]["uid"];
        assert_eq!(&lease["metadata"]["ownerReferences"][0]["uid"], uid);
        let from = lab.world.trace().last_id();
        tokio::time::sleep(Duration::from_secs(600)).await;
        let records = lab.world.trace().since(from);
        let of = |kind: &str| records.iter().filter(|record| record.payload.kind() == kind).count();
        assert!((57..=60).contains(&of("PUT")), "{} renewals", of("PUT"));
        assert_eq!(of("PATCH"), 1, "one status report in ten minutes: at most 5 min and 10 s apart");
    });
}

#[test]
fn a_pulled_image_is_reported_at_the_next_ten_seconds() {
    lab::run(1, 1, |lab| async move {
        lab.container("web", "nginx", json!({})).await;
        lab.until_ready("web").await;
        tokio::time::sleep(Duration::from_secs(11)).await;
        let images = lab.node("worker1").await["status"]["images"].clone();
        assert_eq!(images, json!([{"names": ["docker.io/library/nginx:latest"], "sizeBytes": 72_000_000}]));
    });
}

#[test]
fn a_node_called_unknown_while_it_was_cut_off_says_that_it_is_ready() {
    lab::run(1, 1, |lab| async move {
        let kubelet = lab.world.find("kubelet/worker1").unwrap();
        kubelet.pause();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let unknown = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown",
            "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}]}});
        let nodes = lab.client.api::<k8s_openapi::api::core::v1::Node>();
        nodes.patch("", "worker1", Some("status"), unknown).await.unwrap();
        kubelet.resume();
        lab.until("it is ready", async |lab| {
            condition(&lab.node("worker1").await, "Ready")["status"] == "True"
        })
        .await;
        assert!(
            lab.events("worker1")
                .await
                .contains(&"NodeReady: Node worker1 status is now: NodeReady".to_owned())
        );
    });
}
