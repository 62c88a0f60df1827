//! What an operator does to the cluster: members come and go, leadership moves, the store fills up, the disk too.

use std::time::Duration;

use labkit_etcd::{
    Alarm, AlarmKind, AlarmRequest, DeleteRangeRequest, MemberChange, MemberInfo, PutRequest, RequestOp,
    TxnRequest,
};
use labkit_sim::ComponentState;

use super::*;

fn add(host: &str, learner: bool) -> MemberChange {
    MemberChange::Add { peer_urls: vec![format!("https://{host}:2380")], learner }
}

async fn members(client: &Client) -> Vec<MemberInfo> {
    client.member_list().await.unwrap().members
}

fn id_of(etcd: &Etcd, name: &str) -> u64 {
    etcd.members().into_iter().find(|member| member.name == name).unwrap().id
}

/// Long enough for every member to count as connected.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(6)).await;
}

#[test]
fn a_member_that_is_added_catches_up_when_it_is_started() {
    virtually(1, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        put(&client, "k", "v").await.unwrap();
        assert_eq!(client.change_members(add("etcd4", false)).await, Err(EtcdError::Unhealthy), "too early");
        settle().await;
        let added = client.change_members(add("etcd4", false)).await.unwrap();
        assert_eq!(added.members.len(), 4);
        let fresh = added.members.into_iter().find(|member| member.id == added.id).unwrap();
        assert_eq!((fresh.name.as_str(), fresh.peer_urls), ("", vec!["https://etcd4:2380".to_owned()]));
        let second = client.change_members(add("etcd5", false)).await;
        assert_eq!(second, Err(EtcdError::Unhealthy), "the fourth has not been started");
        etcd.start("etcd4").await.unwrap();
        assert_eq!(get(&etcd.client_of_member("etcdctl", "etcd4"), "k").await, Ok(Some("v".to_owned())));
        settle().await;
        assert!(members(&client).await.iter().any(|member| member.name == "etcd4"));
        // Four members: a quorum is three.
        etcd.kill("etcd1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(put(&etcd.client_of_member("etcdctl", "etcd4"), "k", "w").await.is_ok());
    });
}

#[test]
fn a_second_member_is_not_added_before_the_first_has_started() {
    virtually(2, |world| async move {
        let etcd = boot(&world, 3).await;
        settle().await;
        etcd.kill(&follower(&etcd)).await.unwrap();
        let down = etcd.members().into_iter().find(|member| member.state == ComponentState::Killed).unwrap();
        let client = etcd.client_of_member("etcdctl", &etcd.leader().unwrap());
        let removed = client.change_members(MemberChange::Remove { id: down.id }).await.unwrap();
        assert_eq!(removed.members.len(), 2);
        client.change_members(add("etcd4", false)).await.unwrap();
        assert_eq!(client.change_members(add("etcd5", false)).await, Err(EtcdError::MemberNotEnoughStarted));
        assert_eq!(client.change_members(add("etcd5", true)).await, Err(EtcdError::Unhealthy));
    });
}

#[test]
fn a_learner_hears_everything_and_gets_its_vote_when_it_is_in_sync() {
    virtually(3, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        for n in 0..20 {
            put(&client, "k", &n.to_string()).await.unwrap();
        }
        settle().await;
        let id = client.change_members(add("etcd4", true)).await.unwrap().id;
        assert!(members(&client).await.iter().any(|member| member.id == id && member.is_learner));
        let promote = || client.change_members(MemberChange::Promote { id });
        assert_eq!(promote().await, Err(EtcdError::LearnerNotReady));
        assert_eq!(client.change_members(add("etcd5", true)).await, Err(EtcdError::TooManyLearners));
        etcd.start("etcd4").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(get_stale(&etcd, "etcd4", "k").await.as_deref(), Some("19"));
        let learner = etcd.client_of_member("etcdctl", "etcd4").with_deadline(Duration::from_secs(1));
        assert_eq!(put(&learner, "k", "x").await, Err(EtcdError::NotSupportedForLearner));
        assert!(learner.status().await.unwrap().is_learner);
        let promoted = promote().await.unwrap();
        assert!(promoted.members.iter().all(|member| !member.is_learner));
        assert_eq!(promote().await, Err(EtcdError::MemberNotLearner));
        assert!(put(&learner, "k", "x").await.is_ok());
    });
}

