//! Watches: order, history, causes, and going on at another member.

use std::time::Duration;

use labkit_etcd::{EventKind, WatchRequest, WatchResponse, Watcher};

use super::*;

/// The next response with events.
async fn events(watcher: &mut Watcher) -> WatchResponse {
    loop {
        let response = watcher.next().await.unwrap().unwrap();
        if !response.events.is_empty() {
            return response;
        }
    }
}

fn text(response: &WatchResponse) -> Vec<String> {
    let event = |event: &labkit_etcd::Event| {
        let kind = if event.kind == EventKind::Put { "PUT" } else { "DELETE" };
        let (key, value) = (String::from_utf8_lossy(&event.kv.key), String::from_utf8_lossy(&event.kv.value));
        format!("{kind} {key} {value} @{}", event.kv.mod_revision)
    };
    response.events.iter().map(event).collect()
}

#[test]
fn a_watch_tells_what_happens_from_now_on() {
    virtually(1, |world| async move {
        let etcd = boot(&world, 3).await;
        let client = etcd.client("etcdctl");
        put(&client, "a/1", "before").await.unwrap();
        let mut watcher =
            client.watch(WatchRequest { prev_kv: true, ..WatchRequest::prefix("a/") }).await.unwrap();
        let created = watcher.next().await.unwrap().unwrap();
        assert!(created.created && created.events.is_empty());
        put(&client, "b", "elsewhere").await.unwrap();
        put(&client, "a/1", "after").await.unwrap();
        let put = events(&mut watcher).await;
        assert_eq!(text(&put), ["PUT a/1 after @4"]);
        assert_eq!(put.events[0].prev_kv.as_ref().unwrap().value, "before");
        client.delete_range(labkit_etcd::DeleteRangeRequest::prefix("a/")).await.unwrap();
        assert_eq!(text(&events(&mut watcher).await), ["DELETE a/1  @5"]);
    });
}

#[test]
fn a_watch_from_a_revision_replays_the_past_and_then_goes_on() {
    virtually(2, |world| async move {
        let etcd = boot(&world, 1).await;
        let client = etcd.client("etcdctl");
        for value in ["1", "2", "3"] {
            put(&client, "k", value).await.unwrap();
        }
        let mut watcher =
            client.watch(WatchRequest { start_revision: 3, ..WatchRequest::key("k") }).await.unwrap();
        put(&client, "k", "4").await.unwrap();
        for expected in ["PUT k 2 @3", "PUT k 3 @4", "PUT k 4 @5"] {
            assert_eq!(text(&events(&mut watcher).await), [expected]);
        }
    });
}

#[test]
fn a_watch_of_a_compacted_revision_is_canceled() {
    virtually(3, |world| async move {
        let etcd = boot(&world, 1).await;
        let client = etcd.client("etcdctl");
        for value in ["1", "2", "3", "4"] {
            put(&client, "k", value).await.unwrap();
        }
        client.compact(4).await.unwrap();
        assert_eq!(client.compact(3).await, Err(EtcdError::Compacted));
        assert_eq!(client.compact(99).await, Err(EtcdError::FutureRevision));
        let mut watcher =
            client.watch(WatchRequest { start_revision: 2, ..WatchRequest::key("k") }).await.unwrap();
        assert!(watcher.next().await.unwrap().unwrap().created);
        let canceled = watcher.next().await.unwrap().unwrap();
        assert!(canceled.canceled);
        assert_eq!(canceled.compact_revision, 4);
        assert!(watcher.next().await.is_none());
        let mut watcher =
            client.watch(WatchRequest { start_revision: 4, ..WatchRequest::key("k") }).await.unwrap();
        assert_eq!(text(&events(&mut watcher).await), ["PUT k 3 @4"]);
    });
}

#[test]
fn an_event_names_the_record_that_led_to_it() {
    virtually(4, |world| async move {
        let etcd = boot(&world, 3).await;
        let at_follower = follower(&etcd);
        let mut watcher =
            etcd.client_of_member("apiserver", &at_follower).watch(WatchRequest::key("k")).await.unwrap();
        put(&etcd.client_of_member("etcdctl", &etcd.leader().unwrap()), "k", "v").await.unwrap();
        let event = events(&mut watcher).await.events.remove(0);
        let records = world.trace().records();
        let cause = records.iter().find(|record| Some(record.id) == event.cause).unwrap();
        assert_eq!((cause.payload.kind(), &*cause.from), ("Put", "etcdctl"));
    });
}

#[test]
fn a_watch_goes_on_at_another_member_without_a_gap() {
    for seed in seeds() {
        virtually(seed, |world| async move {
            let etcd = boot(&world, 3).await;
            let watcher = etcd.client("apiserver");
            let mut watcher = watcher.watch(WatchRequest::prefix("k")).await.unwrap();
            let client = etcd.client("etcdctl").with_deadline(Duration::from_secs(20));
            let writer = client.clone();
            let killer = etcd.clone();
            let writing = labkit_sim::spawn(async move {
                let mut written = Vec::new();
                for n in 0..60 {
                    if n == 20 || n == 40 {
                        killer.start("etcd2").await.unwrap();
                        killer.kill(if n == 20 { "etcd1" } else { "etcd2" }).await.unwrap();
                        killer.start("etcd1").await.unwrap();
                    }
                    written.extend(put(&writer, &format!("k{n}"), "v").await.ok());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                written
            });
            let written = writing.await.unwrap();
            let mut seen = Vec::new();
            while seen.last() != written.last() {
                seen.extend(events(&mut watcher).await.events.iter().map(|event| event.kv.mod_revision));
            }
            assert!(
                seen.windows(2).all(|pair| pair[0] < pair[1]),
                "seed {seed}: in order, none twice: {seen:?}"
            );
            assert!(written.iter().all(|revision| seen.contains(revision)), "seed {seed}: none missing");
        });
    }
}
