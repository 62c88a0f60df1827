use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;

use crate::lab::{Lab, run};

async fn slices(lab: &Lab) -> Vec<EndpointSlice> {
    let slices: Vec<EndpointSlice> = lab.list().await;
    let of_web =
        |slice: &EndpointSlice| {
            slice.metadata.labels.as_ref().is_some_and(|labels| {
                labels.get("kubernetes.io/service-name").is_some_and(|name| name == "web")
            })
        };
    slices.into_iter().filter(of_web).collect()
}

async fn ready(lab: &Lab) -> usize {
    let slices = slices(lab).await;
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    endpoints.filter(|endpoint| endpoint.conditions.as_ref().unwrap().ready == Some(true)).count()
}

#[test]
fn a_service_has_the_ready_pods_behind_it() {
    run(1, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        let service = json!({
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        lab.create::<Service>(service).await;
        lab.until(Duration::from_secs(5), "there is an empty slice", || async {
            slices(&lab).await.len() == 1
        })
        .await;
        lab.deployment("web", 3).await;
        lab.available("web", 3).await;
        lab.until(Duration::from_secs(5), "three endpoints", || async { ready(&lab).await == 3 }).await;
        let found = slices(&lab).await;
        assert_eq!(found.len(), 1);
        let port = &found[0].ports.as_ref().unwrap()[0];
        assert_eq!(
            (port.port, port.protocol.as_deref(), port.name.as_deref()),
            (Some(8080), Some("TCP"), Some(""))
        );
        let endpoint = &found[0].endpoints[0];
        assert!(endpoint.addresses[0].starts_with("10.244."));
        assert_eq!(endpoint.target_ref.as_ref().unwrap().kind.as_deref(), Some("Pod"));
        assert!(endpoint.node_name.as_deref().unwrap().starts_with("worker"));
        lab.patch::<Deployment>("web", json!({"spec": {"replicas": 1}})).await;
        lab.until(Duration::from_secs(10), "one endpoint", || async {
            let slices = slices(&lab).await;
            ready(&lab).await == 1 && slices[0].endpoints.len() == 1
        })
        .await;
        lab.delete::<Service>("web", None).await;
        lab.until(Duration::from_secs(10), "no slice is left", || async { slices(&lab).await.is_empty() })
            .await;
    });
}
