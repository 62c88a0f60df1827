//! A report as JUnit XML, for CI.

use std::fmt::Write as _;

use super::{CheckReport, ClassReport, Outcome, Report, Verdict};
use crate::text::Language;

impl Report {
    /// One test suite, one test case per check.
    pub fn to_junit(&self) -> String {
        let count =
            |verdict: fn(Verdict) -> bool| self.checks().filter(|(_, check)| verdict(check.verdict)).count();
        let failures = count(|verdict| matches!(verdict, Verdict::Failed | Verdict::NotYet));
        let skipped = count(|verdict| verdict == Verdict::Skipped);
        let seconds = self.virtual_ms as f64 / 1000.0;
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            out,
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{}\" skipped=\"{skipped}\" time=\"{seconds:.3}\">",
            escaped(&format!("{}/{}", self.lab, self.submission)),
            self.checks().count(),
            self.bugs.len(),
        );
        for (task, check) in self.checks() {
            out.push_str(&case(&self.lab, task, check));
        }
        self.bugs.iter().for_each(|bug| out.push_str(&error_case(&self.lab, "engine", bug)));
        out.push_str("</testsuite>\n");
        out
    }
}

impl ClassReport {
    /// One test suite a student. What has no grade is an error of its suite.
    pub fn to_junit(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        for graded in &self.submissions {
            let count = |wanted| graded.checks().filter(|(_, check)| check.verdict == wanted).count();
            let errors = if graded.outcome == Outcome::Graded { &[] } else { graded.problems.as_slice() };
            let _ = writeln!(
                out,
                "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
                escaped(&format!("{}/{}", self.lab, graded.student)),
                graded.checks().count() + errors.len(),
                count(Verdict::Failed),
                errors.len(),
                count(Verdict::Skipped),
            );
            graded.checks().for_each(|(task, check)| out.push_str(&case(&self.lab, task, check)));
            for error in errors {
                out.push_str(&error_case(&self.lab, graded.outcome.word(Language::En), error));
            }
            out.push_str("</testsuite>\n");
        }
        out.push_str("</testsuites>\n");
        out
    }
}

fn case(lab: &str, task: &str, check: &CheckReport) -> String {
    let name = escaped(&format!("{}: {}", check.id, check.title.en));
    let head = format!("  <testcase classname=\"{}\" name=\"{name}\"", escaped(&format!("{lab}.{task}")));
    match check.verdict {
        Verdict::Passed | Verdict::SoFar => format!("{head}/>\n"),
        Verdict::Skipped => format!("{head}><skipped/></testcase>\n"),
        Verdict::Failed | Verdict::NotYet => {
            let message = match check.expected.is_empty() {
                true => escaped(&check.actual),
                false => escaped(&format!("expected {}; actual {}", check.expected, check.actual)),
            };
            let error = escaped(check.error.as_deref().unwrap_or_default());
            format!("{head}><failure message=\"{message}\">{error}</failure></testcase>\n")
        }
    }
}

fn error_case(lab: &str, name: &str, message: &str) -> String {
    let (lab, name, message) = (escaped(lab), escaped(name), escaped(message));
    format!("  <testcase classname=\"{lab}\" name=\"{name}\"><error message=\"{message}\"/></testcase>\n")
}

/// Text for an attribute; what XML cannot hold at all becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
