//! Invariant: a watcher sees every revision of its keys once and in order, also across members that die.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_etcd::{PutRequest, RangeRequest, WatchRequest};
use labkit_tests::chaos::{for_each_seed, havoc};

#[test]
fn invariant_watchers_miss_nothing() {
    for_each_seed(|world, etcd| async move {
        let writer = world.component("writer");
        let client = etcd.client("writer");
        writer.spawn(async move {
            for number in 0_u64.. {
                let key = format!("watched/{}", number % 5);
                let _unknown_is_fine = client.put(PutRequest::new(key, number.to_string())).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let seen = Arc::new(Mutex::new(Vec::new()));
        let watching = world.component("watcher");
        let (client, sink) = (etcd.client("watcher"), seen.clone());
        watching.spawn(async move {
            let request = WatchRequest { start_revision: 1, ..WatchRequest::prefix("watched/") };
            let mut watcher = client.watch(request).await.unwrap();
            while let Some(response) = watcher.next().await {
                let events = response.unwrap().events;
                sink.lock().unwrap().extend(events.into_iter().map(|event| event.kv.mod_revision));
            }
        });
        havoc(&world, &etcd, 8).await;
        writer.kill().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let seen = seen.lock().unwrap().clone();
        assert!(seen.is_sorted_by(|a, b| a < b), "once and in order: {seen:?}");
        let last = etcd.client("auditor").range(RangeRequest::prefix("watched/")).await.unwrap();
        let writes: i64 = last.kvs.iter().map(|kv| kv.version).sum();
        assert_eq!(seen.len() as i64, writes, "each write is one event");
    });
}
