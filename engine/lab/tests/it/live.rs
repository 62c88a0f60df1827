//! Live play, in wall pace and fast-forwarded: checks answer at once, hints come one by one, and what was
//! played grades to the same marks when it is replayed.

use std::time::Duration;

use labkit_api::{Object, Resource};
use labkit_cluster::Cluster;
use labkit_cluster::etcd::PutRequest;
use labkit_lab::span::Span;
use labkit_lab::{GradeOptions, LabFolder, Report, Session, Submission, Verdict, grade};
use labkit_sim::{Pace, run};
use serde_json::{Value, json};

use crate::lab;

async fn begin(world: &labkit_sim::World, lab: &LabFolder, seed: u64) -> Session {
    let cluster = Cluster::boot(world, &lab.lab.cluster).await.unwrap();
    Session::start(lab.clone(), cluster, seed).await
}

fn verdicts(report: &Report) -> Vec<(String, Verdict)> {
    report.checks().map(|(_, check)| (check.id.clone(), check.verdict)).collect()
}

fn replayed(lab: &LabFolder, submission: &Submission, seed: u64) -> Report {
    grade(lab, submission, &GradeOptions { seed, submission: "exported".into(), ..GradeOptions::default() })
}

fn resource(kind: &str) -> Resource {
    labkit_cluster::resources().into_iter().find(|resource| resource.gvk.kind == kind).unwrap()
}

#[test]
fn a_live_session_grades_to_the_same_marks_when_it_is_exported() {
    let lab = lab("session-2/kill-the-leader");
    let (live, submission) = run(Pace::Wall, 3, |world| {
        let lab = lab.clone();
        async move {
            let session = begin(&world, &lab, 3).await;
            let first = session.check().await;
            assert!(!first.passed());
            assert!(
                first.checks().all(|(_, check)| check.verdict != Verdict::Failed),
                "{:?}",
                verdicts(&first)
            );

            session.fast_forward(Span::seconds(9)).await.unwrap();
            let etcdctl = session.cluster().etcd_client("etcdctl");
            etcdctl.put(PutRequest::new("note", "the leader \"died\"")).await.unwrap();
            session.fast_forward(Span::seconds(5)).await.unwrap();

            let leader = session.cluster().etcd().leader().unwrap();
            let outage = session.check().await.tables.loads["writer"]["outageMs"].as_u64().unwrap();
            session.answer("leader", json!(leader)).unwrap();
            session.answer("outage", json!(format!("{outage}ms"))).unwrap();
            session.answer("term", json!(99)).unwrap();
            assert!(session.answer("leder", json!("x")).unwrap_err().en.contains("`leader`"));
            (session.check().await, session.export().await)
        }
    });
    assert_eq!(live.failed(), ["survive/new-term"]);
    assert_eq!(submission.observed.get("term"), None, "a file of the student's never tells the right answer");
    let commands: Vec<Value> =
        submission.steps.iter().map(|step| serde_json::to_value(step).unwrap()).collect();
    assert!(
        commands.iter().any(|step| step["etcdctl"] == r#"put -- note "the leader \"died\"""#),
        "{commands:?}"
    );
    let replayed = replayed(&lab, &submission, 3);
    assert_eq!((replayed.points, replayed.failed()), (live.points, live.failed()));
}

#[test]
fn what_kubectl_did_is_exported_as_steps() {
    let lab = lab("session-1/follow-one-pod");
    let (live, submission) = run(Pace::Wall, 1, |world| {
        let lab = lab.clone();
        async move {
            let session = begin(&world, &lab, 1).await;
            let kubectl = session.cluster().client("kubectl").unwrap();
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default", "labels": {"run": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx"}]}
            });
            kubectl.create(&resource("Pod"), &Object::from_value(pod).unwrap()).await.unwrap();
            session.fast_forward(Span::seconds(20)).await.unwrap();
            session.answer("order", json!(["kubectl", "scheduler", "kubelet"])).unwrap();
            // The recorder reads the trace in the background.
            tokio::time::sleep(Duration::from_millis(50)).await;
            (session.check().await, session.export().await)
        }
    });
    let step = submission.steps.iter().find(|step| step.create.is_some()).expect("the pod was created");
    let manifest = serde_json::to_value(step).unwrap();
    assert_eq!(manifest["create"]["manifest"]["metadata"]["name"], "web");
    assert_eq!(manifest["create"]["manifest"]["metadata"].get("uid"), None);
    let replayed = replayed(&lab, &submission, 1);
    assert_eq!(replayed.points, live.points, "{}", replayed.to_json());
}

