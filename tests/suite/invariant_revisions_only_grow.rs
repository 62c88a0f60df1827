//! Invariant: the revisions that one linearizable reader sees never go back, whatever broke.

use std::time::Duration;

use labkit_etcd::{PutRequest, RangeRequest};
use labkit_tests::chaos::{for_each_seed, havoc};

#[test]
fn invariant_revisions_only_grow() {
    for_each_seed(|world, etcd| async move {
        let writer = world.component("writer");
        let client = etcd.client("writer");
        writer.spawn(async move {
            loop {
                let _unknown_is_fine = client.put(PutRequest::new("counter", "x")).await;
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
        });
        let reader = world.component("reader");
        let client = etcd.client("reader");
        let reading = reader.spawn(async move {
            let (mut seen, mut reads) = ((0, 0), 0_u32);
            for _ in 0..2000 {
                if let Ok(response) = client.range(RangeRequest::key("counter")).await {
                    let version = response.kvs.first().map_or(0, |kv| kv.version);
                    let now = (response.header.revision, version);
                    assert!(now >= seen, "went back from {seen:?} to {now:?}");
                    seen = now;
                    reads += 1;
                }
                tokio::time::sleep(Duration::from_millis(11)).await;
            }
            reads
        });
        havoc(&world, &etcd, 8).await;
        writer.kill().await;
        assert!(reading.await.unwrap() > 100);
    });
}