#[test]
fn a_member_that_is_removed_stops_be_it_the_leader() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let old = etcd.leader().unwrap();
            let id = id_of(&etcd, &old);
            settle().await;
            let client = etcd.client_of_member("etcdctl", &follower(&etcd));
            client.change_members(MemberChange::Remove { id }).await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(etcd.members().iter().all(|member| member.name != old), "seed {seed}");
            assert!(etcd.leader().is_some(), "seed {seed}");
            assert!(put(&client, "k", "v").await.is_ok(), "seed {seed}");
            let again = client.change_members(MemberChange::Remove { id }).await;
            assert_eq!(again, Err(EtcdError::MemberNotFound));
            etcd.start(&old).await.unwrap();
            assert!(etcd.members().iter().all(|member| member.name != old), "it does not come back");
        });
    }
}

#[test]
fn a_member_is_not_removed_when_the_rest_were_no_quorum() {
    virtually(4, |world| async move {
        let etcd = boot(&world, 3).await;
        settle().await;
        let leader = etcd.leader().unwrap();
        let client = etcd.client_of_member("etcdctl", &leader);
        let mut followers = etcd.members().into_iter().filter(|member| member.name != leader);
        let (down, up) = (followers.next().unwrap(), followers.next().unwrap());
        etcd.kill(&down.name).await.unwrap();
        let remove = |id| client.change_members(MemberChange::Remove { id });
        assert_eq!(remove(up.id).await, Err(EtcdError::Unhealthy));
        assert!(remove(down.id).await.is_ok(), "who is down is no part of the quorum");
    });
}

#[test]
fn a_member_gets_another_peer_url() {
    virtually(5, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        let id = id_of(&etcd, "etcd2");
        let update = |url: &str| MemberChange::Update { id, peer_urls: vec![url.to_owned()] };
        assert_eq!(client.change_members(update("nonsense")).await, Err(EtcdError::MemberBadUrls));
        let taken = client.change_members(update("https://etcd1:2380")).await;
        assert_eq!(taken, Err(EtcdError::PeerUrlExists));
        client.change_members(update("https://10.0.0.2:2380")).await.unwrap();
        let updated = members(&client).await.into_iter().find(|member| member.id == id).unwrap();
        assert_eq!(
            (updated.name.as_str(), updated.peer_urls),
            ("etcd2", vec!["https://10.0.0.2:2380".to_owned()])
        );
    });
}

#[test]
fn leadership_moves_and_no_write_is_lost_on_the_way() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let old = etcd.leader().unwrap();
            let target = follower(&etcd);
            let id = id_of(&etcd, &target);
            let wrong = etcd.client_of_member("etcdctl", &target).move_leader(id).await;
            assert_eq!(wrong, Err(EtcdError::NotLeader));
            let client = etcd.client_of_member("etcdctl", &old);
            assert_eq!(client.move_leader(7).await, Err(EtcdError::BadLeaderTransferee));
            let writer = etcd.client_of_member("etcdctl", &target);
            let began = world.clock().elapsed();
            let (written, moved) = tokio::join!(biased; put(&writer, "k", "v"), client.move_leader(id));
            moved.unwrap();
            written.unwrap();
            let took = world.clock().elapsed() - began;
            assert!(took <= Duration::from_millis(100), "seed {seed}: {took:?}, not an election timeout");
            assert_eq!(etcd.leader(), Some(target), "seed {seed}");
            assert_eq!(get(&client, "k").await, Ok(Some("v".to_owned())));
            let terms: BTreeSet<u64> = etcd.members().iter().map(|member| member.term).collect();
            assert_eq!(terms, BTreeSet::from([3]), "one election did it");
        });
    }
}

