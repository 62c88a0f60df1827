//! Leases: time to live, attached keys, a change of leader.

use std::time::Duration;

use super::*;

async fn leased(client: &Client, lease: i64, key: &str) {
    let put = PutRequest { lease, ..PutRequest::new(key.to_owned(), "v") };
    client.put(put).await.unwrap();
}

#[test]
fn an_expired_lease_takes_its_keys_along() {
    virtually(1, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        let lease = client.lease_grant(0, 5).await.unwrap();
        assert_eq!(lease.ttl, 5);
        leased(&client, lease.id, "a").await;
        leased(&client, lease.id, "b").await;
        tokio::time::sleep(Duration::from_millis(4900)).await;
        assert_eq!(get(&client, "a").await, Ok(Some("v".to_owned())));
        let left = client.lease_time_to_live(lease.id, true).await.unwrap();
        assert_eq!((left.ttl, left.granted_ttl, left.keys.len()), (0, 5, 2));
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(get(&client, "a").await, Ok(None));
        assert!(client.leases().await.unwrap().leases.is_empty());
        assert_eq!(client.lease_time_to_live(lease.id, false).await.unwrap().ttl, -1);
        let before = client.status().await.unwrap().header.revision;
        assert_eq!(before, 4, "both keys went in one revision");
    });
}

#[test]
fn a_lease_lives_as_long_as_it_is_kept_alive() {
    virtually(2, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        let lease = client.lease_grant(0, 2).await.unwrap();
        leased(&client, lease.id, "a").await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(client.lease_keep_alive(lease.id).await.unwrap().ttl, 2);
        }
        assert_eq!(get(&client, "a").await, Ok(Some("v".to_owned())));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(client.lease_keep_alive(lease.id).await.unwrap().ttl, 0);
    });
}

#[test]
fn a_change_of_leader_lengthens_a_lease_and_never_shortens_it() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let client = etcd.client("etcdctl").with_deadline(Duration::from_secs(20));
            let lease = client.lease_grant(0, 10).await.unwrap();
            leased(&client, lease.id, "a").await;
            tokio::time::sleep(Duration::from_secs(8)).await;
            let old = etcd.leader().unwrap();
            etcd.kill(&old).await.unwrap();
            let (_, took) = new_leader(&world, &etcd, &old).await;
            tokio::time::sleep(Duration::from_millis(9500)).await;
            assert_eq!(get(&client, "a").await, Ok(Some("v".to_owned())), "seed {seed}");
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert_eq!(get(&client, "a").await, Ok(None), "seed {seed}, new leader after {took:?}");
        });
    }
}

#[test]
fn a_revoked_lease_takes_its_keys_along_at_once() {
    virtually(3, |world| async move {
        let etcd = boot(&world, 1).await;
        let client = etcd.client("etcdctl");
        let lease = client.lease_grant(7, 1).await.unwrap();
        assert_eq!((lease.id, lease.ttl), (7, 2), "less than the minimum is not granted");
        assert_eq!(client.lease_grant(7, 5).await, Err(EtcdError::LeaseExists));
        leased(&client, 7, "a").await;
        put(&client, "a", "detached").await.unwrap();
        leased(&client, 7, "b").await;
        client.lease_revoke(7).await.unwrap();
        assert_eq!(get(&client, "a").await, Ok(Some("detached".to_owned())));
        assert_eq!(get(&client, "b").await, Ok(None));
        assert_eq!(client.lease_revoke(7).await, Err(EtcdError::LeaseNotFound));
        let put = PutRequest { lease: 7, ..PutRequest::new("c", "v") };
        assert_eq!(client.put(put).await, Err(EtcdError::LeaseNotFound));
    });
}

#[test]
fn a_leader_whose_clock_jumps_expires_no_lease_and_is_warned_of() {
    virtually(5, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        let lease = client.lease_grant(0, 60).await.unwrap();
        leased(&client, lease.id, "a").await;
        let leader = etcd.leader().unwrap();
        world.clock().set_skew(&leader, labkit_sim::SignedDuration::from_hours(1));
        tokio::time::sleep(Duration::from_secs(45)).await;
        assert_eq!(get(&client, "a").await, Ok(Some("v".to_owned())));
        assert_eq!(client.lease_time_to_live(lease.id, false).await.unwrap().ttl, 15);
        assert_eq!(etcd.leader(), Some(leader.clone()), "nor does it lose its office");
        let records = world.trace().records();
        let drifts: Vec<_> = records.iter().filter(|record| record.payload.kind() == "ClockDrift").collect();
        assert_eq!(drifts.len(), 4, "it and its two peers, once in half a minute");
        let own = drifts.iter().find(|record| *record.from == *leader).unwrap().payload.fields();
        assert_eq!(own["driftMs"], 3_600_000);
        assert_eq!(own["warning"], "prober found high clock drift");
    });
}
