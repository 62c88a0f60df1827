//! What a class came to: one row a student, and how each check went over all of them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::markdown::{code, escaped};
use super::words::words;
use super::{CheckReport, Report, TaskReport, Verdict};
use crate::text::{Language, Text};

/// A graded class. The same lab and submissions give the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassReport {
    pub lab: String,
    pub title: Text,
    pub points_max: u32,
    /// In the order of their ids.
    pub submissions: Vec<Graded>,
    /// Students whose submission was not reached, because grading was interrupted.
    pub not_reached: Vec<String>,
}

/// One student's submission, and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Graded {
    pub student: String,
    pub outcome: Outcome,
    pub points: u32,
    pub points_max: u32,
    /// Draws the variants and all chance of the run; from the student's id.
    pub seed: u64,
    /// The points that rest on what the student's own run is said to have shown.
    pub self_reported: u32,
    /// Why there is no grade, or what went wrong on the way.
    pub problems: Vec<String>,
    pub tasks: Vec<TaskReport>,
}

/// How grading a submission ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It was played and judged.
    Graded,
    /// It cannot be read as a submission: no points.
    Refused,
    /// It used up the time or memory that one submission has: no points.
    OverLimit,
    /// The engine failed on it: somebody has to look.
    EngineBug,
}

/// How one check went over a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatistics {
    /// `task/check`
    pub check: String,
    pub title: Text,
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Graded {
    /// A row of a report.
    pub fn of(report: &Report, outcome: Outcome, problems: Vec<String>) -> Graded {
        let outcome = if report.bugs.is_empty() { outcome } else { Outcome::EngineBug };
        let told = |check: &CheckReport| CheckReport { evidence: Value::Null, ..check.clone() };
        let task = |task: &TaskReport| TaskReport {
            id: task.id.clone(),
            checks: task.checks.iter().map(told).collect(),
        };
        let self_reported = report.checks().filter(|(_, check)| check.evidence["selfReported"] == true);
        Graded {
            student: report.submission.clone(),
            outcome,
            points: report.points,
            points_max: report.points_max,
            seed: report.seed,
            self_reported: self_reported.map(|(_, check)| check.points).sum(),
            problems: problems.into_iter().chain(report.bugs.iter().cloned()).collect(),
            tasks: report.tasks.iter().map(task).collect(),
        }
    }

    /// Every check with its task's id.
    pub fn checks(&self) -> impl Iterator<Item = (&str, &CheckReport)> {
        self.tasks.iter().flat_map(|task| task.checks.iter().map(|check| (task.id.as_str(), check)))
    }

    /// The student's own report: why there is no grade, if there is none, and the run's.
    pub fn to_markdown(&self, report: &Report, language: Language) -> String {
        let mut out = report.to_markdown(language);
        if self.outcome != Outcome::Graded {
            let _ = writeln!(out, "\n## {}\n", self.outcome.word(language));
            for problem in &self.problems {
                let _ = writeln!(out, "```text\n{}\n```", problem.replace("```", "'''"));
            }
        }
        out
    }
}

impl Outcome {
    /// The word for people.
    pub fn word(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::En, Outcome::Graded) => "graded",
            (Language::En, Outcome::Refused) => "refused",
            (Language::En, Outcome::OverLimit) => "over its limits",
            (Language::En, Outcome::EngineBug) => "engine bug",
            (Language::Ko, Outcome::Graded) => "채점됨",
            (Language::Ko, Outcome::Refused) => "거부됨",
            (Language::Ko, Outcome::OverLimit) => "한도 초과",
            (Language::Ko, Outcome::EngineBug) => "엔진 버그",
        }
    }
}

impl ClassReport {
    /// The whole class, for programs.
    pub fn to_json(&self) -> String {
        let mut value = serde_json::to_value(self).expect("a report is plain data");
        value["statistics"] = serde_json::to_value(self.statistics()).expect("counts are plain data");
        let mut text = serde_json::to_string_pretty(&value).expect("a report is plain data");
        text.push('\n');
        text
    }

    /// How each check went, in the lab's order.
    pub fn statistics(&self) -> Vec<CheckStatistics> {
        let first = self.submissions.first();
        let ids = first.into_iter().flat_map(Graded::checks);
        let of = |(index, (task, check)): (usize, (&str, &CheckReport))| {
            let count = |wanted: Verdict| {
                let verdicts = self.submissions.iter().filter_map(|graded| graded.checks().nth(index));
                verdicts.filter(|(_, check)| check.verdict == wanted).count()
            };
            CheckStatistics {
                check: format!("{task}/{}", check.id),
                title: check.title.clone(),
                passed: count(Verdict::Passed),
                failed: count(Verdict::Failed),
                skipped: count(Verdict::Skipped),
            }
        };
        ids.enumerate().map(of).collect()
    }

