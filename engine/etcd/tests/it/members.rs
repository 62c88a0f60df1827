//! What a client of a member gets while members are down, cut off, or far behind.

use std::time::Duration;

use labkit_etcd::WatchRequest;
use labkit_sim::{ComponentState, Rule};

use super::*;

#[test]
fn a_put_is_read_back_at_every_member_and_takes_no_time() {
    virtually(1, |world| async move {
        let etcd = boot(&world, 3).await;
        assert_eq!(put(&etcd.client("etcdctl"), "foo", "bar").await, Ok(2));
        for member in ["etcd1", "etcd2", "etcd3"] {
            let client = etcd.client_of_member("etcdctl", member);
            assert_eq!(get(&client, "foo").await, Ok(Some("bar".to_owned())));
        }
        assert_eq!(world.clock().elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_restarted_member_catches_up() {
    virtually(2, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client_of_member("etcdctl", &etcd.leader().unwrap());
        let down = follower(&etcd);
        put(&client, "k", "before").await.unwrap();
        etcd.kill(&down).await.unwrap();
        let status = etcd.members().into_iter().find(|member| member.name == down).unwrap();
        assert_eq!(status.state, ComponentState::Killed);
        put(&client, "k", "while down").await.unwrap();
        etcd.start(&down).await.unwrap();
        assert_eq!(get_stale(&etcd, &down, "k").await.as_deref(), Some("before"), "as its disk has it");
        assert_eq!(
            get(&etcd.client_of_member("etcdctl", &down), "k").await,
            Ok(Some("while down".to_owned()))
        );
    });
}

#[test]
fn a_member_that_is_behind_the_log_gets_a_snapshot() {
    virtually(2, |world| async move {
        let config = EtcdConfig { members: 3, snapshot_count: 50, ..EtcdConfig::default() };
        let etcd = Etcd::boot(&world, config).await;
        let client = etcd.client_of_member("etcdctl", &etcd.leader().unwrap());
        let down = follower(&etcd);
        etcd.kill(&down).await.unwrap();
        for n in 0..300 {
            put(&client, "k", &n.to_string()).await.unwrap();
        }
        etcd.start(&down).await.unwrap();
        assert_eq!(get(&etcd.client_of_member("etcdctl", &down), "k").await, Ok(Some("299".to_owned())));
        let kinds = world.trace().records();
        assert!(kinds.iter().any(|record| record.payload.kind() == "InstallSnapshot"));
        etcd.kill(&down).await.unwrap();
        etcd.start(&down).await.unwrap();
        assert_eq!(get_stale(&etcd, &down, "k").await.as_deref(), Some("299"), "the snapshot is on its disk");
    });
}

#[test]
fn a_minority_times_out_and_the_majority_goes_on() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let old = etcd.leader().unwrap();
            put(&etcd.client("etcdctl"), "k", "before").await.unwrap();
            let rule = isolate(&world, &etcd, &old);
            let minority = etcd.client_of_member("etcdctl", &old);
            assert_eq!(put(&minority, "k", "minority").await, Err(EtcdError::DeadlineExceeded));
            assert_eq!(get(&minority, "k").await, Err(EtcdError::DeadlineExceeded));
            assert_eq!(get_stale(&etcd, &old, "k").await.as_deref(), Some("before"));
            let majority = etcd.client_of_member("etcdctl", &etcd.leader().unwrap());
            put(&majority, "k", "majority").await.unwrap();
            world.network().remove(rule);
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(get(&minority, "k").await, Ok(Some("majority".to_owned())), "seed {seed}");
        });
    }
}

