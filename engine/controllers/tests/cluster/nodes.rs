use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod};
use serde_json::json;

use crate::lab::{Lab, is_ready, name, run};

fn ready(node: &Node) -> NodeCondition {
    let conditions = node.status.as_ref().unwrap().conditions.clone().unwrap();
    conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap()
}

fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    assert!(taints.iter().all(|taint| taint.time_added.is_some()));
    let mut taints: Vec<String> =
        taints.into_iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
    taints.sort();
    taints
}

async fn node(lab: &Lab, name: &str) -> Node {
    lab.get(name).await.unwrap()
}

fn on<'a>(node: &'a str) -> impl Fn(&Pod) -> bool + 'a {
    move |pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some(node)
}

#[test]
fn a_dead_node_is_unknown_after_forty_seconds_and_evicted_five_minutes_later() {
    run(1, |lab| async move {
        lab.manager();
        let kubelets = lab.nodes(3).await;
        lab.deployment("web", 3).await;
        lab.available("web", 3).await;
        assert_eq!(ready(&node(&lab, "worker2").await).status, "True");
        // Just after a heartbeat, at 20 s; its renewal is noticed by the look at 25 s at the latest.
        tokio::time::sleep(Duration::from_secs(21) - lab.world.clock().elapsed()).await;
        kubelets[1].kill().await;
        let victim = name(lab.pods().await.iter().find(|pod| on("worker2")(pod)).unwrap());
        let died = lab.world.clock().elapsed();
        let unknown = lab
            .until(Duration::from_secs(60), "worker2 is unknown", || async {
                ready(&node(&lab, "worker2").await).status == "Unknown"
            })
            .await;
        let after = (unknown - died).as_secs_f64();
        assert!((39.0..=45.0).contains(&after), "unknown after {after} s");
        let condition = ready(&node(&lab, "worker2").await);
        assert_eq!(condition.reason.as_deref(), Some("NodeStatusUnknown"));
        assert_eq!(condition.message.as_deref(), Some("Kubelet stopped posting node status."));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(taints(&node(&lab, "worker2").await), ["node.kubernetes.io/unreachable:NoSchedule"]);
        assert!(!is_ready(&lab.get::<Pod>(&victim).await.unwrap()));
        assert_eq!(
            lab.events("NodeNotReady").await,
            ["Node worker2 status is now: NodeNotReady", "Node is not ready"]
        );
        let tainted = lab
            .until(Duration::from_secs(10), "worker2 has the NoExecute taint", || async {
                taints(&node(&lab, "worker2").await)
                    .contains(&"node.kubernetes.io/unreachable:NoExecute".to_owned())
            })
            .await;
        assert!((4.5..=5.5).contains(&(tainted - unknown).as_secs_f64()), "one look later");
        let evicted = lab
            .until(Duration::from_secs(400), "the pod is deleted", || async {
                lab.get::<Pod>(&victim).await.unwrap().metadata.deletion_timestamp.is_some()
            })
            .await;
        let after = (evicted - tainted).as_secs_f64();
        assert!((299.5..=300.5).contains(&after), "evicted after {after} s");
        assert_eq!(
            lab.events("TaintManagerEviction").await,
            [format!("Marking for deletion Pod default/{victim}")]
        );
        let pod: Pod = lab.get(&victim).await.unwrap();
        let conditions = pod.status.unwrap().conditions.unwrap();
        let target = conditions.iter().find(|condition| condition.type_ == "DisruptionTarget").unwrap();
        assert_eq!(target.reason.as_deref(), Some("DeletionByTaintManager"));
        lab.until(Duration::from_secs(10), "the replacement is ready", || async {
            lab.ready_pods().await == 3
        })
        .await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(lab.get::<Pod>(&victim).await.is_some(), "nobody confirms its end while the node is away");
        lab.kubelet(2).await;
        lab.until(Duration::from_secs(30), "the old pod is gone", || async {
            lab.get::<Pod>(&victim).await.is_none()
        })
        .await;
        lab.until(Duration::from_secs(30), "worker2 has no taints", || async {
            taints(&node(&lab, "worker2").await).is_empty()
        })
        .await;
        assert_eq!(ready(&node(&lab, "worker2").await).status, "True");
    });
}

#[test]
fn a_node_that_comes_back_in_time_keeps_its_pods() {
    run(2, |lab| async move {
        lab.manager();
        let kubelets = lab.nodes(2).await;
        lab.deployment("web", 2).await;
        lab.available("web", 2).await;
        kubelets[1].kill().await;
        let victim = name(lab.pods().await.iter().find(|pod| on("worker2")(pod)).unwrap());
        lab.until(Duration::from_secs(60), "worker2 has both taints", || async {
            taints(&node(&lab, "worker2").await).len() == 2
        })
        .await;
        tokio::time::sleep(Duration::from_secs(200)).await;
        lab.kubelet(2).await;
        lab.until(Duration::from_secs(30), "worker2 has no taints", || async {
            taints(&node(&lab, "worker2").await).is_empty()
        })
        .await;
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(lab.get::<Pod>(&victim).await.unwrap().metadata.deletion_timestamp.is_none());
        assert_eq!(
            lab.events("TaintManagerEviction").await,
            [format!("Cancelling deletion of Pod default/{victim}")]
        );
    });
}

#[test]
fn no_pod_is_evicted_when_every_node_is_silent() {
    run(3, |lab| async move {
        lab.manager();
        let kubelets = lab.nodes(3).await;
        lab.deployment("web", 3).await;
        lab.available("web", 3).await;
        for kubelet in &kubelets {
            kubelet.kill().await;
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
        for index in 1..=3 {
            let node = node(&lab, &format!("worker{index}")).await;
            assert_eq!(ready(&node).status, "Unknown");
            assert_eq!(taints(&node), ["node.kubernetes.io/unreachable:NoSchedule"]);
        }
        assert!(lab.pods().await.iter().all(|pod| pod.metadata.deletion_timestamp.is_none()));
    });
}

#[test]
fn a_no_execute_taint_by_hand_evicts_at_once() {
    run(4, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        lab.deployment("web", 2).await;
        lab.available("web", 2).await;
        let taint = json!({"spec": {"taints": [{"key": "maintenance", "effect": "NoExecute"}]}});
        lab.patch::<Node>("worker1", taint).await;
        lab.until(Duration::from_secs(10), "all pods are on worker2", || async {
            let pods = lab.pods().await;
            pods.len() == 2 && pods.iter().all(|pod| on("worker2")(pod) && is_ready(pod))
        })
        .await;
    });
}

#[test]
fn nodes_are_registered_with_an_event_and_cordons_become_taints() {
    run(5, |lab| async move {
        lab.manager();
        lab.nodes(1).await;
        lab.until(Duration::from_secs(10), "worker1 is registered", || async {
            !lab.events("RegisteredNode").await.is_empty()
        })
        .await;
        assert_eq!(
            lab.events("RegisteredNode").await,
            ["Node worker1 event: Registered Node worker1 in Controller"]
        );
        lab.patch::<Node>("worker1", json!({"spec": {"unschedulable": true}})).await;
        lab.until(Duration::from_secs(5), "the taint is there", || async {
            taints(&node(&lab, "worker1").await) == ["node.kubernetes.io/unschedulable:NoSchedule"]
        })
        .await;
        lab.patch::<Node>("worker1", json!({"spec": {"unschedulable": false}})).await;
        lab.until(Duration::from_secs(5), "the taint is gone", || async {
            taints(&node(&lab, "worker1").await).is_empty()
        })
        .await;
    });
}
