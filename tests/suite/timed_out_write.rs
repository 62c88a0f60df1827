//! A write that timed out while the quorum was lost is not a write that failed: it is in the leader's log, and is
//! committed when the quorum comes back.

use std::time::Duration;

use labkit_etcd::{Code, Etcd, EtcdConfig, PutRequest, RangeRequest};
use labkit_sim::{Pace, run};

#[test]
fn a_write_that_timed_out_may_be_committed_afterwards() {
    run(Pace::Virtual, 1, |world| async move {
        let etcd = Etcd::boot(&world, EtcdConfig { members: 3, ..EtcdConfig::default() }).await;
        let leader = etcd.leader().unwrap();
        let client = etcd.client_of_member("writer", &leader).with_deadline(Duration::from_secs(2));
        client.put(PutRequest::new("balance", "100")).await.unwrap();
        let followers: Vec<String> =
            etcd.members().into_iter().map(|member| member.name).filter(|name| *name != leader).collect();
        for follower in &followers {
            etcd.pause(follower).unwrap();
        }
        let refused = client.put(PutRequest::new("balance", "50")).await.unwrap_err();
        assert!(matches!(refused.code(), Code::DeadlineExceeded | Code::Unavailable), "{refused}");
        for follower in &followers {
            etcd.resume(follower).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let read = etcd.client("reader").range(RangeRequest::key("balance")).await.unwrap();
        assert_eq!(&read.kvs[0].value[..], b"50", "what the client was told nothing of has happened");
    });
}
