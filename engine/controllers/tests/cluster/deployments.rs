use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use labkit_client::{Informer, ListParams};
use serde_json::{Value, json};

use crate::lab::{Lab, deployment, image, is_ready, name, run};

fn condition(deployment: &Deployment, type_: &str) -> (String, String, String) {
    let conditions =
        deployment.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status, found.reason.unwrap(), found.message.unwrap())
}

fn set_image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

#[test]
fn a_deployment_of_three_becomes_three_available_pods() {
    run(1, |lab| async move {
        lab.manager();
        lab.nodes(3).await;
        lab.deployment("web", 3).await;
        lab.available("web", 3).await;
        let web: Deployment = lab.get("web").await.unwrap();
        let sets = lab.replica_sets().await;
        let set = name(&sets[0]);
        assert_eq!(sets.len(), 1);
        assert!(set.starts_with("web-") && set.len() <= "web-".len() + 10, "{set}");
        assert_eq!(web.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"], "1");
        let progressed = format!("ReplicaSet \"{set}\" has successfully progressed.");
        assert_eq!(
            condition(&web, "Progressing"),
            ("True".into(), "NewReplicaSetAvailable".into(), progressed)
        );
        assert_eq!(condition(&web, "Available").1, "MinimumReplicasAvailable");
        let status = web.status.unwrap();
        assert_eq!((status.ready_replicas, status.unavailable_replicas), (Some(3), None));
        assert_eq!(
            lab.events("ScalingReplicaSet").await,
            [format!("Scaled up replica set {set} from 0 to 3")]
        );
        let created = lab.events("SuccessfulCreate").await;
        assert_eq!(created.len(), 3);
        assert!(
            created.iter().all(|message| message.starts_with(&format!("Created pod: {set}-"))),
            "{created:?}"
        );
        let set_status = sets[0].status.clone().unwrap();
        let counts =
            (set_status.fully_labeled_replicas, set_status.ready_replicas, set_status.available_replicas);
        assert_eq!(counts, (Some(3), Some(3), Some(3)));
    });
}

#[test]
fn each_write_is_caused_by_the_watch_event_that_asked_for_it() {
    run(1, |lab| async move {
        lab.manager();
        lab.nodes(1).await;
        // What the controllers do at their start is none of this test's business.
        tokio::time::sleep(Duration::from_secs(1)).await;
        lab.deployment("web", 1).await;
        lab.available("web", 1).await;
        let records = lab.world.trace().records();
        let target =
            |index: usize| records[index].payload.fields()["target"].as_str().unwrap_or_default().to_owned();
        let is_post_of = |index: usize, plural: &str, agent: &str| {
            let record = &records[index];
            record.payload.kind() == "POST"
                && target(index).ends_with(plural)
                && record.payload.fields()["userAgent"] == agent
        };
        let find =
            |plural, agent| (0..records.len()).find(|index| is_post_of(*index, plural, agent)).unwrap();
        let first = find("/deployments", "kubectl");
        let set = find("/replicasets", "deployment-controller");
        let pod = find("/pods", "replicaset-controller");
        let leads_to = |from: usize, to: usize| {
            let mut at = to;
            while let Some(cause) = records[at].cause {
                at = records.iter().position(|record| record.id == cause).unwrap();
                if at == from {
                    return true;
                }
            }
            false
        };
        assert!(leads_to(first, set), "the deployment led to the replica set");
        assert!(leads_to(set, pod), "the replica set led to the pod");
        assert!(records[set].to.starts_with("apiServer/"));
        let direct = records[set].cause.unwrap();
        let direct = records.iter().find(|record| record.id == direct).unwrap();
        assert_eq!(direct.payload.kind(), "ADDED");
    });
}

#[test]
fn scaling_changes_the_number_of_pods_and_makes_no_new_replica_set() {
    run(2, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        lab.deployment("web", 3).await;
        lab.available("web", 3).await;
        lab.patch::<Deployment>("web", json!({"spec": {"replicas": 5}})).await;
        lab.available("web", 5).await;
        lab.patch::<Deployment>("web", json!({"spec": {"replicas": 1}})).await;
        lab.available("web", 1).await;
        let sets = lab.replica_sets().await;
        assert_eq!(sets.len(), 1);
        let set = name(&sets[0]);
        let expected = ["from 0 to 3", "from 3 to 5", "from 5 to 1"];
        let events = lab.events("ScalingReplicaSet").await;
        for (event, expected) in events.iter().zip(expected) {
            assert!(event.contains(&set) && event.ends_with(expected), "{event}");
        }
        assert_eq!(events.len(), 3);
        lab.until(Duration::from_secs(10), "the rest is gone", || async { lab.pods().await.len() == 1 })
            .await;
        assert_eq!(lab.events("SuccessfulDelete").await.len(), 4);
    });
}

