//! A report as JUnit XML, for CI.

use std::fmt::Write as _;

use super::{Report, Verdict};

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
            let name = escaped(&format!("{}: {}", check.id, check.title.en));
            let _ = write!(
                out,
                "  <testcase classname=\"{}\" name=\"{name}\"",
                escaped(&format!("{}.{task}", self.lab))
            );
            match check.verdict {
                Verdict::Passed | Verdict::SoFar => out.push_str("/>\n"),
                Verdict::Skipped => out.push_str("><skipped/></testcase>\n"),
                Verdict::Failed | Verdict::NotYet => {
                    let message = escaped(&format!("expected {}; actual {}", check.expected, check.actual));
                    let error = escaped(check.error.as_deref().unwrap_or_default());
                    let _ = writeln!(out, "><failure message=\"{message}\">{error}</failure></testcase>");
                }
            }
        }
        for bug in &self.bugs {
            let _ = writeln!(
                out,
                "  <testcase classname=\"{}\" name=\"engine\"><error message=\"{}\"/></testcase>",
                escaped(&self.lab),
                escaped(bug)
            );
        }
        out.push_str("</testsuite>\n");
        out
    }
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
