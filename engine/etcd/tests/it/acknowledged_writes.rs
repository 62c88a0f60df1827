//! Invariant: a write that was acknowledged is never lost, and no revision is given twice.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;

use super::*;

/// Writes `seq/0`, `seq/1`, ... one after the other and keeps what was acknowledged.
struct Writer {
    client: Client,
    next: usize,
    acknowledged: BTreeMap<String, i64>,
    failed: usize,
}

impl Writer {
    fn new(etcd: &Etcd) -> Writer {
        let client = etcd.client("writer").with_deadline(Duration::from_millis(800));
        Writer { client, next: 0, acknowledged: BTreeMap::new(), failed: 0 }
    }

    async fn write_for(&mut self, world: &World, span: Duration) {
        let end = world.clock().elapsed() + span;
        while world.clock().elapsed() < end {
            let key = format!("seq/{}", self.next);
            self.next += 1;
            match put(&self.client, &key, "x").await {
                Ok(revision) => drop(self.acknowledged.insert(key, revision)),
                Err(_) => self.failed += 1,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every acknowledged write is there, under the revision that was told.
    async fn check(&self, etcd: &Etcd, seed: u64) {
        let client = etcd.client("checker").with_deadline(Duration::from_secs(20));
        let read = client.range(RangeRequest::prefix("seq/")).await.unwrap();
        let stored: BTreeMap<String, i64> = read
            .kvs
            .iter()
            .map(|kv| (String::from_utf8_lossy(&kv.key).into_owned(), kv.mod_revision))
            .collect();
        for (key, revision) in &self.acknowledged {
            assert_eq!(stored.get(key), Some(revision), "seed {seed}: {key}");
        }
        let mut revisions: Vec<i64> = stored.values().copied().collect();
        revisions.sort_unstable();
        revisions.dedup();
        assert_eq!(revisions.len(), stored.len(), "seed {seed}: a revision was given twice");
    }
}

/// Three members; at every second seed they sync in parallel, as they do as processes.
async fn boot_three(world: &World, seed: u64) -> Etcd {
    let syncs_in_parallel = seed % 2 == 1;
    Etcd::boot(world, EtcdConfig { members: 3, syncs_in_parallel, ..EtcdConfig::default() }).await
}

#[test]
fn a_kill_of_the_leader_loses_none() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot_three(&world, seed).await;
            let mut writer = Writer::new(&etcd);
            let until = world.seed().stream("test").gen_range(100..3000);
            writer.write_for(&world, Duration::from_millis(until)).await;
            let old = etcd.leader().unwrap();
            etcd.kill(&old).await.unwrap();
            writer.write_for(&world, Duration::from_secs(4)).await;
            etcd.start(&old).await.unwrap();
            writer.write_for(&world, Duration::from_secs(2)).await;
            assert!(writer.acknowledged.len() > 100, "seed {seed}: {}", writer.acknowledged.len());
            writer.check(&etcd, seed).await;
            let last = etcd.members().iter().map(|member| member.revision).collect::<Vec<_>>();
            assert_eq!(last[0], last[1], "seed {seed}: the restarted member has caught up");
            assert_eq!(last[1], last[2], "seed {seed}: the restarted member has caught up");
        });
    }
}

#[test]
fn random_faults_lose_none() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot_three(&world, seed).await;
            let mut writer = Writer::new(&etcd);
            let mut rng = world.seed().stream("test");
            for _ in 0..8 {
                let victim = format!("etcd{}", rng.gen_range(1..=3));
                let span = Duration::from_millis(rng.gen_range(50..4000));
                match rng.gen_range(0..4) {
                    0 => {
                        etcd.kill(&victim).await.unwrap();
                        writer.write_for(&world, span).await;
                        etcd.start(&victim).await.unwrap();
                    }
                    1 => {
                        etcd.power_off(&victim).await.unwrap();
                        writer.write_for(&world, span).await;
                        etcd.start(&victim).await.unwrap();
                    }
                    2 => {
                        etcd.pause(&victim).unwrap();
                        writer.write_for(&world, span).await;
                        etcd.resume(&victim).unwrap();
                    }
                    _ => {
                        let rule = isolate(&world, &etcd, &victim);
                        writer.write_for(&world, span).await;
                        world.network().remove(rule);
                    }
                }
                writer.write_for(&world, Duration::from_millis(rng.gen_range(0..1500))).await;
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(!writer.acknowledged.is_empty(), "seed {seed}");
            writer.check(&etcd, seed).await;
        });
    }
}

#[test]
fn a_power_loss_of_all_members_in_mid_write_loses_none() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot_three(&world, seed).await;
            for member in ["etcd1", "etcd2", "etcd3"] {
                world.disk(member).set_sync_delay(Duration::from_millis(5));
            }
            let mut writer = Writer::new(&etcd);
            let until = world.seed().stream("test").gen_range(900..1000);
            writer.write_for(&world, Duration::from_millis(until)).await;
            // Its outcome is open, and the disks are still at it.
            let client = etcd.client("other");
            labkit_sim::spawn(async move { put(&client, "open", "x").await });
            tokio::time::sleep(Duration::from_millis(3)).await;
            for member in ["etcd1", "etcd2", "etcd3"] {
                etcd.power_off(member).await.unwrap();
            }
            for member in ["etcd1", "etcd2", "etcd3"] {
                etcd.start(member).await.unwrap();
            }
            writer.write_for(&world, Duration::from_secs(4)).await;
            writer.check(&etcd, seed).await;
        });
    }
}

/// The leader's disk is the last to have what the others have already: as long as it has not, nobody hears of it.
#[test]
fn what_the_leader_has_not_synced_is_not_acknowledged() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot_three(&world, 1).await;
            let leader = etcd.leader().unwrap();
            world.disk(&leader).set_sync_delay(Duration::from_millis(200));
            let mut writer = Writer::new(&etcd);
            let began = world.clock().elapsed();
            put(&writer.client, "slow", "x").await.unwrap();
            assert!(world.clock().elapsed() - began >= Duration::from_millis(200));
            // The next one is told to the others at once, and cannot be lost by all of them.
            let follower = follower(&etcd);
            let reads = etcd.client_of_member("other", &follower);
            let mut rng = world.seed().stream("test");
            for round in 0..5 {
                writer.write_for(&world, Duration::from_millis(rng.gen_range(300..900))).await;
                let key = format!("open/{round}");
                let (client, open) = (etcd.client("open"), key.clone());
                labkit_sim::spawn(async move { put(&client, &open, "x").await });
                tokio::time::sleep(Duration::from_millis(rng.gen_range(0..250))).await;
                let seen = get_stale(&etcd, &follower, &key).await;
                let victim = etcd.leader().unwrap_or_else(|| leader.clone());
                etcd.power_off(&victim).await.unwrap();
                world.disk(&victim).set_sync_delay(Duration::ZERO);
                writer.write_for(&world, Duration::from_secs(3)).await;
                etcd.start(&victim).await.unwrap();
                writer.write_for(&world, Duration::from_secs(1)).await;
                if seen.is_some() {
                    assert!(get(&reads, &key).await.unwrap().is_some(), "seed {seed}: what was read stays");
                }
                let next = etcd.leader().unwrap();
                world.disk(&next).set_sync_delay(Duration::from_millis(200));
            }
            writer.check(&etcd, seed).await;
        });
    }
}
