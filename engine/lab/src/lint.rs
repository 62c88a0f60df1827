//! A lab proves itself: untouched it does not pass, its solution has full marks, and each wrong submission
//! fails exactly what it says, on every seed.

use serde::Serialize;

use crate::grade::{GradeOptions, grade};
use crate::load::{LabFolder, LoadedCourse};
use crate::report::Report;
use crate::submission::Submission;

/// What linting a lab found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LintResult {
    pub lab: String,
    pub seeds: u64,
    /// How many runs were graded.
    pub runs: u64,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
}

/// Lints every lab of a course.
pub fn lint_course(course: &LoadedCourse, seeds: u64) -> Vec<LintResult> {
    course.labs.values().map(|lab| lint_lab(lab, seeds)).collect()
}

/// Grades the lab's own submissions on that many seeds.
pub fn lint_lab(lab: &LabFolder, seeds: u64) -> LintResult {
    let mut result = LintResult { lab: lab.name().to_owned(), seeds, runs: 0, problems: Vec::new() };
    if lab.wrong.len() < 2 {
        result
            .problems
            .push(format!("there are {} wrong submissions; a lab has at least two", lab.wrong.len()));
    }
    for seed in 1..=seeds {
        let mut graded = |name: &str, submission: &Submission| {
            let options =
                GradeOptions { seed, trusted: true, submission: name.to_owned(), ..GradeOptions::default() };
            let report = grade(lab, submission, &options);
            result.runs += 1;
            for bug in &report.bugs {
                result.problems.push(format!("{name}, seed {seed}: {bug}"));
            }
            for fault in report.faults.iter().filter(|fault| fault.error.is_some()) {
                let error = fault.error.as_deref().unwrap_or_default();
                result
                    .problems
                    .push(format!("{name}, seed {seed}: the fault {} did not strike: {error}", fault.id));
            }
            report
        };
        let start = graded("start", &lab.start);
        let solution = graded("solution", &lab.solution);
        let wrong: Vec<(String, Report, Vec<String>)> = lab
            .wrong
            .iter()
            .map(|(name, submission)| {
                let name = format!("wrong/{name}");
                let report = graded(&name, submission);
                let mut expected = submission.expect.clone().unwrap_or_default().fails;
                expected.sort();
                (name, report, expected)
            })
            .collect();
        if start.points >= start.points_max {
            result.problems.push(format!("start, seed {seed}: untouched it has full marks"));
        }
        if !solution.passed() {
            result.problems.push(format!(
                "solution, seed {seed}: {}/{}; failed: {}",
                solution.points,
                solution.points_max,
                why(&solution)
            ));
        }
        for (name, report, expected) in wrong {
            let mut failed = report.failed();
            failed.sort();
            if failed != expected {
                let message = format!(
                    "{name}, seed {seed}: fails {}; it should fail {}",
                    shown(&failed),
                    shown(&expected)
                );
                result.problems.push(message);
            }
        }
    }
    result.problems.dedup();
    result
}

fn shown(checks: &[String]) -> String {
    if checks.is_empty() { "nothing".to_owned() } else { checks.join(", ") }
}

fn why(report: &Report) -> String {
    let of = report.checks().filter(|(_, check)| !check.verdict.is_good());
    let of = of.map(|(task, check)| {
        format!("{task}/{} (expected {}; actual {})", check.id, check.expected, check.actual)
    });
    of.collect::<Vec<_>>().join("; ")
}