#[test]
fn hints_come_one_by_one_and_faults_of_ones_own_are_exported() {
    let lab = lab("session-2/kill-the-leader");
    run(Pace::Wall, 1, |world| async move {
        let session = begin(&world, &lab, 1).await;
        session.answer("leader", json!("nobody")).unwrap();
        session.fast_forward(Span::seconds(13)).await.unwrap();
        assert!(session.check().await.failed().contains(&"survive/new-leader".to_owned()));
        let first = session.hint();
        assert_eq!((first.given.len(), first.left), (1, 2));
        assert!(first.given[0].text.en.contains("IS LEADER"), "the hint for what failed comes first");
        assert_eq!(session.hint().given.len(), 2);
        assert_eq!(session.hint().given.len(), 3);
        assert_eq!(session.hint().left, 0);

        let fault = serde_json::from_value(json!({"id": "", "kill": "etcd/leader"})).unwrap();
        assert!(session.fault(fault).await.unwrap().starts_with("kill etcd/etcd"));
        session.heal("live-1").await.unwrap();
        let steps = session.export().await.steps;
        assert!(
            steps.iter().any(|step| step.fault.is_some()) && steps.iter().any(|step| step.heal.is_some())
        );
    });
}

/// A question whose right answer changes with every write, then something to wait for.
fn asks() -> LabFolder {
    let revision = "{id: revision, title: {en: r, ko: r}, points: 1, live: true, answer: {id: revision, equals: etcd.revision}}";
    let late = "{id: late, title: {en: l, ko: l}, points: 1, cel: \"elapsed > 30.0\"}";
    let tasks = format!("\n  - id: one\n    checks: [{revision}]\n  - id: two\n    checks: [{late}]");
    crate::made("{etcd: {members: 1}}", " []", &tasks, " []")
}

