use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use labkit_controllers::ControllerManagerConfig;
use labkit_sim::seed::fnv1a;
use serde_json::json;

use crate::lab::{Lab, run};

async fn lease(lab: &Lab) -> Lease {
    lab.client.api::<Lease>().get("kube-system", "kube-controller-manager").await.unwrap()
}

#[test]
fn when_the_leader_dies_the_other_takes_over_and_nothing_is_done_twice() {
    for seed in 0..8 {
        run(seed, |lab| async move {
            let leader = lab.manager_with(0, ControllerManagerConfig::default());
            tokio::time::sleep(Duration::from_secs(1)).await;
            lab.manager_with(1, ControllerManagerConfig::default());
            lab.nodes(1).await;
            lab.deployment("web", 2).await;
            lab.available("web", 2).await;
            tokio::time::sleep(Duration::from_secs(20)).await;
            let held = lease(&lab).await.spec.unwrap();
            assert_eq!(held.holder_identity.as_deref(), Some("master0_uuid"));
            assert_eq!((held.lease_duration_seconds, held.lease_transitions), (Some(15), Some(0)));
            leader.kill().await;
            lab.patch::<Deployment>("web", json!({"spec": {"replicas": 3}})).await;
            let died = lab.world.clock().elapsed();
            let taken = lab
                .until(Duration::from_secs(30), "the other leads", || async {
                    lease(&lab).await.spec.unwrap().holder_identity.as_deref() == Some("master1_uuid")
                })
                .await;
            // 15 s after the last renewal that it saw, plus up to a retry of 2 s to 4.4 s on either side.
            let after = (taken - died).as_secs_f64();
            assert!((13.0..=23.8).contains(&after), "taken over after {after} s");
            assert_eq!(lease(&lab).await.spec.unwrap().lease_transitions, Some(1));
            lab.available("web", 3).await;
            assert_eq!(lab.events("SuccessfulCreate").await.len(), 3);
            let events = lab.events("LeaderElection").await;
            assert_eq!(events, ["master0_uuid became leader", "master1_uuid became leader"]);
        });
    }
}

#[test]
fn a_leader_that_is_cut_off_stops_and_stands_again() {
    run(1, |lab| async move {
        lab.manager_with(0, ControllerManagerConfig::default());
        lab.nodes(1).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        lab.manager_with(1, ControllerManagerConfig::default());
        let groups = vec![["controllerManager/0".to_owned()].into(), ["apiServer/0".to_owned()].into()];
        let cut = lab.world.network().add(labkit_sim::Rule::Partition { groups });
        lab.until(Duration::from_secs(30), "the other leads", || async {
            lease(&lab).await.spec.unwrap().holder_identity.as_deref() == Some("master1_uuid")
        })
        .await;
        lab.world.network().remove(cut);
        lab.deployment("web", 2).await;
        lab.available("web", 2).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(lease(&lab).await.spec.unwrap().holder_identity.as_deref(), Some("master1_uuid"));
        assert_eq!(lab.events("SuccessfulCreate").await.len(), 2);
    });
}

#[test]
fn a_controller_that_is_switched_off_does_nothing_and_the_others_work() {
    run(2, |lab| async move {
        let flags = [("controllers".to_owned(), "*,-deployment-controller".to_owned())].into();
        lab.manager_with(0, ControllerManagerConfig::from_flags(&flags).unwrap());
        lab.nodes(1).await;
        lab.deployment("web", 2).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(lab.replica_sets().await.is_empty());
        assert!(!lab.events("RegisteredNode").await.is_empty());
    });
}

fn history(seed: u64) -> (usize, u64) {
    run(seed, |lab| async move {
        lab.manager();
        let kubelets = lab.nodes(3).await;
        lab.deployment("web", 4).await;
        lab.available("web", 4).await;
        let image =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}}}});
        lab.patch::<Deployment>("web", image).await;
        lab.available("web", 4).await;
        kubelets[2].kill().await;
        tokio::time::sleep(Duration::from_secs(400)).await;
        let records = lab.world.trace().records();
        let lines: Vec<String> = records
            .iter()
            .map(|record| {
                let (id, at, payload) = (record.id, record.at, &record.payload);
                format!(
                    "{id} {at:?} {} {} {:?} {} {}",
                    record.from,
                    record.to,
                    record.cause,
                    payload.kind(),
                    payload.fields()
                )
            })
            .collect();
        (lines.len(), fnv1a(lines.join("\n").as_bytes()))
    })
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first = history(11);
    assert_eq!(history(11), first);
    assert_ne!(history(12), first);
}

#[test]
fn a_manager_that_was_cut_off_catches_up_with_what_it_missed() {
    run(3, |lab| async move {
        lab.manager_with(0, ControllerManagerConfig::default());
        lab.nodes(1).await;
        lab.deployment("web", 2).await;
        lab.available("web", 2).await;
        let groups = vec![["controllerManager/0".to_owned()].into(), ["apiServer/0".to_owned()].into()];
        let cut = lab.world.network().add(labkit_sim::Rule::Partition { groups });
        lab.patch::<Deployment>("web", json!({"spec": {"replicas": 4}})).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        lab.world.network().remove(cut);
        tokio::time::sleep(Duration::from_secs(60)).await;
        lab.available("web", 4).await;
        assert!(lab.events("NodeNotReady").await.is_empty(), "it did not hear, but did not judge either");
    });
}
