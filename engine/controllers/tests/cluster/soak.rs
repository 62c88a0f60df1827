//! Invariant: whatever happens on the way, in the end the state is the wanted one.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use labkit_client::DeleteOptions;
use labkit_sim::{Component, Rng, Rule};
use rand::Rng as _;
use serde_json::json;

use crate::lab::{Lab, image, is_ready, name, run};

const STEPS: usize = 25;

/// How many seeds: `LABKIT_SEEDS`, few by default.
fn seeds() -> u64 {
    std::env::var("LABKIT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(6)
}

/// What the student last asked for.
struct Wanted {
    replicas: i32,
    version: u32,
}

async fn step(lab: &Lab, rng: &mut Rng, managers: &mut [Component; 2], wanted: &mut Wanted) {
    match rng.gen_range(0..10) {
        0..=2 => {
            wanted.replicas = rng.gen_range(0..8);
            lab.patch::<Deployment>("web", json!({"spec": {"replicas": wanted.replicas}})).await;
        }
        3..=4 => {
            wanted.version = rng.gen_range(1..5);
            let image = format!("nginx:{}", wanted.version);
            let template = json!({"spec": {"containers": [{"name": "c", "image": image}]}});
            lab.patch::<Deployment>("web", json!({"spec": {"template": template}})).await;
        }
        5 => {
            if let Some(pod) = lab.pods().await.first() {
                let (pods, options) = (lab.client.api::<Pod>(), DeleteOptions::default());
                let _it_may_be_gone = pods.delete("default", &name(pod), &options).await;
            }
        }
        6 => {
            if let Some(pod) = lab.pods().await.last() {
                lab.patch::<Pod>(&name(pod), json!({"metadata": {"labels": {"app": "other"}}})).await;
            }
        }
        7 => {
            let index = rng.gen_range(0..2);
            managers[index].kill().await;
            managers[index] = lab.manager_with(index as u8, Default::default());
        }
        8 => {
            let manager = format!("controllerManager/{}", rng.gen_range(0..2));
            let groups = vec![[manager].into(), ["apiServer/0".to_owned()].into()];
            let cut = lab.world.network().add(Rule::Partition { groups });
            tokio::time::sleep(Duration::from_secs(rng.gen_range(1..60))).await;
            lab.world.network().remove(cut);
        }
        _ => {
            let by = Duration::from_millis(rng.gen_range(1..3000));
            let slow =
                lab.world.network().add(Rule::Delay { from: Some("apiServer/0".to_owned()), to: None, by });
            tokio::time::sleep(Duration::from_secs(rng.gen_range(1..20))).await;
            lab.world.network().remove(slow);
        }
    }
    tokio::time::sleep(Duration::from_millis(rng.gen_range(0..4000))).await;
}

async fn is_as_wanted(lab: &Lab, wanted: &Wanted) -> bool {
    let pods = lab.pods().await;
    let (own, freed): (Vec<&Pod>, Vec<&Pod>) =
        pods.iter().partition(|pod| pod.metadata.owner_references.is_some());
    let version = format!("nginx:{}", wanted.version);
    let label = |pod: &&&Pod| pod.metadata.labels.as_ref().is_none_or(|labels| labels["app"] != "other");
    own.len() == wanted.replicas as usize
        && own.iter().all(|pod| is_ready(pod) && image(pod) == version)
        && freed.iter().filter(label).count() == 0
}

#[test]
fn the_wanted_state_is_reached_through_faults_and_nothing_is_left_over() {
    for seed in 0..seeds() {
        run(seed, |lab| async move {
            let mut managers = [0, 1].map(|index| lab.manager_with(index, Default::default()));
            lab.nodes(3).await;
            lab.deployment("web", 2).await;
            let mut rng = lab.world.seed().stream("student");
            let mut wanted = Wanted { replicas: 2, version: 1 };
            for _ in 0..STEPS {
                step(&lab, &mut rng, &mut managers, &mut wanted).await;
            }
            let what = format!("seed {seed}: {} of version {}", wanted.replicas, wanted.version);
            lab.until(Duration::from_secs(240), &what, || is_as_wanted(&lab, &wanted)).await;
            lab.available("web", wanted.replicas).await;
            lab.delete::<Deployment>("web", Some("Foreground")).await;
            let what = format!("seed {seed}: nothing is left");
            lab.until(Duration::from_secs(240), &what, || async {
                let pods = lab.pods().await;
                lab.replica_sets().await.is_empty()
                    && pods.iter().all(|pod| pod.metadata.owner_references.is_none())
            })
            .await;
            assert!(lab.get::<Deployment>("web").await.is_none());
        });
    }
}
