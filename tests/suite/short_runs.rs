//! Every invariant of the store at once, in runs so short that thousands of seeds are tried: two or three faults each,
//! of any kind, under a writer, a watcher, a reader, and clients that meet on a few keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_etcd::{Client, Etcd, PutRequest, RangeRequest, RangeResponse, WatchRequest};
use labkit_sim::World;
use labkit_tests::chaos::{for_seeds, harm, seeds};
use labkit_tests::linearizability::{Outcome, check};
use rand::Rng;

use super::invariant_histories_are_linearizable::{History, call_at_random, told};

/// How many short runs there are for a long one.
const RUNS_PER_SEED: u64 = 50;

/// No store is that long without a leader when nothing is broken.
const MENDED_MAX: Duration = Duration::from_secs(60);

type Shared<T> = Arc<Mutex<Vec<T>>>;

#[test]
fn short_runs_keep_every_invariant() {
    for_seeds(seeds() * RUNS_PER_SEED, |world, etcd| async move {
        let history = History::default();
        let clients = world.component("clients");
        for number in 0..3_u64 {
            let client = match number {
                0 => etcd.client("clients"),
                _ => etcd.client_of_member("clients", &format!("etcd{number}")),
            };
            clients.spawn(call_at_random(world.clone(), client, number, history.clone(), false));
        }
        let acknowledged = Shared::default();
        clients.spawn(write(etcd.client("writer"), acknowledged.clone()));
        let seen = Shared::default();
        // It outlives the faults, and is asked at the end.
        let watcher = world.component("watcher");
        watcher.spawn(watch(etcd.client("watcher"), seen.clone()));
        let reads = Shared::default();
        clients.spawn(read(etcd.client("reader"), reads.clone()));

        let mut rng = world.seed().stream("havoc");
        for _ in 0..rng.gen_range(2..4) {
            harm(&world, &etcd, &mut rng).await;
            tokio::time::sleep(Duration::from_millis(rng.gen_range(0..500))).await;
        }
        let stored = mended(&world, &etcd).await;
        let answered = async {
            while history.lock().unwrap().iter().all(|call| call.outcome == Outcome::Unknown) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(MENDED_MAX, answered).await.expect("a store that is whole answers its clients");
        clients.kill().await;

        let history = history.lock().unwrap().clone();
        if let Err(calls) = check(&history) {
            panic!("no order explains what happened to {}:\n{}", calls[0].key, told(&calls));
        }
        let stored = newer(&etcd, stored).await;
        let revisions: BTreeMap<_, i64> =
            stored.kvs.iter().map(|kv| (kv.key.clone(), kv.mod_revision)).collect();
        for (key, revision) in acknowledged.lock().unwrap().iter() {
            assert_eq!(revisions.get(key.as_bytes()), Some(revision), "{key} was acknowledged at {revision}");
        }
        let reads = reads.lock().unwrap().clone();
        assert!(reads.is_sorted(), "revisions went back: {reads:?}");
        // Each key was written once: each write is one event.
        let mut expected: Vec<i64> = revisions.into_values().collect();
        expected.sort_unstable();
        let told_all = async {
            while seen.lock().unwrap().len() < expected.len() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        // What it was told instead is shown below.
        let _ = tokio::time::timeout(MENDED_MAX, told_all).await;
        assert_eq!(*seen.lock().unwrap(), expected, "the watcher's events against the store's");
    });
}

/// Waits until the store answers again, and gives what the writer has in it.
async fn mended(world: &World, etcd: &Etcd) -> RangeResponse {
    let since = world.clock().elapsed();
    loop {
        match etcd.client("auditor").range(RangeRequest::prefix("seq/")).await {
            Ok(stored) => return stored,
            Err(error) => {
                let waited = world.clock().elapsed() - since;
                assert!(waited < MENDED_MAX, "with every member up and connected: {error}");
            }
        }
    }
}

/// What is stored once nobody writes any more: writes without an answer may have been under way.
async fn newer(etcd: &Etcd, mut before: RangeResponse) -> RangeResponse {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = etcd.client("auditor").range(RangeRequest::prefix("seq/")).await.unwrap();
        if now.header.revision == before.header.revision {
            return now;
        }
        before = now;
    }
}

async fn write(client: Client, acknowledged: Shared<(String, i64)>) {
    for number in 0_u64.. {
        let key = format!("seq/{number}");
        if let Ok(response) = client.put(PutRequest::new(key.clone(), "x")).await {
            acknowledged.lock().unwrap().push((key, response.header.revision));
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

async fn watch(client: Client, seen: Shared<i64>) {
    let request = WatchRequest { start_revision: 1, ..WatchRequest::prefix("seq/") };
    // Who is to be watched may be down at first.
    let mut watcher = loop {
        if let Ok(watcher) = client.watch(request.clone()).await {
            break watcher;
        }
    };
    while let Some(response) = watcher.next().await {
        let events = response.unwrap().events;
        seen.lock().unwrap().extend(events.into_iter().map(|event| event.kv.mod_revision));
    }
}

async fn read(client: Client, reads: Shared<i64>) {
    loop {
        if let Ok(response) = client.range(RangeRequest::key("seq/0")).await {
            reads.lock().unwrap().push(response.header.revision);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