#[test]
fn what_passed_counts_when_it_is_handed_in_whatever_came_later() {
    let lab = asks();
    let (live, submission) = run(Pace::Wall, 1, |world| {
        let lab = lab.clone();
        async move {
            let session = begin(&world, &lab, 1).await;
            let etcdctl = session.cluster().etcd_client("etcdctl");
            let written = etcdctl.put(PutRequest::new("a", "x")).await.unwrap();
            session.answer("revision", json!(written.header.revision)).unwrap();
            assert_eq!((session.check().await.points, session.task().id.as_str()), (1, "two"));
            // The answer would be wrong by now, and another one was never asked for.
            etcdctl.put(PutRequest::new("b", "x")).await.unwrap();
            session.answer("revision", json!(99)).unwrap();
            session.fast_forward(Span::seconds(20)).await.unwrap();
            // What the present task takes by itself is a part of what was done.
            session.cluster().world().clock().fast_forward(Duration::from_secs(20)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            (session.check().await, session.export().await)
        }
    });
    assert_eq!(live.points, 2, "{:?}", verdicts(&live));
    assert_eq!(submission.answers["revision"], submission.observed["revision"], "{submission:?}");
    let replayed = replayed(&lab, &submission, 1);
    assert_eq!(replayed.points, 2, "{:?} {:?}", verdicts(&replayed), submission.steps);
}

/// One key that must stay for a time, then another.
fn keeps() -> LabFolder {
    let check = |id: &str, timing: &str, key: &str| {
        format!(
            "{{id: {id}, title: {{en: {id}, ko: {id}}}, points: 1, {timing}etcd: {{keys: [{{key: {key}, value: x}}]}}}}"
        )
    };
    let (once, kept) = (check("once", "", "a"), check("kept", "always: 60s, ", "b"));
    let tasks = format!(
        "\n  - id: one\n    checks: [{once}, {kept}]\n  - id: two\n    checks: [{}]\n  - id: three\n    checks: [{}]",
        check("then", "", "c"),
        check("last", "", "d"),
    );
    crate::made("{etcd: {members: 1}}", " [{etcdctl: put b x}]", &tasks, " []")
}

#[test]
fn what_passed_stays_passed_unless_the_lab_says_always() {
    run(Pace::Wall, 1, |world| async move {
        let session = begin(&world, &keeps(), 1).await;
        let etcdctl = session.cluster().etcd_client("etcdctl");
        etcdctl.put(PutRequest::new("a", "x")).await.unwrap();
        assert_eq!(session.check().await.points, 2);
        assert_eq!(session.task().id, "two");
        etcdctl.put(PutRequest::new("a", "y")).await.unwrap();
        session.fast_forward(Span::seconds(1)).await.unwrap();
        assert_eq!(session.check().await.points, 2, "what was done once is done");
        etcdctl.put(PutRequest::new("b", "y")).await.unwrap();
        session.fast_forward(Span::seconds(1)).await.unwrap();
        let broken = session.check().await;
        assert_eq!((broken.points, broken.failed()), (1, vec!["one/kept".to_owned(), "two/then".to_owned()]));
        etcdctl.put(PutRequest::new("b", "x")).await.unwrap();
        assert_eq!(session.check().await.points, 1, "a broken promise is not mended");
    });
    run(Pace::Wall, 1, |world| async move {
        let session = begin(&world, &keeps(), 1).await;
        let etcdctl = session.cluster().etcd_client("etcdctl");
        etcdctl.put(PutRequest::new("a", "x")).await.unwrap();
        assert_eq!(session.check().await.points, 2);
        session.fast_forward(Span::seconds(61)).await.unwrap();
        etcdctl.put(PutRequest::new("b", "y")).await.unwrap();
        session.fast_forward(Span::seconds(1)).await.unwrap();
        assert_eq!(session.check().await.points, 2, "its time was over");
    });
}

#[test]
fn a_snapshot_is_come_back_to() {
    let lab = keeps();
    let digest = lab.digest();
    let (before, snapshot) = run(Pace::Wall, 1, |world| {
        let lab = lab.clone();
        async move {
            let session = begin(&world, &lab, 1).await;
            let etcdctl = session.cluster().etcd_client("etcdctl");
            etcdctl.put(PutRequest::new("a", "x")).await.unwrap();
            session.fast_forward(Span::seconds(90)).await.unwrap();
            assert_eq!(session.check().await.points, 2);
            etcdctl.put(PutRequest::new("c", "x")).await.unwrap();
            session.fast_forward(Span::seconds(1)).await.unwrap();
            session.check().await;
            assert_eq!(session.task().id, "three");
            (session.check().await, session.snapshot(digest))
        }
    });
    let snapshot: labkit_lab::Snapshot =
        serde_json::from_str(&serde_json::to_string(&snapshot).unwrap()).unwrap();
    assert!(snapshot.at_ms >= 91_000, "{}", snapshot.at_ms);
    run(Pace::Wall, 2, |world| async move {
        let session = begin(&world, &lab, snapshot.seed).await;
        assert_eq!(session.restore(&snapshot).await, Vec::<String>::new());
        assert_eq!(session.task().id, "three");
        let after = session.check().await;
        assert_eq!((after.points, verdicts(&after)), (before.points, verdicts(&before)));
        assert!(after.virtual_ms >= 91_000, "{}", after.virtual_ms);
        // What was done is known, and goes on from there.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let again = session.snapshot(digest);
        assert_eq!(again.steps(), snapshot.steps());
        session.cluster().etcd_client("etcdctl").put(PutRequest::new("d", "x")).await.unwrap();
        assert_eq!(session.check().await.points, 4);
    });
}
