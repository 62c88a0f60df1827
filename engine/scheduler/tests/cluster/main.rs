//! Schedulers under a real API server on a real store, in virtual time. Nodes are objects without kubelets.

mod lab;

use std::time::Duration;

use labkit_scheduler::SchedulerConfig;
use labkit_sim::Payload;
use serde_json::json;

use crate::lab::Lab;

#[test]
fn a_pod_is_bound_and_the_decision_is_told() {
    lab::run(1, |lab: Lab| async move {
        lab.node("n1", json!({})).await;
        lab.node("n2", json!({"status": {"allocatable": {"cpu": "8", "memory": "16Gi"}}})).await;
        lab.scheduler(0, lab.alone());
        tokio::time::sleep(Duration::from_secs(1)).await;
        lab.pod("web", json!({})).await;
        lab.until_bound("web").await;
        let decision = lab.decision("web").unwrap();
        assert_eq!(decision.chosen.as_deref(), Some("n2"), "the larger one stays the emptier one");
        let totals: Vec<(String, i64)> =
            decision.nodes.iter().map(|node| (node.node.clone(), node.total)).collect();
        assert_eq!(totals, [("n1".to_owned(), 497), ("n2".to_owned(), 498)]);
        let records = lab.world.trace().records();
        let record = records.iter().find(|record| record.payload.kind() == "Schedule").unwrap();
        assert_eq!((&*record.from, &*record.to), ("scheduler/0", "scheduler/0"));
        let payload: &dyn Payload = &*record.payload;
        assert_eq!(payload.fields()["chosen"], "n2");
        assert_eq!(payload.fields()["scores"]["n1"]["plugins"][0]["plugin"], "TaintToleration");
        let cause = records.iter().find(|cause| Some(cause.id) == record.cause).unwrap();
        assert_eq!(cause.payload.kind(), "ADDED", "the pod's arrival caused it");
        assert_eq!(lab.events("web").await, ["Scheduled: Successfully assigned default/web to n2"]);
    });
}

#[test]
fn without_nodes_a_pod_waits_and_is_tried_again_ever_more_slowly() {
    lab::run(1, |lab: Lab| async move {
        lab.scheduler(0, lab.alone());
        lab.pod("web", json!({})).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(lab.events("web").await, ["FailedScheduling: no nodes available to schedule pods"]);
        let tries: Vec<u64> = lab.records("Schedule").iter().map(|record| record.at.as_secs()).collect();
        let waits: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        lab.node("n1", json!({})).await;
        lab.until_bound("web").await;
    });
}

#[test]
fn a_scheduler_that_was_stopped_catches_up_at_once() {
    lab::run(1, |lab: Lab| async move {
        lab.node("n1", json!({})).await;
        let scheduler = lab.scheduler(0, lab.alone());
        scheduler.kill().await;
        lab.pod("web", json!({})).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(lab.events("web").await, [""; 0]);
        lab.scheduler(0, lab.alone());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(lab.bound_to("web").await.as_deref(), Some("n1"));
    });
}

#[test]
fn pods_in_a_burst_are_spread_although_no_binding_has_arrived_yet() {
    lab::run(1, |lab: Lab| async move {
        for name in ["n1", "n2", "n3"] {
            lab.node(name, json!({})).await;
        }
        for number in 0..6 {
            lab.pod(&format!("web{number}"), json!({"resources": {"requests": {"cpu": "2"}}})).await;
        }
        lab.scheduler(0, lab.alone());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut per_node = std::collections::BTreeMap::new();
        for number in 0..6 {
            *per_node.entry(lab.bound_to(&format!("web{number}")).await.unwrap()).or_insert(0) += 1;
        }
        assert_eq!(per_node.into_values().collect::<Vec<_>>(), [2, 2, 2]);
    });
}

#[test]
fn a_pod_that_another_bound_first_is_left_alone() {
    lab::run(1, |lab: Lab| async move {
        lab.node("n1", json!({})).await;
        lab.scheduler(0, lab.alone());
        lab.scheduler(1, lab.alone());
        lab.pod("web", json!({})).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(lab.bound_to("web").await.as_deref(), Some("n1"));
        assert_eq!(lab.records("201 Created").iter().filter(|record| lab::is_binding(record)).count(), 1);
        assert_eq!(lab.records("409 Conflict").iter().filter(|record| lab::is_binding(record)).count(), 1);
        assert_eq!(lab.records("Schedule").len(), 2, "neither tries again");
    });
}

#[test]
fn of_two_schedulers_only_the_leader_acts_and_the_other_takes_over() {
    lab::run(1, |lab: Lab| async move {
        lab.node("n1", json!({})).await;
        let config =
            |identity: &str| SchedulerConfig { identity: identity.to_owned(), ..SchedulerConfig::default() };
        let first = lab.scheduler(0, config("master1_a"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        lab.scheduler(1, config("master2_b"));
        lab.pod("a", json!({})).await;
        lab.until_bound("a").await;
        assert_eq!(lab.leader().await, "master1_a");
        first.kill().await;
        let killed = lab.world.clock().elapsed();
        lab.pod("b", json!({})).await;
        lab.until_bound("b").await;
        assert_eq!(lab.leader().await, "master2_b");
        let took = (lab.world.clock().elapsed() - killed).as_secs();
        assert!((10..=20).contains(&took), "{took} s");
        let from: Vec<String> =
            lab.records("Schedule").iter().map(|record| record.from.to_string()).collect();
        assert_eq!(from, ["scheduler/0", "scheduler/1"]);
    });
}