#[test]
fn history_is_compacted_by_itself_by_age_or_by_number() {
    let run = |auto_compaction, wait: u64| {
        virtually(3, |world| async move {
            let config =
                EtcdConfig { members: 3, auto_compaction: Some(auto_compaction), ..EtcdConfig::default() };
            let etcd = Etcd::boot(&world, config).await;
            let client = etcd.client("etcdctl");
            for number in 0..120 {
                put(&client, "k", &number.to_string()).await.unwrap();
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            tokio::time::sleep(Duration::from_secs(wait)).await;
            let mut oldest = 0;
            for revision in 1..=121 {
                let read = RangeRequest { revision, ..RangeRequest::key("k") };
                if client.range(read).await.is_ok() {
                    oldest = revision;
                    break;
                }
            }
            oldest
        })
    };
    // Ten minutes of a write every five seconds: at the end the last five minutes are kept, give or take a look.
    let oldest = run(labkit_etcd::AutoCompaction::Periodic(Duration::from_secs(300)), 0);
    assert!((50..=66).contains(&oldest), "{oldest}");
    let oldest = run(labkit_etcd::AutoCompaction::Revision(20), 1);
    assert_eq!(oldest, 101);
}

#[test]
fn leadership_does_not_move_to_who_cannot_take_it_and_writes_go_on() {
    virtually(4, |world| async move {
        let etcd = boot(&world, 3).await;
        let old = etcd.leader().unwrap();
        let target = follower(&etcd);
        let id = id_of(&etcd, &target);
        etcd.pause(&target).unwrap();
        let client = etcd.client_of_member("etcdctl", &old);
        let writer = etcd.client_of_member("etcdctl", &old);
        let moving = client.move_leader(id);
        let (moved, written) = tokio::join!(biased; moving, put(&writer, "k", "v"));
        assert!(moved.is_err(), "{moved:?}");
        written.unwrap();
        assert_eq!(etcd.leader(), Some(old));
    });
}

#[test]
fn leadership_moves_back_and_forth_while_messages_are_late() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let delay = labkit_sim::Rule::Delay { from: None, to: None, by: Duration::from_millis(7) };
            world.network().add(delay);
            for number in 0..10 {
                let old = etcd.leader().unwrap();
                let target = follower(&etcd);
                let writer = etcd.client_of_member("etcdctl", &target);
                let client = etcd.client_of_member("etcdctl", &old);
                let key = format!("k{number}");
                let (written, moved) =
                    tokio::join!(biased; put(&writer, &key, "v"), client.move_leader(id_of(&etcd, &target)));
                moved.unwrap();
                written.unwrap();
                assert_eq!(etcd.leader(), Some(target), "seed {seed}");
                tokio::time::sleep(Duration::from_millis(300)).await;
                for member in ["etcd1", "etcd2", "etcd3"] {
                    assert_eq!(get_stale(&etcd, member, &key).await.as_deref(), Some("v"), "seed {seed}");
                }
            }
        });
    }
}

#[test]
fn a_full_store_takes_no_values_until_it_is_compacted_defragmented_and_disarmed() {
    virtually(6, |world| async move {
        let config = EtcdConfig { members: 3, quota_backend_bytes: 200_000, ..EtcdConfig::default() };
        let etcd = Etcd::boot(&world, config).await;
        let client = etcd.client_of_member("etcdctl", "etcd1");
        let large = "x".repeat(50_000);
        let mut revision = 1;
        let error = loop {
            match put(&client, "k", &large).await {
                Ok(written) => revision = written,
                Err(error) => break error,
            }
        };
        assert_eq!(error, EtcdError::NoSpace);
        let alarm = Alarm { member_id: id_of(&etcd, "etcd1"), kind: AlarmKind::NoSpace };
        let list = AlarmRequest::List { member_id: 0, kind: None };
        assert_eq!(client.alarm(list).await.unwrap().alarms, [alarm]);
        let other = etcd.client_of_member("etcdctl", "etcd2");
        assert_eq!(put(&other, "small", "v").await, Err(EtcdError::NoSpace), "at every member");
        let txn =
            TxnRequest { success: vec![RequestOp::Put(PutRequest::new("a", "b"))], ..TxnRequest::default() };
        assert_eq!(other.txn(txn).await, Err(EtcdError::NoSpace));
        assert_eq!(other.status().await.unwrap().errors, [alarm.to_string()]);
        assert!(get(&other, "k").await.unwrap().is_some(), "reads go on");
        other.delete_range(DeleteRangeRequest::key("nothing")).await.unwrap();
        client.compact(revision).await.unwrap();
        let before = client.status().await.unwrap();
        assert!(before.db_size > before.db_size_in_use, "a file does not shrink by itself");
        for member in ["etcd1", "etcd2", "etcd3"] {
            etcd.client_of_member("etcdctl", member).defragment().await.unwrap();
        }
        let after = client.status().await.unwrap();
        assert_eq!(after.db_size, after.db_size_in_use);
        assert_eq!(put(&client, "k", "v").await, Err(EtcdError::NoSpace), "the alarm stands until disarmed");
        let disarm = AlarmRequest::Disarm { member_id: 0, kind: None };
        assert_eq!(client.alarm(disarm).await.unwrap().alarms, [alarm]);
        assert!(put(&client, "k", "v").await.is_ok());
    });
}

