//! A report as Markdown.

use std::fmt::Write as _;

use super::Report;
use super::text::seconds;
use super::words::words;
use crate::text::Language;

impl Report {
    /// The report as Markdown: one table of checks, one of faults, and what failed in full.
    pub fn to_markdown(&self, language: Language) -> String {
        let words = words(language);
        let mut out = format!("# {}\n\n", escaped(self.title.for_language(language)));
        let _ = writeln!(
            out,
            "**{}/{} {}** · {} · seed {}\n",
            self.points,
            self.points_max,
            words.points,
            escaped(&self.submission),
            self.seed
        );
        let _ = writeln!(out, "| {} | {} | {} |\n|---|---|---:|", words.check, words.result, words.points);
        for (_, check) in self.checks() {
            let title = escaped(check.title.for_language(language));
            let mark = check.verdict.mark();
            let _ = writeln!(
                out,
                "| {title} | {mark} {} | {}/{} |",
                check.verdict.word(language),
                check.points,
                check.points_max
            );
        }
        for (task, check) in self.checks().filter(|(_, check)| !check.verdict.is_good()) {
            let _ =
                writeln!(out, "\n**{task}/{}**: {}\n", check.id, escaped(check.title.for_language(language)));
            let expected = check.expected_in(language);
            if !expected.is_empty() {
                let _ = writeln!(out, "- {}: {}", words.expected, code(expected));
            }
            let _ = writeln!(out, "- {}: {}", words.actual, code(check.actual_in(language)));
            if let Some(error) = &check.error {
                let _ = writeln!(out, "- {}: {}", words.error, code(error));
            }
            if let Some(hint) = &check.hint {
                let _ = writeln!(out, "- {}: {}", words.hint, escaped(hint.for_language(language)));
            }
        }
        if !self.faults.is_empty() {
            let _ = writeln!(out, "\n## {}\n", words.faults);
            for fault in &self.faults {
                let what = fault.error.as_ref().unwrap_or(&fault.target);
                let healed = fault
                    .healed_ms
                    .map(|at| format!(", {} {}", words.healed, seconds(at)))
                    .unwrap_or_default();
                let _ = writeln!(out, "- {}: {} {}{healed}", seconds(fault.at_ms), fault.verb, code(what));
            }
        }
        if !self.bugs.is_empty() {
            let _ = writeln!(out, "\n## {}\n", words.bugs);
            self.bugs.iter().for_each(|bug| {
                let _ = writeln!(out, "- {}", code(bug));
            });
        }
        if self.passed() {
            let _ = writeln!(out, "\n{}", words.all_passed);
        }
        out
    }
}

/// Text that Markdown and HTML leave as it is, also within a table.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// A code span, whatever the text holds.
pub(super) fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let blank = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_student_wrote_cannot_become_markup() {
        assert_eq!(code("a `b` c"), "``a `b` c``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(escaped("<b>|*x*"), r"&lt;b&gt;\|\*x\*");
    }
}
