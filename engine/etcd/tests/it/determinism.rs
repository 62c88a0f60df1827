//! Invariant: the same seed gives the same trace, byte for byte.

use std::fmt::Write;
use std::time::Duration;

use super::*;

/// A run with every fault in it, as text.
fn trace_of(seed: u64) -> String {
    virtually(seed, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        let watcher = client.watch(labkit_etcd::WatchRequest::prefix("k")).await.unwrap();
        for n in 0..20 {
            put(&client, &format!("k{n}"), "v").await.unwrap();
        }
        let lease = client.lease_grant(0, 5).await.unwrap();
        let attached = PutRequest { lease: lease.id, ..PutRequest::new("leased", "v") };
        client.put(attached).await.unwrap();
        let old = etcd.leader().unwrap();
        etcd.kill(&old).await.unwrap();
        let _ = put(&client, "during", "v").await;
        new_leader(&world, &etcd, &old).await;
        etcd.start(&old).await.unwrap();
        let rule = isolate(&world, &etcd, &etcd.leader().unwrap());
        let _ = put(&client, "parted", "v").await;
        world.network().remove(rule);
        etcd.pause("etcd2").unwrap();
        tokio::time::sleep(Duration::from_secs(7)).await;
        etcd.resume("etcd2").unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(watcher);
        let mut text = String::new();
        for record in world.trace().records() {
            let (at, from, to) = (record.at, &record.from, &record.to);
            let (kind, fields) = (record.payload.kind(), record.payload.fields());
            writeln!(text, "{at:?} {from} {to} {:?} {kind} {fields}", record.cause).unwrap();
        }
        text
    })
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..4 {
        let first = trace_of(seed);
        assert!(first.lines().count() > 500);
        for run in 1..5 {
            let again = trace_of(seed);
            let differs = first.lines().zip(again.lines()).enumerate().find(|(_, (a, b))| a != b);
            assert!(first == again, "seed {seed}, run {run}: {differs:?}");
        }
    }
}

#[test]
fn another_seed_gives_another_trace() {
    assert_ne!(trace_of(0), trace_of(1));
}