/// Watches how many pods are ready and how many there are, until it is dropped.
struct Recorder {
    fewest_ready: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    mixed: Arc<AtomicBool>,
}

impl Recorder {
    async fn start(lab: &Lab) -> Recorder {
        let pods = Informer::<Pod>::start(&lab.client, ListParams::default());
        pods.synced().await;
        let recorder = Recorder {
            fewest_ready: Arc::new(AtomicUsize::new(usize::MAX)),
            most: Arc::default(),
            mixed: Arc::default(),
        };
        let (fewest, most, mixed) =
            (recorder.fewest_ready.clone(), recorder.most.clone(), recorder.mixed.clone());
        let (mut changes, store) = (pods.subscribe(), pods.store());
        labkit_sim::spawn(async move {
            while changes.recv().await.is_some() {
                let all = store.list();
                let active = all.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).count();
                fewest.fetch_min(all.iter().filter(|pod| is_ready(pod)).count(), Ordering::Relaxed);
                most.fetch_max(active, Ordering::Relaxed);
                if all.iter().any(|pod| image(pod) != image(&all[0])) {
                    mixed.store(true, Ordering::Relaxed);
                }
            }
        });
        recorder
    }
}

#[test]
fn a_rolling_update_never_goes_below_three_quarters_nor_above_five() {
    run(3, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        lab.deployment("web", 4).await;
        lab.available("web", 4).await;
        let recorder = Recorder::start(&lab).await;
        lab.patch::<Deployment>("web", set_image("nginx:2")).await;
        lab.available("web", 4).await;
        assert!(lab.pods().await.iter().filter(|pod| is_ready(pod)).all(|pod| image(pod) == "nginx:2"));
        assert_eq!(recorder.fewest_ready.load(Ordering::Relaxed), 3);
        assert_eq!(recorder.most.load(Ordering::Relaxed), 5);
        assert!(recorder.mixed.load(Ordering::Relaxed));
        let sets = lab.replica_sets().await;
        let revision = |index: usize| {
            sets[index].metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"].clone()
        };
        let mut revisions = [revision(0), revision(1)];
        revisions.sort();
        assert_eq!(revisions, ["1", "2"]);
    });
}

#[test]
fn an_undo_brings_the_old_replica_set_back_as_the_newest_revision() {
    run(4, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        lab.deployment("web", 2).await;
        lab.available("web", 2).await;
        let first = name(&lab.replica_sets().await[0]);
        lab.patch::<Deployment>("web", set_image("nginx:2")).await;
        lab.available("web", 2).await;
        lab.patch::<Deployment>("web", set_image("nginx:1")).await;
        lab.available("web", 2).await;
        let sets = lab.replica_sets().await;
        assert_eq!(sets.len(), 2);
        let back = sets.iter().find(|set| name(*set) == first).unwrap();
        assert_eq!(back.spec.as_ref().unwrap().replicas, Some(2));
        let annotations = back.metadata.annotations.as_ref().unwrap();
        assert_eq!(annotations["deployment.kubernetes.io/revision"], "3");
        assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
        let web: Deployment = lab.get("web").await.unwrap();
        assert_eq!(web.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"], "3");
    });
}

#[test]
fn an_update_that_cannot_start_keeps_what_runs_and_exceeds_its_deadline() {
    run(5, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        lab.deployment("web", 4).await;
        lab.available("web", 4).await;
        let started = lab.world.clock().elapsed();
        lab.patch::<Deployment>("web", set_image("bad")).await;
        let exceeded = lab
            .until(Duration::from_secs(700), "the deadline is exceeded", || async {
                condition(&lab.get::<Deployment>("web").await.unwrap(), "Progressing").1
                    == "ProgressDeadlineExceeded"
            })
            .await;
        let after = (exceeded - started).as_secs();
        assert!((600..=605).contains(&after), "after {after} s");
        let progressing = condition(&lab.get("web").await.unwrap(), "Progressing");
        assert_eq!(progressing.0, "False");
        assert!(progressing.2.ends_with("has timed out progressing."), "{}", progressing.2);
        assert_eq!(lab.ready_pods().await, 3);
        assert_eq!(condition(&lab.get("web").await.unwrap(), "Available").0, "True");
    });
}

