//! Random faults on a store of three members, from the world's seed; worlds by the seed, and how many a run tries.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use labkit_cluster::{Cluster, ClusterSpec};
use labkit_etcd::{Etcd, EtcdConfig};
use labkit_sim::{Pace, Rule, World, run};
use rand::Rng;

/// How many seeds a randomised test tries: `LABKIT_SEEDS`, else 10.
pub fn seeds() -> u64 {
    std::env::var("LABKIT_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// Runs `body` on a cluster of that spec for as many seeds, in virtual time. A panic names its seed.
pub fn for_each_cluster<Fut: Future<Output = ()>>(
    seeds: u64,
    spec: &ClusterSpec,
    body: impl Fn(World, Cluster) -> Fut,
) {
    for seed in 1..=seeds {
        let _named_if_it_panics = NameSeed(seed);
        let body = &body;
        run(Pace::Virtual, seed, |world| async move {
            let cluster = Cluster::boot(&world, spec).await.unwrap();
            body(world.clone(), cluster).await;
            assert_eq!(world.bugs(), Vec::<String>::new());
        });
    }
}

/// Runs `body` on three members for each seed, in virtual time. A panic names its seed.
pub fn for_each_seed<Fut: Future<Output = ()>>(body: impl Fn(World, Etcd) -> Fut) {
    for seed in 1..=seeds() {
        let _named_if_it_panics = NameSeed(seed);
        let body = &body;
        run(Pace::Virtual, seed, |world| async move {
            let etcd = Etcd::boot(&world, EtcdConfig { members: 3, ..EtcdConfig::default() }).await;
            body(world.clone(), etcd).await;
            assert_eq!(world.bugs(), Vec::<String>::new());
        });
    }
}

struct NameSeed(u64);

impl Drop for NameSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

/// Breaks and mends the store for `rounds` rounds of up to 4 virtual seconds each, then mends everything and
/// waits for a leader.
pub async fn havoc(world: &World, etcd: &Etcd, rounds: u32) {
    let mut rng = world.seed().stream("havoc");
    let members = ["etcd1", "etcd2", "etcd3"];
    for _ in 0..rounds {
        let victim = members[rng.gen_range(0..members.len())];
        let victim = if rng.gen_bool(0.5) {
            etcd.leader().unwrap_or_else(|| victim.to_owned())
        } else {
            victim.to_owned()
        };
        let lasts = Duration::from_millis(rng.gen_range(50..4000));
        match rng.gen_range(0..5) {
            0 => {
                etcd.kill(&victim).await.unwrap();
                tokio::time::sleep(lasts).await;
                etcd.start(&victim).await.unwrap();
            }
            1 => {
                etcd.power_off(&victim).await.unwrap();
                tokio::time::sleep(lasts).await;
                etcd.start(&victim).await.unwrap();
            }
            2 => {
                etcd.pause(&victim).unwrap();
                tokio::time::sleep(lasts).await;
                etcd.resume(&victim).unwrap();
            }
            3 => {
                let others =
                    members.iter().filter(|member| **member != victim).map(|member| (*member).to_owned());
                let groups = vec![BTreeSet::from([victim.clone()]), others.collect()];
                let rule = world.network().add(Rule::Partition { groups });
                tokio::time::sleep(lasts).await;
                world.network().remove(rule);
            }
            _ => {
                let rule = world.network().add(Rule::Drop { from: None, to: Some(victim), probability: 0.3 });
                tokio::time::sleep(lasts).await;
                world.network().remove(rule);
            }
        }
        tokio::time::sleep(Duration::from_millis(rng.gen_range(0..2000))).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(etcd.leader().is_some(), "with every member up and connected there is a leader");
}
