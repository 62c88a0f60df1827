//! Invariant: a write that was acknowledged is there afterwards, whatever broke. One that was not may be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_etcd::{Client, PutRequest, RangeRequest};
use labkit_tests::chaos::{for_each_seed, havoc};

#[test]
fn invariant_acknowledged_writes_survive() {
    for_each_seed(|world, etcd| async move {
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let writer = world.component("writer");
        for lane in 0..4_u64 {
            writer.spawn(write(etcd.client("writer"), lane, acknowledged.clone()));
        }
        havoc(&world, &etcd, 8).await;
        writer.kill().await;
        let acknowledged = acknowledged.lock().unwrap().clone();
        assert!(acknowledged.len() > 100, "the writer got through: {}", acknowledged.len());
        let stored = etcd.client("auditor").range(RangeRequest::prefix("seq/")).await.unwrap();
        let stored: std::collections::BTreeMap<_, _> =
            stored.kvs.into_iter().map(|kv| (kv.key, kv.mod_revision)).collect();
        for (key, revision) in &acknowledged {
            assert_eq!(
                stored.get(key.as_bytes()),
                Some(revision),
                "{key} was acknowledged at revision {revision}"
            );
        }
    });
}

async fn write(client: Client, lane: u64, acknowledged: Arc<Mutex<Vec<(String, i64)>>>) {
    for number in 0_u64.. {
        let key = format!("seq/{lane}/{number}");
        if let Ok(response) = client.put(PutRequest::new(key.clone(), "x")).await {
            acknowledged.lock().unwrap().push((key, response.header.revision));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
