use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use serde_json::{Value, json};

use crate::lab::{Lab, name, run};

async fn deploy_web(lab: &Lab) {
    lab.manager();
    lab.nodes(2).await;
    lab.deployment("web", 2).await;
    lab.available("web", 2).await;
}

#[test]
fn background_deletion_takes_the_owner_first_and_the_rest_after() {
    run(1, |lab| async move {
        deploy_web(&lab).await;
        lab.delete::<Deployment>("web", None).await;
        assert!(lab.get::<Deployment>("web").await.is_none());
        lab.until(Duration::from_secs(30), "all is gone", || async {
            lab.replica_sets().await.is_empty() && lab.pods().await.is_empty()
        })
        .await;
    });
}

#[test]
fn foreground_deletion_takes_the_owner_last() {
    run(2, |lab| async move {
        deploy_web(&lab).await;
        lab.delete::<Deployment>("web", Some("Foreground")).await;
        let web: Deployment = lab.get("web").await.unwrap();
        assert_eq!(web.metadata.finalizers, Some(vec!["foregroundDeletion".to_owned()]));
        lab.until(Duration::from_secs(30), "the deployment is gone", || async {
            let gone = lab.get::<Deployment>("web").await.is_none();
            assert!(!gone || lab.replica_sets().await.is_empty(), "its replica set goes before it");
            gone
        })
        .await;
        assert!(lab.pods().await.is_empty());
    });
}

#[test]
fn orphan_deletion_leaves_the_dependents() {
    run(3, |lab| async move {
        deploy_web(&lab).await;
        lab.delete::<Deployment>("web", Some("Orphan")).await;
        lab.until(Duration::from_secs(30), "the deployment is gone", || async {
            lab.get::<Deployment>("web").await.is_none()
        })
        .await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let sets = lab.replica_sets().await;
        assert_eq!(sets.len(), 1);
        assert_eq!(sets[0].metadata.owner_references.clone().unwrap_or_default(), []);
        assert_eq!(lab.ready_pods().await, 2);
    });
}

fn owned_by(kind: &str, owner: &str, uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "name": owner, "uid": uid})
}

#[test]
fn an_object_whose_owner_never_was_is_collected() {
    run(4, |lab| async move {
        lab.manager();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let owners = [owned_by("ConfigMap", "nobody", "00000000-0000-0000-0000-000000000000")];
        let secret = json!({"metadata": {"name": "lost", "namespace": "default", "ownerReferences": owners}});
        lab.create::<Secret>(secret).await;
        lab.until(Duration::from_secs(10), "the secret is gone", || async {
            lab.get::<Secret>("lost").await.is_none()
        })
        .await;
    });
}

#[test]
fn an_object_stays_while_one_of_its_owners_does() {
    run(5, |lab| async move {
        lab.manager();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let owner = |name: &str| json!({"metadata": {"name": name, "namespace": "default"}});
        let (a, b) = (lab.create::<ConfigMap>(owner("a")).await, lab.create::<ConfigMap>(owner("b")).await);
        let uid = |owner: &ConfigMap| owner.metadata.uid.clone().unwrap();
        let owners = [owned_by("ConfigMap", "a", &uid(&a)), owned_by("ConfigMap", "b", &uid(&b))];
        let secret =
            json!({"metadata": {"name": "shared", "namespace": "default", "ownerReferences": owners}});
        lab.create::<Secret>(secret).await;
        lab.delete::<ConfigMap>("a", None).await;
        lab.until(Duration::from_secs(10), "one owner is left", || async {
            lab.get::<Secret>("shared").await.unwrap().metadata.owner_references.unwrap().len() == 1
        })
        .await;
        lab.delete::<ConfigMap>("b", None).await;
        lab.until(Duration::from_secs(10), "the secret is gone", || async {
            lab.get::<Secret>("shared").await.is_none()
        })
        .await;
    });
}

#[test]
fn an_owner_in_another_namespace_is_none_and_that_is_said() {
    run(6, |lab| async move {
        lab.manager();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let far = json!({"metadata": {"name": "far", "namespace": "kube-system"}});
        let far: ConfigMap = lab.create(far).await;
        let owners = [owned_by("ConfigMap", "far", far.metadata.uid.as_deref().unwrap())];
        let secret = json!({"metadata": {"name": "lost", "namespace": "default", "ownerReferences": owners}});
        lab.create::<Secret>(secret).await;
        lab.until(Duration::from_secs(10), "the secret is gone", || async {
            lab.get::<Secret>("lost").await.is_none()
        })
        .await;
        let events = lab.events("OwnerRefInvalidNamespace").await;
        assert!(events[0].ends_with("does not exist in namespace \"default\""), "{events:?}");
    });
}

#[test]
fn pods_of_a_deleted_node_go_after_the_quarantine() {
    run(7, |lab| async move {
        lab.manager();
        let kubelets = lab.nodes(2).await;
        lab.deployment("web", 2).await;
        lab.available("web", 2).await;
        kubelets[1].kill().await;
        let on_it: Vec<Pod> = lab
            .pods()
            .await
            .into_iter()
            .filter(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some("worker2"))
            .collect();
        let deleted_at = lab.world.clock().elapsed();
        lab.client.api::<Node>().delete("", "worker2", &Default::default()).await.unwrap();
        let gone_at = lab
            .until(Duration::from_secs(90), "the pod is gone", || async {
                lab.get::<Pod>(&name(&on_it[0])).await.is_none()
            })
            .await;
        let after = (gone_at - deleted_at).as_secs();
        assert!((40..=61).contains(&after), "after {after} s");
        lab.available("web", 2).await;
        assert!(lab.replica_sets().await.len() == 1 && lab.get::<ReplicaSet>("web").await.is_none());
    });
}
