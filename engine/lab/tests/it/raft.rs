//! The store in slow motion: each message by itself, and no time but what is asked for.

use std::time::Duration;

use labkit_cluster::{Cluster, RaftView};
use labkit_lab::steps::Raft;
use labkit_lab::{GradeOptions, Session, grade};
use labkit_sim::{Pace, run};

use crate::{graded, made};

const TASKS: &str = "
  - id: one
    checks:
      - {id: written, title: {en: W, ko: 쓰}, points: 1, etcd: {keys: [{key: a, value: '1'}]}}
      - {id: same, title: {en: S, ko: 같}, points: 1, cel: 'etcd.term == etcd.termAtTaskStart'}";

const STEPS: &str = "
  - raft: {deliver: 1}
  - raft: hold
  - raft: hold
  - etcdctl: put a 1
  - raft: {deliver: 1}
  - raft: {deliver: 1}
  - raft: {deliver: 2}
  - raft: release";

#[test]
fn a_put_is_seen_message_by_message_while_no_time_passes() {
    let report = graded("{etcd: {members: 3}}", " []", TASKS, STEPS);
    assert!(report.passed(), "{:#?}", report.steps);
    let steps = &report.steps;
    assert!(steps.iter().all(|step| step.at_ms == steps[0].at_ms), "{steps:#?}");
    let error = |index: usize| steps[index].error.clone().unwrap_or_default();
    assert!(error(0).contains("are not held; `raft: hold`"), "{}", error(0));
    assert!(error(2).contains("held already"), "{}", error(2));
    assert_eq!(steps[3].output, "OK", "the answer that came later is in the report");
    let arrived = |index: usize| steps[index].output.lines().next().unwrap_or_default().to_owned();
    let standing = |index: usize| {
        let lines = steps[index].output.lines().filter(|line| line.starts_with("  etcd"));
        lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    // The client may be with a follower, which asks the leader first.
    let first = if arrived(4).contains(": Propose ") { 5 } else { 4 };
    assert!(arrived(first).contains(": AppendEntries term=2 prevIndex="), "{}", arrived(first));
    assert!(arrived(first).contains(" entries=1 "), "{}", arrived(first));
    let members = standing(first);
    let with_the_entry = members.iter().filter(|member| member.contains("last=2")).count();
    assert_eq!((members.len(), with_the_entry), (3, 2), "{members:?}");
    assert!(members.iter().all(|member| member.contains("commit=1 applied=1")), "{members:?}");
    assert!(members.iter().any(|member| member.contains(" leader term=2 last=2 ")), "{members:?}");
    assert!(
        standing(7).iter().all(|member| member.contains("last=2 commit=2 applied=2")),
        "{:?}",
        standing(7)
    );

    let again = graded("{etcd: {members: 3}}", " []", TASKS, STEPS);
    assert_eq!(report.to_json(), again.to_json());
}

#[test]
fn nobody_is_elected_in_slow_motion_before_time_is_made_to_pass_and_votes_are_delivered() {
    let steps = "
  - raft: hold
  - fault: {id: crash, kill: etcd/leader}
  - raft: {deliver: 1}
  - wait: 2500ms
  - raft: {deliver: 20}
  - wait: 500ms
  - raft: release
  - wait: 5s
  - heal: crash";
    let tasks =
        TASKS.replace("etcd: {keys: [{key: a, value: '1'}]}", "etcd: {termGrew: true, leaderChanged: true}");
    let report = graded("{etcd: {members: 3}}", " []", &tasks, steps);
    let steps = &report.steps;
    assert!(steps[2].error.as_deref().unwrap().contains("no message is on the way"), "{:?}", steps[2]);
    let told = &steps[4].output;
    assert!(told.contains(": PreVote term=3 lastIndex="), "{told}");
    assert!(told.contains(": PreVoteResponse term=3 granted=true"), "{told}");
    assert!(told.contains(": Vote term=3 ") && told.contains(": VoteResponse term=3 granted=true"), "{told}");
    assert!(told.contains(" candidate term=3 ") && told.contains(" leader term=3 "), "{told}");
    assert!(report.checks().any(|(_, check)| check.id == "written" && check.points == 1), "{report:#?}");
}

#[test]
fn what_is_wrong_with_a_slow_motion_is_said() {
    let alone = graded(
        "{etcd: {members: 1}}",
        " []",
        TASKS,
        "\n  - raft: hold\n  - etcdctl: put a 1\n  - raft: {deliver: 1}\n  - raft: release\n  - raft: release",
    );
    assert!(alone.passed(), "a lone member sends nothing: {:#?}", alone.steps);
    let errors: Vec<String> = alone.steps.iter().filter_map(|step| step.error.clone()).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    for (wrong, told) in
        [("faster", "want hold, release"), ("{deliver: 0}", "at least one"), ("{count: 1}", "count")]
    {
        let step: Result<Raft, _> = serde_yaml::from_str(wrong);
        assert!(step.unwrap_err().to_string().contains(told), "{wrong}");
    }
}

#[test]
fn a_live_lab_is_in_slow_motion_with_its_clock_stopped_and_replays_the_same() {
    let lab = made("{etcd: {members: 3}}", " []", TASKS, " []");
    let (submission, passed) = run(Pace::Wall, 5, |world| {
        let lab = lab.clone();
        async move {
            let cluster = Cluster::boot(&world, &lab.lab.cluster).await.unwrap();
            let session = Session::start(lab, cluster, 5).await;
            let view: RaftView = session.raft(Raft::Hold).await.unwrap();
            assert!(view.held && view.waiting.is_empty() && world.clock().is_frozen());
            assert!(session.raft(Raft::Hold).await.unwrap_err().contains("held already"));
            let began = world.clock().elapsed();

            let client = session.cluster().etcd_client("etcdctl");
            let put = labkit_sim::spawn(async move {
                client.put(labkit_cluster::etcd::PutRequest::new("a", "1")).await.map(drop)
            });
            world.settle().await;
            let mut delivered = 0;
            while !put.is_finished() {
                let view = session.raft(Raft::Deliver(1)).await.unwrap();
                assert_eq!(view.delivered.len(), 1);
                delivered += 1;
                assert!(delivered < 12, "{view:#?}");
            }
            put.await.unwrap().unwrap();
            assert!(delivered >= 2, "{delivered}");
            assert_eq!(world.clock().elapsed(), began, "time stood");
            let view = session.raft(Raft::Release).await.unwrap();
            assert!(!view.held && !world.clock().is_frozen());
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(world.clock().elapsed() > began);
            (session.export().await, session.check().await.passed())
        }
    });
    assert!(passed);
    let verbs: Vec<bool> =
        submission.steps.iter().filter(|s| s.wait.is_none()).map(|s| s.raft.is_some()).collect();
    assert!(
        verbs.len() > 4 && verbs[0] && !verbs[1] && verbs[2..].iter().all(|raft| *raft),
        "{submission:#?}"
    );
    let options = GradeOptions { seed: 5, ..GradeOptions::default() };
    let replayed = grade(&lab, &submission, &options);
    assert!(replayed.passed(), "{:#?}", replayed.steps);
}
