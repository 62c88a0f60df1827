//! A lab proves itself: untouched it does not pass, its solution has full marks, and each wrong submission
//! fails exactly what it says, on every seed. No check passes on an empty cluster, both languages give the same
//! commands, and mutants of the solution lose points.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checks::Timing;
use crate::grade::{GradeOptions, grade};
use crate::load::commands_by_task;
use crate::load::{LabFolder, LoadedCourse};
use crate::mutants;
use crate::report::{Report, Verdict};
use crate::submission::Submission;
use crate::text::{Language, Text};

/// Over how many seeds mutants are tried at most; the lab's own submissions are graded on all.
const MUTANT_SEEDS_MAX: u64 = 3;

/// What linting a lab found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LintResult {
    pub lab: String,
    pub seeds: u64,
    /// How many runs were graded.
    pub runs: u64,
    /// What is wrong, one sentence each.
    pub problems: Vec<Text>,
    /// How many mutants of the solution there are.
    pub mutants: u64,
    /// Over how many seeds each was graded.
    pub mutant_seeds: u64,
    /// The mutants that have full marks on some seed: mistakes that no check sees there.
    pub survivors: Vec<Survivor>,
    /// Mutants that the solution declares to be as good as it is.
    pub equivalent: Vec<Survivor>,
}

/// A mutant with full marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Survivor {
    /// As `equivalent:` of the solution names it: `without-step-3`.
    pub mutant: String,
    /// What is wrong with it.
    pub what: Text,
    /// The seeds on which it has full marks.
    pub seeds: Vec<u64>,
    /// Why that is no mistake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Text>,
}

/// Lints every lab of a course.
pub fn lint_course(course: &LoadedCourse, seeds: u64) -> Vec<LintResult> {
    course.labs.values().map(|lab| lint_lab(lab, seeds)).collect()
}

/// Grades the lab's own submissions on that many seeds.
pub fn lint_lab(lab: &LabFolder, seeds: u64) -> LintResult {
    let mut result = LintResult { lab: lab.name().to_owned(), seeds, ..LintResult::default() };
    if lab.is_students_copy {
        result.problems.push(Text::new(
            "it has no solution/ and no wrong/: a student's copy proves nothing; lint the lab that it was packed from",
            "solution/ 과 wrong/ 이 없습니다. 학생용 사본으로는 아무것도 증명할 수 없으니, 꾸러미를 만든 원래 실습을 검사하세요",
        ));
        return result;
    }
    let wrong = lab.wrong.len();
    if wrong < 2 {
        result.problems.push(Text::new(
            &format!("there are {wrong} wrong submissions; a lab has at least two"),
            &format!("틀린 제출물이 {wrong}개 있습니다. 실습에는 적어도 두 개가 있어야 합니다"),
        ));
    }
    result.problems.extend(unequal_commands(lab));
    result.problems.extend(passes_on_nothing(lab, &mut result.runs));
    for seed in 1..=seeds {
        grade_own(lab, seed, &mut result);
    }
    result.problems.dedup();
    // The mutants of a solution that is not right itself tell nothing.
    if result.problems.is_empty() {
        try_mutants(lab, &mut result);
    }
    result
}

/// Grades start, solution and the wrong ones on one seed.
fn grade_own(lab: &LabFolder, seed: u64, result: &mut LintResult) {
    let mut graded = |name: &str, submission: &Submission| {
        let report = grade(lab, submission, &GradeOptions { seed, trusted: true, ..own(name) });
        result.runs += 1;
        let of_run = |en: String, ko: String| {
            Text::new(&format!("{name}, seed {seed}: {en}"), &format!("{name}, 시드 {seed}: {ko}"))
        };
        result.problems.extend(report.bugs.iter().map(|bug| of_run(bug.clone(), bug.clone())));
        for fault in &report.faults {
            let (id, Some(error)) = (&fault.id, &fault.error) else { continue };
            result.problems.push(of_run(
                format!("the fault {id} did not strike: {error}"),
                format!("장애 {id} 이(가) 일어나지 않았습니다: {error}"),
            ));
        }
        report
    };
    let (start, solution) = (graded("start", &lab.start), graded("solution", &lab.solution));
    let wrong: Vec<(String, Vec<String>, Vec<String>)> = lab
        .wrong
        .iter()
        .map(|(name, submission)| {
            let name = format!("wrong/{name}");
            let (mut failed, expected) = (graded(&name, submission).failed(), submission.expect.clone());
            let mut expected = expected.unwrap_or_default().fails;
            failed.sort();
            expected.sort();
            (name, failed, expected)
        })
        .collect();
    if start.points >= start.points_max {
        result.problems.push(Text::new(
            &format!("start, seed {seed}: untouched it has full marks"),
            &format!("start, 시드 {seed}: 손대지 않았는데도 만점입니다"),
        ));
    }
    if !solution.passed() {
        let (points, most) = (solution.points, solution.points_max);
        result.problems.push(Text::new(
            &format!("solution, seed {seed}: {points}/{most}; failed: {}", why(&solution, Language::En)),
            &format!("solution, 시드 {seed}: {points}/{most}. 실패: {}", why(&solution, Language::Ko)),
        ));
    }
    for (name, failed, expected) in wrong.into_iter().filter(|(_, failed, expected)| failed != expected) {
        let shown = |checks: &[String], none: &str| match checks {
            [] => none.to_owned(),
            checks => checks.join(", "),
        };
        let (failed_en, expected_en) = (shown(&failed, "nothing"), shown(&expected, "nothing"));
        let (failed_ko, expected_ko) = (shown(&failed, "없음"), shown(&expected, "없음"));
        result.problems.push(Text::new(
            &format!("{name}, seed {seed}: fails {failed_en}; it should fail {expected_en}"),
            &format!("{name}, 시드 {seed}: 실패한 항목은 {failed_ko}, 실패해야 할 항목은 {expected_ko}"),
        ));
    }
}

