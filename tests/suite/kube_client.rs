//! The Rust client `kube`, as its users write it, over TLS.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use labkit_cluster::ClusterSpec;
use labkit_tests::live::live;
use serde_json::json;

async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

#[test]
fn kube_creates_patches_watches_and_deletes() {
    live(ClusterSpec::whole(1, 1), |live| async move {
        let client = client(live.served.kubeconfig.as_deref().unwrap()).await;
        let version = client.apiserver_version().await.unwrap();
        assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "32"));

        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let from = config_maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        let only = WatchParams::default().fields("metadata.name=settings");
        let mut events = config_maps.watch(&only, &from).await.unwrap().boxed();

        let object =
            serde_json::from_value(json!({"metadata": {"name": "settings"}, "data": {"a": "1"}})).unwrap();
        let created = config_maps.create(&PostParams::default(), &object).await.unwrap();
        assert!(created.uid().is_some() && created.creation_timestamp().is_some());
        let merge = Patch::Merge(json!({"data": {"b": "2"}}));
        config_maps.patch("settings", &PatchParams::default(), &merge).await.unwrap();
        let apply = Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"c": "3"},
        }));
        let applied = config_maps.patch("settings", &PatchParams::apply("script"), &apply).await.unwrap();
        assert_eq!(applied.data.as_ref().unwrap().len(), 3);
        assert!(applied.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some("script")));
        let mut stale = created.clone();
        stale.data = None;
        let conflict = config_maps.replace("settings", &PostParams::default(), &stale).await.unwrap_err();
        assert!(matches!(&conflict, kube::Error::Api(status) if status.code == 409), "{conflict}");
        config_maps.delete("settings", &DeleteParams::default()).await.unwrap();
        assert!(config_maps.get_opt("settings").await.unwrap().is_none());

        let mut told = Vec::new();
        while told.len() < 4 {
            match events.try_next().await.unwrap().unwrap() {
                WatchEvent::Added(object) => told.push(("added", object.data.unwrap().len())),
                WatchEvent::Modified(object) => told.push(("modified", object.data.unwrap().len())),
                WatchEvent::Deleted(object) => told.push(("deleted", object.data.unwrap().len())),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told, [("added", 1), ("modified", 2), ("modified", 3), ("deleted", 3)]);
    });
}

#[test]
fn kube_rolls_out_and_scales_a_deployment() {
    live(ClusterSpec::whole(1, 1), |live| async move {
        let client = client(live.served.kubeconfig.as_deref().unwrap()).await;
        let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
        let pods: Api<Pod> = Api::default_namespaced(client);
        let web = serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]},
                },
            },
        }));
        deployments.create(&PostParams::default(), &web.unwrap()).await.unwrap();
        let scale = Patch::Merge(json!({"spec": {"replicas": 2}}));
        deployments.patch_scale("web", &PatchParams::default(), &scale).await.unwrap();
        assert_eq!(deployments.get_scale("web").await.unwrap().spec.unwrap().replicas, Some(2));
        let selected = ListParams::default().labels("app=web");
        live.until("two pods run", || async {
            let running = pods.list(&selected).await.unwrap().into_iter().filter(|pod| {
                pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
            });
            (running.count() == 2).then_some(())
        })
        .await;
    });
}
