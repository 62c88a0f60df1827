use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::lab::{Lab, name, run};

async fn steady(lab: &Lab, pods: usize) {
    let what = format!("{pods} pods are ready and no others are left");
    lab.until(Duration::from_secs(30), &what, || async {
        lab.ready_pods().await == pods
            && lab.pods().await.iter().filter(|pod| owner(pod).is_some()).count() == pods
    })
    .await;
}

fn owner(pod: &Pod) -> Option<String> {
    pod.metadata.owner_references.as_ref()?.first().map(|owner| owner.name.clone())
}

#[test]
fn a_deleted_pod_is_replaced() {
    run(1, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        lab.deployment("web", 3).await;
        lab.available("web", 3).await;
        let victim = name(&lab.pods().await[0]);
        lab.delete::<Pod>(&victim, None).await;
        lab.until(Duration::from_secs(30), "the pod is gone", || async {
            lab.get::<Pod>(&victim).await.is_none()
        })
        .await;
        steady(&lab, 3).await;
        assert_eq!(lab.events("SuccessfulCreate").await.len(), 4);
    });
}

#[test]
fn a_pod_that_no_longer_matches_is_released_and_replaced() {
    run(2, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        lab.deployment("web", 2).await;
        lab.available("web", 2).await;
        let freed = name(&lab.pods().await[0]);
        lab.patch::<Pod>(&freed, json!({"metadata": {"labels": {"app": "debug"}}})).await;
        lab.until(Duration::from_secs(30), "three pods are ready", || async { lab.ready_pods().await == 3 })
            .await;
        assert_eq!(owner(&lab.get::<Pod>(&freed).await.unwrap()), None);
        lab.patch::<Pod>(&freed, json!({"metadata": {"labels": {"app": "web"}}})).await;
        lab.until(Duration::from_secs(30), "one is too many", || async { lab.pods().await.len() == 2 }).await;
        assert!(lab.pods().await.iter().all(|pod| owner(pod).is_some()));
    });
}

#[test]
fn an_orphan_that_matches_is_adopted() {
    run(3, |lab| async move {
        lab.manager();
        lab.nodes(1).await;
        let set = json!({
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}},
        });
        let pod = json!({
            "metadata": {"name": "bare", "namespace": "default", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
        });
        lab.create::<Pod>(pod).await;
        lab.create::<k8s_openapi::api::apps::v1::ReplicaSet>(set).await;
        steady(&lab, 2).await;
        assert_eq!(owner(&lab.get::<Pod>("bare").await.unwrap()).as_deref(), Some("web"));
        assert_eq!(lab.events("SuccessfulCreate").await.len(), 1);
    });
}

#[test]
fn a_late_watch_makes_no_pod_twice() {
    run(4, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let from = Some("apiServer/0".to_owned());
        let to = Some("controllerManager/0".to_owned());
        let slow = lab.world.network().add(labkit_sim::Rule::Delay { from, to, by: Duration::from_secs(5) });
        lab.deployment("web", 5).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        lab.world.network().remove(slow);
        steady(&lab, 5).await;
        assert_eq!(lab.events("SuccessfulCreate").await.len(), 5);
        assert_eq!(lab.events("SuccessfulDelete").await.len(), 0);
    });
}
