//! When checks are judged, and when faults strike.

use labkit_lab::{CheckReport, Report, Verdict};

use crate::graded;

/// Grades one task on three members, with these faults and checks.
fn task(faults: &str, checks: &str, steps: &str) -> Report {
    let tasks = format!("\n  - id: one\n    faults: [{faults}]\n    checks:{checks}");
    graded("{etcd: {members: 3}}", " []", &tasks, steps)
}

fn only(report: &Report) -> &CheckReport {
    let mut checks = report.checks();
    let (_, only) = checks.next().unwrap();
    assert!(checks.next().is_none());
    only
}

#[track_caller]
fn check(faults: &str, timing: &str, verb: &str, expected: (Verdict, u64)) {
    let checks = format!("\n      - {{id: a, title: {{en: A, ko: 가}}, points: 2{timing}, {verb}}}");
    let report = task(faults, &checks, " [{wait: 1s}]");
    let only = only(&report);
    assert_eq!((only.verdict, only.at_ms / 100), expected, "{only:?}");
}

const KILL: &str = "{id: crash, at: 2s, kill: etcd/etcd1}";
const KILL_AND_HEAL: &str = "{id: crash, at: 2s, for: 3s, kill: etcd/etcd1}";

#[test]
fn a_check_without_timing_is_judged_when_faults_have_struck() {
    check(KILL, "", "etcd: {members: 2}", (Verdict::Passed, 20));
    check("", "", "etcd: {members: 2}", (Verdict::Failed, 10));
}

#[test]
fn eventually_passes_at_the_moment_and_ends_at_its_deadline() {
    check(KILL_AND_HEAL, ", eventually: 10s", "etcd: {members: 3}", (Verdict::Passed, 50));
    check("", ", eventually: 10s", "etcd: {members: 5}", (Verdict::Failed, 110));
    check("", ", eventually: 10s", "cel: 'elapsed > 3.5'", (Verdict::Passed, 36));
}

#[test]
fn always_and_never_end_at_the_first_breach_or_at_their_end() {
    check(KILL_AND_HEAL, ", always: 10s", "etcd: {members: 2}", (Verdict::Failed, 50));
    check("", ", always: 10s", "etcd: {members: 3}", (Verdict::Passed, 110));
    check(KILL_AND_HEAL, ", never: 10s", "etcd: {members: 3}", (Verdict::Failed, 50));
    check("", ", never: 10s", "etcd: {members: 2}", (Verdict::Passed, 110));
}

#[test]
fn throughout_sees_what_happened_before_the_steps_were_done() {
    let checks = "\n      - {id: a, title: {en: A, ko: 가}, points: 2, throughout: task, etcd: {members: 3}}";
    let report = task(KILL_AND_HEAL, checks, " [{wait: 8s}]");
    assert_eq!((only(&report).verdict, only(&report).at_ms / 100), (Verdict::Failed, 20));
    assert_eq!(report.faults[0].healed_ms, Some(5000));
    let report = task("", checks, " [{wait: 8s}]");
    assert_eq!(only(&report).verdict, Verdict::Passed);
}

#[test]
fn a_fault_strikes_on_its_condition_and_a_condition_that_never_comes_is_told() {
    let checks = "\n      - {id: a, title: {en: A, ko: 가}, points: 2, etcd: {members: 2}}";
    let when = |cel: &str| format!("{{id: crash, when: \"{cel}\", at: 500ms, kill: etcd/leader}}");
    let report = task(
        &when("etcd.revision >= 3"),
        checks,
        "\n  - etcdctl: put a 1\n  - wait: 2s\n  - etcdctl: put a 2",
    );
    assert_eq!(report.faults[0].at_ms / 100, 25, "{:?}", report.faults);
    assert_eq!(only(&report).verdict, Verdict::Passed);

    let report = task(&when("etcd.revision >= 30"), checks, " []");
    assert!(report.faults[0].error.as_ref().unwrap().contains("never held"), "{:?}", report.faults);
    assert_eq!(only(&report).verdict, Verdict::Failed);
}

#[test]
fn what_comes_after_a_failed_check_is_skipped_and_parts_may_count() {
    let checks = "
      - {id: a, title: {en: A, ko: 가}, points: 10, partial: true, etcd: {members: 3, keys: [{key: x}, {key: y}]}}
      - {id: b, title: {en: B, ko: 나}, points: 5, after: [a], etcd: {leader: true}}
      - {id: c, title: {en: C, ko: 다}, points: 5, after: [b], etcd: {leader: true}}
      - {id: d, title: {en: D, ko: 라}, points: 5, etcd: {leader: true, keys: [{key: x, value: '1'}, {prefix: '', count: 1}]}}";
    let report = task("", checks, "\n  - etcdctl: put x 1");
    let points: Vec<(Verdict, u32)> =
        report.checks().map(|(_, check)| (check.verdict, check.points)).collect();
    let skipped = (Verdict::Skipped, 0);
    assert_eq!(points, [(Verdict::Failed, 6), skipped, skipped, (Verdict::Passed, 5)]);
    assert_eq!(report.failed(), ["one/a"]);
    let (_, first) = report.checks().next().unwrap();
    assert_eq!((first.expected.as_str(), first.actual.as_str()), ("at least 1 key y", "0 found"));
}

#[test]
fn tasks_follow_one_another_with_their_own_steps_and_beginnings() {
    let tasks = "
  - id: one
    checks: [{id: a, title: {en: A, ko: 가}, points: 1, cel: 'etcd.revision == 2'}]
  - id: two
    lasts: 5s
    faults: [{id: crash, at: 1s, kill: etcd/leader}]
    checks:
      - {id: a, title: {en: A, ko: 가}, points: 1, cel: 'etcd.revision == 3 && elapsed >= 5.0'}
      - {id: b, title: {en: B, ko: 나}, points: 1, etcd: {termGrew: true, leaderChanged: true}}";
    let steps = "\n  - etcdctl: put a 1\n  - {task: two, etcdctl: put a 2}\n  - etcdctl: get a";
    let report = graded("{etcd: {members: 3}}", "\n  - wait: 3s", tasks, steps);
    assert!(report.passed(), "{}", report.to_json());
    assert_eq!(report.faults[0].at_ms, 4000);
    assert_eq!(report.steps.last().unwrap().output, "a\n2");
}