#[test]
fn recreate_ends_the_last_old_pod_before_the_first_new_one() {
    run(6, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        let mut object = deployment("web", 3);
        object["spec"]["strategy"] = json!({"type": "Recreate"});
        lab.create::<Deployment>(object).await;
        lab.available("web", 3).await;
        let recorder = Recorder::start(&lab).await;
        lab.patch::<Deployment>("web", set_image("nginx:2")).await;
        lab.available("web", 3).await;
        assert!(!recorder.mixed.load(Ordering::Relaxed));
        assert_eq!(recorder.fewest_ready.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll_out() {
    run(7, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        lab.deployment("web", 2).await;
        lab.available("web", 2).await;
        lab.patch::<Deployment>("web", json!({"spec": {"paused": true}})).await;
        lab.patch::<Deployment>("web", set_image("nginx:2")).await;
        lab.patch::<Deployment>("web", json!({"spec": {"replicas": 3}})).await;
        lab.until(Duration::from_secs(30), "three pods of the old template", || async {
            lab.ready_pods().await == 3
        })
        .await;
        assert!(lab.pods().await.iter().all(|pod| image(pod) == "nginx:1"));
        assert_eq!(condition(&lab.get("web").await.unwrap(), "Progressing").1, "DeploymentPaused");
        lab.patch::<Deployment>("web", json!({"spec": {"paused": false}})).await;
        lab.available("web", 3).await;
        assert!(lab.pods().await.iter().filter(|pod| is_ready(pod)).all(|pod| image(pod) == "nginx:2"));
    });
}

#[test]
fn old_replica_sets_past_the_history_limit_go() {
    run(8, |lab| async move {
        lab.manager();
        lab.nodes(1).await;
        let mut object = deployment("web", 1);
        object["spec"]["revisionHistoryLimit"] = json!(1);
        lab.create::<Deployment>(object).await;
        for version in 2..=4 {
            lab.available("web", 1).await;
            lab.patch::<Deployment>("web", set_image(&format!("nginx:{version}"))).await;
        }
        lab.available("web", 1).await;
        lab.until(Duration::from_secs(10), "one old replica set is left", || async {
            lab.replica_sets().await.len() == 2
        })
        .await;
    });
}

#[test]
fn only_the_last_of_many_edits_counts_when_nobody_watched() {
    run(9, |lab| async move {
        let manager = lab.manager();
        lab.nodes(2).await;
        lab.deployment("web", 3).await;
        lab.available("web", 3).await;
        manager.kill().await;
        for replicas in [7, 2, 5] {
            lab.patch::<Deployment>("web", json!({"spec": {"replicas": replicas}})).await;
        }
        for pod in lab.pods().await.iter().take(2) {
            lab.delete::<Pod>(&name(pod), None).await;
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(lab.pods().await.len(), 1);
        lab.manager();
        lab.available("web", 5).await;
        assert_eq!(lab.pods().await.len(), 5);
        assert_eq!(lab.events("SuccessfulCreate").await.len(), 3 + 4);
        assert_eq!(lab.replica_sets().await.len(), 1);
    });
}

#[test]
fn a_pod_counts_as_available_after_its_min_ready_seconds() {
    run(10, |lab| async move {
        lab.manager();
        lab.nodes(2).await;
        let mut object = deployment("web", 2);
        object["spec"]["minReadySeconds"] = json!(15);
        let started = lab.world.clock().elapsed();
        lab.create::<Deployment>(object).await;
        let ready = lab
            .until(Duration::from_secs(30), "two are ready", || async { lab.ready_pods().await == 2 })
            .await;
        assert!(ready - started < Duration::from_secs(3));
        let available = lab.available("web", 2).await;
        let after = (available - ready).as_secs_f64();
        assert!((14.0..=17.0).contains(&after), "available after {after} s");
    });
}

#[test]
fn a_hundred_pods_are_made_in_batches_without_losing_count() {
    run(11, |lab| async move {
        lab.manager();
        lab.nodes(3).await;
        lab.deployment("web", 100).await;
        lab.available("web", 100).await;
        let conflicts = lab
            .world
            .trace()
            .records()
            .iter()
            .filter(|record| record.payload.kind() == "409 Conflict")
            .count();
        assert!(conflicts < 20, "{conflicts} conflicts");
        lab.patch::<Deployment>("web", json!({"spec": {"replicas": 0}})).await;
        lab.available("web", 0).await;
        lab.until(Duration::from_secs(10), "all are gone", || async { lab.pods().await.is_empty() }).await;
    });
}