/// Grades every mutant over the seeds: a mistake that one seed forgives is one that some students get away with.
fn try_mutants(lab: &LabFolder, result: &mut LintResult) {
    result.mutant_seeds = result.seeds.min(MUTANT_SEEDS_MAX);
    let declared = lab.solution.equivalent.iter();
    let mut declared: BTreeMap<&str, &Text> =
        declared.flat_map(|of| of.mutants.iter().map(|mutant| (mutant.as_str(), &of.because))).collect();
    for mutant in mutants::of(&lab.solution) {
        result.mutants += 1;
        let full_marks = |seed: &u64| {
            let report =
                grade(lab, &mutant.submission, &GradeOptions { seed: *seed, trusted: true, ..own("mutant") });
            report.points >= report.points_max
        };
        let seeds: Vec<u64> = (1..=result.mutant_seeds).filter(full_marks).collect();
        result.runs += result.mutant_seeds;
        if seeds.is_empty() {
            continue;
        }
        let because = declared.remove(mutant.id.as_str()).cloned();
        let survivors = if because.is_some() { &mut result.equivalent } else { &mut result.survivors };
        survivors.push(Survivor { mutant: mutant.id, what: mutant.what, seeds, because });
    }
    result.problems.extend(declared.keys().map(|mutant| {
        Text::new(
            &format!("solution: `equivalent` names {mutant}, but no mutant of that name has full marks"),
            &format!("solution: `equivalent` 에 {mutant} 이(가) 있지만, 그 이름으로 만점인 변이가 없습니다"),
        )
    }));
}

fn own(name: &str) -> GradeOptions {
    GradeOptions { seed: 1, submission: name.to_owned(), ..GradeOptions::default() }
}

/// Checks that pass where nothing was set up, nothing broke and nobody did anything: they look at nothing. What
/// must hold all the time, or never, may hold there.
fn passes_on_nothing(lab: &LabFolder, runs: &mut u64) -> Vec<Text> {
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
            Text::new(
                &format!("{task}/{id} passes on an empty cluster, where nobody did anything; name in `after:` the check that it builds on, or ask for more"),
                &format!("{task}/{id} 은(는) 아무도 아무것도 하지 않은 빈 클러스터에서 통과합니다. 바탕이 되는 항목을 `after:` 에 적거나 더 많은 것을 요구하세요"),
            )
        })
        .collect()
}

/// Tasks whose commands differ between README.md and README.ko.md.
fn unequal_commands(lab: &LabFolder) -> Vec<Text> {
    let of = |language| lab.readme.get(&language).map(|readme| commands_by_task(readme)).unwrap_or_default();
    let (english, korean) = (of(Language::En), of(Language::Ko));
    let names: std::collections::BTreeSet<&String> = english.keys().chain(korean.keys()).collect();
    let mut problems = Vec::new();
    for name in names {
        let (place, place_ko) = match name.as_str() {
            "" => ("before the first task".to_owned(), "첫 과제 앞에".to_owned()),
            name => (format!("in {name}"), format!("{name} 에")),
        };
        let lines =
            |of: &std::collections::BTreeMap<String, Vec<String>>| of.get(name).cloned().unwrap_or_default();
        let (english, korean) = (lines(&english), lines(&korean));
        let missing = |of: &[String], other: &[String]| of.iter().find(|line| !other.contains(line)).cloned();
        for (file, line) in
            [("README.ko.md", missing(&english, &korean)), ("README.md", missing(&korean, &english))]
        {
            problems.extend(line.map(|line| {
                Text::new(
                    &format!("{file} lacks a command {place} that the other language has: {line}"),
                    &format!("{file} 의 {place_ko} 다른 언어에는 있는 명령이 없습니다: {line}"),
                )
            }));
        }
    }
    problems
}

fn why(report: &Report, language: Language) -> String {
    let of = report.checks().filter(|(_, check)| !check.verdict.is_good());
    let of = of.map(|(task, check)| {
        let (id, expected, actual) = (&check.id, check.expected_in(language), check.actual_in(language));
        match language {
            Language::En => format!("{task}/{id} (expected {expected}; actual {actual})"),
            Language::Ko => format!("{task}/{id} (기대: {expected}, 실제: {actual})"),
        }
    });
    of.collect::<Vec<_>>().join("; ")
}