#[test]
fn a_request_without_a_quorum_times_out_at_the_member_after_seven_seconds() {
    virtually(4, |world| async move {
        let etcd = boot(&world, 3).await;
        let left = follower(&etcd);
        for member in ["etcd1", "etcd2", "etcd3"].into_iter().filter(|member| *member != left) {
            etcd.kill(member).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let client = etcd.client_of_member("etcdctl", &left).with_deadline(Duration::from_secs(60));
        let began = world.clock().elapsed();
        assert_eq!(put(&client, "k", "v").await, Err(EtcdError::NotProposed), "nobody to give it to");
        let took = world.clock().elapsed() - began;
        assert!(took >= Duration::from_secs(7) && took < Duration::from_millis(7300), "{took:?}");
        assert_eq!(client.status().await.unwrap().errors, ["etcdserver: no leader"]);
    });
}

/// Real behaviour, and worth a lesson: who was told "context deadline exceeded" knows nothing of the outcome.
#[test]
fn a_write_that_timed_out_may_still_be_committed() {
    virtually(5, |world| async move {
        let etcd = boot(&world, 3).await;
        let leader = etcd.leader().unwrap();
        let followers: Vec<String> =
            etcd.members().into_iter().map(|member| member.name).filter(|name| *name != leader).collect();
        for member in &followers {
            etcd.pause(member).unwrap();
        }
        let client = etcd.client_of_member("etcdctl", &leader);
        let error = put(&client, "k", "v3").await.unwrap_err();
        assert_eq!(error.to_string(), "context deadline exceeded");
        assert!(error.is_ambiguous());
        for member in &followers {
            etcd.resume(member).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(get(&etcd.client("etcdctl"), "k").await, Ok(Some("v3".to_owned())));
    });
}

#[test]
fn a_client_goes_on_to_the_next_member_when_its_own_is_down() {
    virtually(6, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("apiserver");
        put(&client, "k", "1").await.unwrap();
        etcd.kill("etcd1").await.unwrap();
        new_leader(&world, &etcd, "etcd1").await;
        assert_eq!(put(&client, "k", "2").await, Ok(3));
        let pinned = etcd.client_of_member("etcdctl", "etcd1");
        assert_eq!(put(&pinned, "k", "3").await, Err(EtcdError::DeadlineExceeded));
    });
}

#[test]
fn a_power_loss_drops_nothing_that_was_acknowledged() {
    virtually(7, |world| async move {
        let etcd = boot(&world, 1).await;
        let client = etcd.client("etcdctl");
        put(&client, "k", "v").await.unwrap();
        etcd.power_off("etcd1").await.unwrap();
        etcd.start("etcd1").await.unwrap();
        assert_eq!(get(&client, "k").await, Ok(Some("v".to_owned())));
    });
}

#[test]
fn a_slow_disk_slows_writes_down() {
    virtually(8, |world| async move {
        let etcd = boot(&world, 3).await;
        for member in ["etcd1", "etcd2", "etcd3"] {
            world.disk(member).set_sync_delay(Duration::from_millis(50));
        }
        let began = world.clock().elapsed();
        put(&etcd.client("etcdctl"), "k", "v").await.unwrap();
        let took = world.clock().elapsed() - began;
        assert!(took >= Duration::from_millis(50) && took < Duration::from_millis(300), "{took:?}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(etcd.leader().is_some());
    });
}

#[test]
fn five_members_survive_the_loss_of_two() {
    virtually(9, |world| async move {
        let etcd = boot(&world, 5).await;
        let client = etcd.client("etcdctl").with_deadline(Duration::from_secs(20));
        put(&client, "k", "1").await.unwrap();
        for _ in 0..2 {
            let leader = etcd.leader().unwrap();
            etcd.kill(&leader).await.unwrap();
            new_leader(&world, &etcd, &leader).await;
        }
        assert_eq!(put(&client, "k", "2").await, Ok(3));
    });
}

#[test]
fn a_client_of_all_members_leaves_the_one_that_is_cut_off() {
    virtually(10, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("apiserver").with_deadline(Duration::from_secs(30));
        let mut watcher = client.watch(WatchRequest::key("k")).await.unwrap();
        isolate(&world, &etcd, "etcd1");
        let began = world.clock().elapsed();
        tokio::time::sleep(Duration::from_secs(2)).await;
        put(&client, "k", "1").await.unwrap();
        let took = world.clock().elapsed() - began;
        assert!(took < Duration::from_secs(6), "no leader, and on to the next: {took:?}");
        while watcher.next().await.unwrap().unwrap().events.is_empty() {}
    });
}

#[test]
fn a_watch_leaves_a_member_that_is_paused() {
    virtually(11, |world| async move {
        let etcd = boot(&world, 3).await;
        let mut watcher = etcd.client("apiserver").watch(WatchRequest::key("k")).await.unwrap();
        etcd.pause("etcd1").unwrap();
        new_leader(&world, &etcd, "etcd1").await;
        put(&etcd.client_of_member("etcdctl", "etcd2"), "k", "1").await.unwrap();
        let began = world.clock().elapsed();
        while watcher.next().await.unwrap().unwrap().events.is_empty() {}
        let took = world.clock().elapsed() - began;
        assert!(took >= Duration::from_secs(40) && took < Duration::from_secs(42), "{took:?}");
    });
}

#[test]
fn links_that_delay_and_lose_only_slow_things_down() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let client = etcd.client("apiserver").with_deadline(Duration::from_secs(60));
            world.network().add(Rule::Delay { from: None, to: None, by: Duration::from_millis(60) });
            let apiserver = Some("apiserver".to_owned());
            world.network().add(Rule::Drop { from: apiserver, to: None, probability: 0.3 });
            let mut watcher = client.watch(WatchRequest::prefix("k")).await.unwrap();
            for n in 0..10 {
                assert_eq!(put(&client, &format!("k{n}"), "v").await, Ok(n + 2), "seed {seed}");
            }
            let mut seen = 0;
            while seen < 10 {
                seen += watcher.next().await.unwrap().unwrap().events.len();
            }
        });
    }
}
