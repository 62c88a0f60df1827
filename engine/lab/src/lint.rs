//! A lab proves itself: untouched it does not pass, its solution has full marks, and each wrong submission
//! fails exactly what it says, on every seed. No check passes on an empty cluster, both languages give the same
//! commands, and mutants of the solution lose points.

use serde::Serialize;

use crate::checks::Timing;
use crate::grade::{GradeOptions, grade};
use crate::load::commands_by_task;
use crate::load::{LabFolder, LoadedCourse};
use crate::mutants;
use crate::report::{Report, Verdict};
use crate::submission::Submission;
use crate::text::{Language, Text};

/// What linting a lab found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LintResult {
    pub lab: String,
    pub seeds: u64,
    /// How many runs were graded.
    pub runs: u64,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
    /// How many mutants of the solution were graded.
    pub mutants: u64,
    /// The mutants that have full marks: what is wrong with each, which no check sees.
    pub survivors: Vec<Text>,
}

/// Lints every lab of a course.
pub fn lint_course(course: &LoadedCourse, seeds: u64) -> Vec<LintResult> {
    course.labs.values().map(|lab| lint_lab(lab, seeds)).collect()
}

/// Grades the lab's own submissions on that many seeds.
pub fn lint_lab(lab: &LabFolder, seeds: u64) -> LintResult {
    let mut result = LintResult { lab: lab.name().to_owned(), seeds, ..LintResult::default() };
    if lab.wrong.len() < 2 {
        result
            .problems
            .push(format!("there are {} wrong submissions; a lab has at least two", lab.wrong.len()));
    }
    result.problems.extend(unequal_commands(lab));
    result.problems.extend(passes_on_nothing(lab, &mut result.runs));
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
    // The mutants of a solution that is not right itself tell nothing.
    if result.problems.is_empty() {
        try_mutants(lab, &mut result);
    }
    result
}

/// Grades every mutant once; a mistake that one seed forgives is one that students get away with.
fn try_mutants(lab: &LabFolder, result: &mut LintResult) {
    for mutant in mutants::of(&lab.solution) {
        let options = GradeOptions { trusted: true, ..own("mutant") };
        let report = grade(lab, &mutant.submission, &options);
        result.runs += 1;
        result.mutants += 1;
        if report.points >= report.points_max {
            result.survivors.push(mutant.what);
        }
    }
}

fn own(name: &str) -> GradeOptions {
    GradeOptions { seed: 1, submission: name.to_owned(), ..GradeOptions::default() }
}

/// Checks that pass where nothing was set up, nothing broke and nobody did anything: they look at nothing. What
/// must hold all the time, or never, may hold there.
fn passes_on_nothing(lab: &LabFolder, runs: &mut u64) -> Vec<String> {
    let report = grade(&lab.bare(), &Submission::new(lab.name()), &own("nothing"));
    *runs += 1;
    let lasting = |task: &str, id: &str| {
        let checks = lab.lab.task(task).map(|task| task.checks.as_slice()).unwrap_or_default();
        let check = checks.iter().find(|check| check.id == id);
        check.is_some_and(|check| !matches!(check.timing(), Timing::AtTheEnd | Timing::Eventually(_)))
    };
    let passed =
        report.checks().filter(|(task, check)| check.verdict == Verdict::Passed && !lasting(task, &check.id));
    passed
        .map(|(task, check)| {
            let id = &check.id;
            format!("{task}/{id} passes on an empty cluster, where nobody did anything; name in `after:` the check that it builds on, or ask for more")
        })
        .collect()
}

/// Tasks whose commands differ between README.md and README.ko.md.
fn unequal_commands(lab: &LabFolder) -> Vec<String> {
    let of = |language| lab.readme.get(&language).map(|readme| commands_by_task(readme)).unwrap_or_default();
    let (english, korean) = (of(Language::En), of(Language::Ko));
    let names: std::collections::BTreeSet<&String> = english.keys().chain(korean.keys()).collect();
    let mut problems = Vec::new();
    for name in names {
        let place = if name.is_empty() { "before the first task".to_owned() } else { format!("in {name}") };
        let lines =
            |of: &std::collections::BTreeMap<String, Vec<String>>| of.get(name).cloned().unwrap_or_default();
        let (english, korean) = (lines(&english), lines(&korean));
        let missing = |of: &[String], other: &[String]| of.iter().find(|line| !other.contains(line)).cloned();
        for (file, line) in
            [("README.ko.md", missing(&english, &korean)), ("README.md", missing(&korean, &english))]
        {
            problems.extend(
                line.map(|line| {
                    format!("{file} lacks a command {place} that the other language has: {line}")
                }),
            );
        }
    }
    problems
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
