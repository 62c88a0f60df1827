//! Who leads, and for how long nobody does.

use std::time::Duration;

use rand::Rng;

use super::*;

#[test]
fn a_killed_leader_is_replaced_within_one_to_two_seconds() {
    let mut took: Vec<u128> = (0..100)
        .map(|seed| {
            virtually(seed, |world| async move {
                let etcd = boot(&world, 3).await;
                let steady = world.seed().stream("test").gen_range(1000..2000);
                tokio::time::sleep(Duration::from_millis(steady)).await;
                let old = etcd.leader().unwrap();
                let term = etcd.members()[0].term;
                etcd.kill(&old).await.unwrap();
                let (_, took) = new_leader(&world, &etcd, &old).await;
                let newest = etcd.members().iter().map(|member| member.term).max().unwrap();
                assert!(newest > term, "seed {seed}");
                took.as_millis()
            })
        })
        .collect();
    took.sort_unstable();
    println!("failover over 100 seeds, ms: least {} median {} most {}", took[0], took[50], took[99]);
    assert!(took[0] >= 1000 && took[99] <= 2000, "{took:?}");
}

#[test]
fn a_follower_that_was_cut_off_does_not_raise_the_term() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let (leader, cut_off) = (etcd.leader().unwrap(), follower(&etcd));
            let term = etcd.members()[0].term;
            let rule = isolate(&world, &etcd, &cut_off);
            tokio::time::sleep(Duration::from_secs(30)).await;
            world.network().remove(rule);
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(etcd.leader(), Some(leader));
            assert!(etcd.members().iter().all(|member| member.term == term), "{:#?}", etcd.members());
        });
    }
}

#[test]
fn a_leader_that_was_cut_off_steps_down_and_follows_the_new_one() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let old = etcd.leader().unwrap();
            let rule = isolate(&world, &etcd, &old);
            let (new, _) = new_leader(&world, &etcd, &old).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let of_old = |etcd: &Etcd| etcd.members().into_iter().find(|member| member.name == old).unwrap();
            assert_eq!(of_old(&etcd).leader, None);
            world.network().remove(rule);
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(of_old(&etcd).leader, Some(new.clone()), "seed {seed}");
            assert_eq!(etcd.leader(), Some(new));
        });
    }
}

#[test]
fn a_leader_that_is_restarted_at_once_comes_back_as_a_follower() {
    virtually(3, |world| async move {
        let etcd = boot(&world, 3).await;
        let old = etcd.leader().unwrap();
        etcd.kill(&old).await.unwrap();
        etcd.start(&old).await.unwrap();
        assert_eq!(etcd.leader(), None);
        let (_, took) = new_leader(&world, &etcd, "").await;
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert_eq!(put(&etcd.client("etcdctl"), "k", "v").await, Ok(2));
    });
}

#[test]
fn a_paused_leader_is_replaced_and_follows_when_it_goes_on() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let old = etcd.leader().unwrap();
            etcd.pause(&old).unwrap();
            let (new, took) = new_leader(&world, &etcd, &old).await;
            assert!(took < Duration::from_millis(2500), "seed {seed}: {took:?}");
            assert!(put(&etcd.client_of_member("etcdctl", &new), "k", "v").await.is_ok());
            tokio::time::sleep(Duration::from_secs(10)).await;
            etcd.resume(&old).unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(etcd.leader(), Some(new));
            assert_eq!(get_stale(&etcd, &old, "k").await.as_deref(), Some("v"), "seed {seed}");
        });
    }
}

#[test]
fn a_single_member_leads_again_after_a_restart() {
    virtually(1, |world| async move {
        let etcd = boot(&world, 1).await;
        let client = etcd.client("etcdctl");
        put(&client, "k", "v").await.unwrap();
        etcd.kill("etcd1").await.unwrap();
        etcd.start("etcd1").await.unwrap();
        assert_eq!(get(&client, "k").await, Ok(Some("v".to_owned())));
        assert_eq!(put(&client, "k", "w").await, Ok(3));
    });
}
