use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use labkit_client::DeleteOptions;
use serde_json::json;

use crate::lab::{Lab, deployment, run};

async fn delete_namespace(lab: &Lab) {
    lab.client.api::<Namespace>().delete("", "shop", &DeleteOptions::default()).await.unwrap();
}

fn condition(namespace: &Namespace, type_: &str) -> String {
    let conditions =
        namespace.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    conditions
        .into_iter()
        .find(|condition| condition.type_ == type_)
        .and_then(|found| found.message)
        .unwrap_or_default()
}

#[test]
fn a_namespace_goes_with_all_that_is_in_it() {
    run(1, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        lab.create::<Namespace>(json!({"metadata": {"name": "shop"}})).await;
        let mut web = deployment("web", 2);
        web["metadata"]["namespace"] = json!("shop");
        lab.create::<Deployment>(web).await;
        lab.create::<ConfigMap>(json!({"metadata": {"name": "config", "namespace": "shop"}})).await;
        lab.until(Duration::from_secs(30), "two pods run", || async {
            lab.list_in::<Pod>("shop").await.len() == 2
        })
        .await;
        assert_eq!(lab.list_in::<ServiceAccount>("shop").await[0].metadata.name.as_deref(), Some("default"));
        let started = lab.world.clock().elapsed();
        delete_namespace(&lab).await;
        assert_eq!(
            lab.get::<Namespace>("shop").await.unwrap().status.unwrap().phase.as_deref(),
            Some("Terminating")
        );
        let gone = lab
            .until(Duration::from_secs(60), "the namespace is gone", || async {
                lab.get::<Namespace>("shop").await.is_none()
            })
            .await;
        assert!(gone - started >= Duration::from_secs(5));
        assert!(lab.list_in::<Pod>("shop").await.is_empty());
        assert!(lab.list_in::<ConfigMap>("shop").await.is_empty());
        assert!(lab.list_in::<ServiceAccount>("shop").await.is_empty());
    });
}

#[test]
fn a_finalizer_holds_the_namespace_and_its_status_says_so() {
    run(2, |lab| async move {
        lab.manager();
        lab.create::<Namespace>(json!({"metadata": {"name": "shop"}})).await;
        let held =
            json!({"metadata": {"name": "held", "namespace": "shop", "finalizers": ["example.com/hold"]}});
        lab.create::<ConfigMap>(held).await;
        delete_namespace(&lab).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        let shop: Namespace = lab.get("shop").await.unwrap();
        assert_eq!(
            condition(&shop, "NamespaceContentRemaining"),
            "Some resources are remaining: configmaps. has 1 resource instances"
        );
        assert_eq!(
            condition(&shop, "NamespaceFinalizersRemaining"),
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        );
        let free = json!({"metadata": {"finalizers": null}});
        lab.client.api::<ConfigMap>().patch("shop", "held", None, free).await.unwrap();
        lab.until(Duration::from_secs(30), "the namespace is gone", || async {
            lab.get::<Namespace>("shop").await.is_none()
        })
        .await;
    });
}

#[test]
fn a_group_that_does_not_answer_holds_the_namespace_and_its_status_says_so() {
    run(4, |lab| async move {
        lab.manager();
        lab.create::<Namespace>(json!({"metadata": {"name": "shop"}})).await;
        let resource = labkit_api::Resource {
            gvk: labkit_api::GroupVersionKind::new("apiregistration.k8s.io", "v1", "APIService"),
            plural: "apiservices".to_owned(),
            scope: labkit_api::Scope::Cluster,
        };
        let service = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.example.com"},
            "spec": {
                "group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": "absent"},
            },
        });
        let service = labkit_api::Object::from_value(service).unwrap();
        lab.client.create(&resource, &service).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        delete_namespace(&lab).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let shop: Namespace = lab.get("shop").await.unwrap();
        assert_eq!(
            condition(&shop, "NamespaceDeletionDiscoveryFailure"),
            "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: \
             example.com/v1: stale GroupVersion discovery: example.com/v1"
        );
        lab.client.delete(&resource, "", "v1.example.com", &DeleteOptions::default()).await.unwrap();
        lab.until(Duration::from_secs(120), "the namespace is gone", || async {
            lab.get::<Namespace>("shop").await.is_none()
        })
        .await;
    });
}

#[test]
fn the_default_service_account_comes_back() {
    run(3, |lab| async move {
        lab.manager();
        let account = || async { lab.get::<ServiceAccount>("default").await };
        lab.until(Duration::from_secs(5), "there is one", || async { account().await.is_some() }).await;
        let first = account().await.unwrap().metadata.uid;
        lab.delete::<ServiceAccount>("default", None).await;
        lab.until(Duration::from_secs(5), "there is another", || async {
            account().await.is_some_and(|account| account.metadata.uid != first)
        })
        .await;
    });
}
