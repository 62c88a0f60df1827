//! Lab 2.4: it proves itself over several seeds, and its report is the same each time. The other labs are the
//! business of the course's own tests.

use labkit_lab::{GradeOptions, LabFolder, Language, Verdict, grade, lint_lab};

use crate::lab;

fn seeds() -> u64 {
    std::env::var("LABKIT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3)
}

fn solution(lab: &LabFolder, seed: u64) -> labkit_lab::Report {
    let options =
        GradeOptions { seed, trusted: true, submission: "solution".into(), ..GradeOptions::default() };
    grade(lab, &lab.solution, &options)
}

#[test]
fn kill_the_leader_proves_itself() {
    let result = lint_lab(&lab("session-2/kill-the-leader"), seeds());
    assert!(result.problems.is_empty(), "{:#?}", result.problems);
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let lab = lab("session-2/kill-the-leader");
    assert_eq!(solution(&lab, 7).to_json(), solution(&lab, 7).to_json());
    assert_ne!(solution(&lab, 7).tables.variants, solution(&lab, 8).tables.variants);
}

#[test]
fn a_report_reads_in_every_format_and_language() {
    let lab = lab("session-2/kill-the-leader");
    let options = GradeOptions { seed: 1, submission: "start".into(), ..GradeOptions::default() };
    let report = grade(&lab, &lab.start, &options);
    assert!(!report.passed());
    let unanswered = report.checks().find(|(_, check)| check.id == "new-leader").unwrap().1;
    assert_eq!((unanswered.verdict, unanswered.points), (Verdict::Failed, 0));
    assert!(
        !unanswered.expected.contains("etcd1") && !unanswered.expected.contains("etcd2"),
        "{}",
        unanswered.expected
    );
    assert!(report.to_markdown(Language::En).contains("| You named the new leader | ✗ failed | 0/2 |"));
    assert!(report.to_junit().contains("tests=\"6\" failures=\"3\""));
    let korean = report.to_text(Language::Ko, 80);
    assert!(korean.contains("실제: 답이 없습니다") && korean.contains("실패"), "{korean}");
}