#[test]
fn members_that_hold_the_same_have_the_same_hash() {
    virtually(7, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        for n in 0..10 {
            put(&client, &format!("k{}", n % 3), "v").await.unwrap();
        }
        client.delete_range(DeleteRangeRequest::key("k1")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut hashes = BTreeSet::new();
        for member in ["etcd1", "etcd2", "etcd3"] {
            hashes.insert(etcd.client_of_member("etcdctl", member).hash_kv(0).await.unwrap().hash);
        }
        assert_eq!(hashes.len(), 1);
        assert_eq!(client.hash_kv(99).await, Err(EtcdError::FutureRevision));
        assert!(!hashes.contains(&client.hash_kv(5).await.unwrap().hash));
    });
}

#[test]
fn a_full_disk_ends_the_member_and_the_others_go_on() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let client = etcd.client("apiserver").with_deadline(Duration::from_secs(20));
            let full = if seed % 2 == 0 { etcd.leader().unwrap() } else { follower(&etcd) };
            world.disk(&full).set_full(true);
            while put(&client, "k", "v").await.is_err() {}
            let status = etcd.members().into_iter().find(|member| member.name == full).unwrap();
            assert_eq!(status.state, ComponentState::Killed, "seed {seed}");
            let records = world.trace().records();
            let exit = records.iter().find(|record| record.payload.kind() == "Exit").unwrap();
            let reason = exit.payload.fields()["reason"].as_str().unwrap().to_owned();
            assert!(reason.contains("no space left on device"), "{reason}");
            world.disk(&full).set_full(false);
            etcd.start(&full).await.unwrap();
            assert_eq!(get(&etcd.client_of_member("etcdctl", &full), "k").await, Ok(Some("v".to_owned())));
        });
    }
}

#[test]
fn a_flipped_byte_keeps_the_member_down_until_it_is_mended() {
    virtually(3, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("apiserver").with_deadline(Duration::from_secs(20));
        for n in 0..20 {
            put(&client, "k", &n.to_string()).await.unwrap();
        }
        let victim = follower(&etcd);
        let (file, offset) = etcd.corrupt_log(&victim).unwrap();
        put(&client, "k", "while it runs, nothing is read from its disk").await.unwrap();
        etcd.kill(&victim).await.unwrap();
        etcd.start(&victim).await.unwrap();
        let state = || etcd.members().into_iter().find(|member| member.name == victim).unwrap().state;
        assert_eq!(state(), ComponentState::Killed);
        assert!(etcd.why_not_started(&victim).unwrap().contains("corrupt at byte"));
        let records = world.trace().records();
        let exit = records.iter().rfind(|record| record.payload.kind() == "Exit").unwrap();
        let reason = exit.payload.fields()["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with(&format!("{file}: corrupt at byte ")), "{reason}");
        put(&client, "k", "last").await.unwrap();
        assert!(world.disk(&victim).corrupt(&file, offset));
        etcd.start(&victim).await.unwrap();
        assert_eq!(get(&etcd.client_of_member("etcdctl", &victim), "k").await, Ok(Some("last".to_owned())));
    });
}

#[test]
fn a_record_that_a_loss_of_power_tears_is_cut_off_and_told() {
    let mut repaired = 0;
    for seed in seeds() {
        repaired += virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let client = etcd.client("apiserver").with_deadline(Duration::from_secs(20));
            let victim = follower(&etcd);
            put(&client, "k", "1").await.unwrap();
            world.disk(&victim).set_sync_delay(Duration::from_millis(50));
            put(&client, "k", "2").await.unwrap();
            etcd.power_off(&victim).await.unwrap();
            put(&client, "k", "3").await.unwrap();
            etcd.start(&victim).await.unwrap();
            assert_eq!(get(&etcd.client_of_member("etcdctl", &victim), "k").await, Ok(Some("3".to_owned())));
            world.trace().records().iter().filter(|record| record.payload.kind() == "Repair").count()
        });
    }
    assert!(repaired > 0);
}