    /// The mean of all points; none without a submission.
    pub fn mean(&self) -> Option<f64> {
        let sum: u32 = self.submissions.iter().map(|graded| graded.points).sum();
        (!self.submissions.is_empty()).then(|| f64::from(sum) / self.submissions.len() as f64)
    }

    /// The class as Markdown: a table of students, one of checks.
    pub fn to_markdown(&self, language: Language) -> String {
        let words = words(language);
        let mut out = format!("# {}\n\n", escaped(self.title.for_language(language)));
        let _ = writeln!(
            out,
            "| {} | {} | {} | |\n|---|---:|---|---|",
            words.student, words.points, words.result
        );
        for graded in &self.submissions {
            let failed: Vec<String> = graded
                .checks()
                .filter(|(_, check)| check.verdict == Verdict::Failed)
                .map(|(task, check)| format!("{task}/{}", check.id))
                .collect();
            let why = match graded.outcome {
                Outcome::Graded => escaped(&failed.join(", ")),
                _ => graded.problems.first().map(|problem| code(first_line(problem))).unwrap_or_default(),
            };
            let _ = writeln!(
                out,
                "| {} | {}/{} | {} | {} |",
                escaped(&graded.student),
                graded.points,
                graded.points_max,
                graded.outcome.word(language),
                why.replace('|', "\\|")
            );
        }
        let _ = writeln!(
            out,
            "\n| {} | {} | {} | {} |\n|---|---:|---:|---:|",
            words.check,
            Verdict::Passed.word(language),
            Verdict::Failed.word(language),
            Verdict::Skipped.word(language)
        );
        for row in self.statistics() {
            let title = escaped(row.title.for_language(language));
            let _ = writeln!(out, "| {title} | {} | {} | {} |", row.passed, row.failed, row.skipped);
        }
        out
    }
}

/// The line that tells the most of a problem.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A class of three: full marks, a failed and a skipped check, and one that was refused.
    pub(in crate::report) fn class() -> ClassReport {
        let check = |id: &str, points, verdict| CheckReport {
            id: id.to_owned(),
            title: Text::new(&format!("The {id}"), id),
            points,
            points_max: 2,
            verdict,
            expected: "a".to_owned(),
            actual: "b".to_owned(),
            in_korean: None,
            error: None,
            hint: None,
            at_ms: 0,
            evidence: Value::Null,
        };
        let graded = |student: &str, outcome, verdicts: [Verdict; 2], problems: &[&str]| {
            let points = verdicts.map(|verdict| if verdict == Verdict::Passed { 2 } else { 0 });
            let checks = vec![check("key", points[0], verdicts[0]), check("name", points[1], verdicts[1])];
            Graded {
                student: student.to_owned(),
                outcome,
                points: points.iter().sum(),
                points_max: 4,
                seed: 7,
                self_reported: 0,
                problems: problems.iter().map(|text| (*text).to_owned()).collect(),
                tasks: vec![TaskReport { id: "put".to_owned(), checks }],
            }
        };
        use Verdict::{Failed, Passed, Skipped};
        ClassReport {
            lab: "tiny".to_owned(),
            title: Text::new("Tiny", "작은 실습"),
            points_max: 4,
            submissions: vec![
                graded("=cmd|' /C calc'!A0", Outcome::Graded, [Passed, Passed], &[]),
                graded("김민수, \"민수\"", Outcome::Graded, [Failed, Skipped], &[]),
                graded("x", Outcome::Refused, [Failed, Failed], &["submission.yaml:1:1: no\n1 | x"]),
            ],
            not_reached: Vec::new(),
        }
    }

    #[test]
    fn the_class_is_counted_check_by_check() {
        let class = class();
        let counts: Vec<_> = class
            .statistics()
            .into_iter()
            .map(|row| (row.check, row.passed, row.failed, row.skipped))
            .collect();
        assert_eq!(counts, [("put/key".to_owned(), 1, 2, 0), ("put/name".to_owned(), 1, 1, 1)]);
        assert_eq!(class.mean(), Some(4.0 / 3.0));
        let json: Value = serde_json::from_str(&class.to_json()).unwrap();
        assert_eq!(json["submissions"][1]["tasks"][0]["checks"][1]["verdict"], "skipped");
        assert_eq!(json["statistics"][0]["passed"], 1);
        let markdown = class.to_markdown(Language::En);
        assert!(markdown.contains("| x | 0/4 | refused | `submission.yaml:1:1: no` |"), "{markdown}");
        assert!(markdown.contains(r"| =cmd\|' /C calc'!A0 | 4/4 | graded |"), "{markdown}");
    }
}
