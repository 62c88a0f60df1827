//! Random faults on a store of three members, from the world's seed; worlds by the seed, and how many a run tries.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use labkit_cluster::{Cluster, ClusterSpec};
use labkit_etcd::{Etcd, EtcdConfig};
use labkit_sim::{Pace, Rng, Rule, World, run};
use rand::Rng as _;

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

/// Runs `body` on three members for each seed, in virtual time; at every second seed they sync in parallel, as
/// processes do. A panic names its seed.
pub fn for_each_seed<Fut: Future<Output = ()>>(body: impl Fn(World, Etcd) -> Fut) {
    for_seeds(seeds(), body);
}

/// The same for that many seeds.
pub fn for_seeds<Fut: Future<Output = ()>>(count: u64, body: impl Fn(World, Etcd) -> Fut) {
    for seed in 1..=count {
        let _named_if_it_panics = NameSeed(seed);
        let body = &body;
        run(Pace::Virtual, seed, |world| async move {
            let syncs_in_parallel = seed % 2 == 0;
            let config = EtcdConfig { members: 3, syncs_in_parallel, ..EtcdConfig::default() };
            body(world.clone(), Etcd::boot(&world, config).await).await;
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
    for _ in 0..rounds {
        harm(world, etcd, &mut rng).await;
        tokio::time::sleep(Duration::from_millis(rng.gen_range(0..2000))).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(etcd.leader().is_some(), "with every member up and connected there is a leader");
}

/// One fault, and its end. Half of them hit the leader.
pub async fn harm(world: &World, etcd: &Etcd, rng: &mut Rng) {
    let members = ["etcd1", "etcd2", "etcd3"];
    let drawn = members[rng.gen_range(0..members.len())].to_owned();
    let victim = if rng.gen_bool(0.5) { etcd.leader().unwrap_or(drawn) } else { drawn };
    let lasts = Duration::from_millis(rng.gen_range(50..4000));
    let network = world.network();
    let rule_for_a_while = async |rule: Rule| {
        let rule = network.add(rule);
        tokio::time::sleep(lasts).await;
        network.remove(rule);
    };
    match rng.gen_range(0..11) {
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
            rule_for_a_while(Rule::Partition { groups }).await;
        }
        4 => {
            rule_for_a_while(Rule::Drop { from: None, to: Some(victim), probability: 0.3 }).await;
        }
        5 => {
            let by = Duration::from_millis(rng.gen_range(1..400));
            rule_for_a_while(Rule::Delay { from: None, to: Some(victim), by }).await;
        }
        6 => {
            let disk = world.disk(&victim);
            disk.set_sync_delay(Duration::from_millis(rng.gen_range(1..400)));
            tokio::time::sleep(lasts).await;
            disk.set_sync_delay(Duration::ZERO);
        }
        7 => {
            // The member ends at the next write.
            world.disk(&victim).set_full(true);
            tokio::time::sleep(lasts).await;
            world.disk(&victim).set_full(false);
            // It may be about to end.
            tokio::time::sleep(Duration::from_millis(10)).await;
            etcd.start(&victim).await.unwrap();
        }
        8 => {
            // Leadership is handed over while messages are late and lost, and perhaps its old or its new holder dies.
            let by = Duration::from_millis(rng.gen_range(0..30));
            let late = network.add(Rule::Delay { from: None, to: None, by });
            let lossy = network.add(Rule::Drop { from: None, to: None, probability: 0.05 });
            let Some(leader) = etcd.leader() else {
                network.remove(late);
                return network.remove(lossy);
            };
            let target = etcd.members().into_iter().find(|member| member.name == victim).expect("a member");
            let client = etcd.client_of_member("mover", &leader);
            let dies = rng.gen_bool(0.5).then(|| if rng.gen_bool(0.5) { leader } else { victim });
            let after = Duration::from_millis(rng.gen_range(0..100));
            let moved = tokio::time::timeout(lasts, client.move_leader(target.id));
            tokio::join!(
                biased;
                async {
                    // It need not succeed.
                    let _ = moved.await;
                },
                async {
                    let Some(member) = dies else { return };
                    tokio::time::sleep(after).await;
                    etcd.kill(&member).await.unwrap();
                    tokio::time::sleep(lasts).await;
                    etcd.start(&member).await.unwrap();
                },
            );
            network.remove(late);
            network.remove(lossy);
        }
        9 => {
            let by = labkit_sim::SignedDuration::from_secs(rng.gen_range(-7200..7200));
            world.clock().set_skew(&victim, by);
        }
        _ => {
            // The whole cluster loses its power.
            for member in members {
                etcd.power_off(member).await.unwrap();
            }
            for member in members {
                etcd.start(member).await.unwrap();
            }
        }
    }
}
