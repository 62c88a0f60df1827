//! The same seed gives the same run, and an idle cluster costs little.

use std::time::Duration;

use serde_json::json;

use crate::lab;

fn trace(seed: u64) -> Vec<String> {
    lab::run(seed, 3, |lab| async move {
        for name in ["a", "b", "c", "d"] {
            lab.container(name, "nginx", json!({})).await;
        }
        lab.container("crash", "busybox", json!({})).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        lab.delete("b", None).await;
        lab.kill_kubelet("worker1").await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        lab.start_kubelet("worker1");
        tokio::time::sleep(Duration::from_secs(100)).await;
        let records = lab.world.trace().records();
        let text = |record: &labkit_sim::Record| {
            let payload = &record.payload;
            format!("{:?} {} {} {} {}", record.at, record.from, record.to, payload.kind(), payload.fields())
        };
        records.iter().map(text).collect()
    })
}

#[test]
fn one_seed_gives_one_trace() {
    let (first, second) = (trace(7), trace(7));
    let differ = first.iter().zip(&second).find(|(a, b)| a != b);
    assert_eq!(differ, None);
    assert_eq!(first.len(), second.len());
    assert_ne!(first, trace(8), "another seed gives another order of nodes");
}

#[test]
fn an_idle_node_sends_little() {
    lab::run(1, 3, |lab| async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let from = lab.world.trace().last_id();
        tokio::time::sleep(Duration::from_secs(345)).await;
        let kubelets =
            lab.world.trace().since(from).into_iter().filter(|record| record.from.starts_with("kubelet/"));
        // 34 renewals and one status report, a read and a write, for each of 3 nodes.
        let sent = kubelets.count();
        assert!(sent <= 3 * 37, "{sent} messages");
    });
}
