//! A report for a terminal.

use std::time::Duration;

use labkit_api::duration::format_duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::words::words;
use super::{CheckReport, Report};
use crate::text::Language;

impl Report {
    /// The report as text, at most `width` columns wide where words allow.
    pub fn to_text(&self, language: Language, width: usize) -> String {
        let words = words(language);
        let width = width.max(40);
        let mut page = Page { text: String::new(), width };
        page.line(0, &format!("{} ({})", self.title.for_language(language), self.lab));
        let took = format_duration(Duration::from_millis(self.virtual_ms));
        page.line(0, &format!("{} · seed {} · {} {took}", self.submission, self.seed, words.took));
        let column =
            self.checks().map(|(_, check)| check.title.for_language(language).width()).max().unwrap_or(0);
        for task in &self.tasks {
            page.line(0, "");
            page.line(0, &task.id);
            for check in &task.checks {
                for (index, line) in head(check, language, column.min(width - 26)).iter().enumerate() {
                    page.line(if index == 0 { 2 } else { 4 }, line);
                }
                if !check.verdict.is_good() {
                    page.labelled(words.expected, check.expected_in(language));
                    page.labelled(words.actual, check.actual_in(language));
                    if let Some(error) = &check.error {
                        page.labelled(words.error, error);
                    }
                    if let Some(hint) = &check.hint {
                        page.labelled(words.hint, hint.for_language(language));
                    }
                }
            }
        }
        if !self.faults.is_empty() {
            page.line(0, "");
            page.line(0, words.faults);
            for fault in &self.faults {
                let at = seconds(fault.at_ms);
                let healed = fault
                    .healed_ms
                    .map(|at| format!(", {} {}", words.healed, seconds(at)))
                    .unwrap_or_default();
                let what = fault.error.clone().unwrap_or_else(|| fault.target.clone());
                page.line(2, &format!("{at} {} {what} ({}){healed}", fault.verb, fault.id));
            }
        }
        let failed: Vec<_> = self.steps.iter().filter(|step| step.error.is_some()).collect();
        if !failed.is_empty() {
            page.line(0, "");
            page.line(0, words.steps);
            for step in failed {
                page.line(2, &format!("{} {}", seconds(step.at_ms), step.command));
                page.labelled(words.error, step.error.as_deref().unwrap_or_default());
            }
        }
        if !self.bugs.is_empty() {
            page.line(0, "");
            page.line(0, words.bugs);
            self.bugs.iter().for_each(|bug| page.line(2, bug));
        }
        page.line(0, "");
        page.line(0, &format!("{}/{} {}", self.points, self.points_max, words.points));
        page.text
    }
}

/// The check on one line; what its title has no room for, on more.
fn head(check: &CheckReport, language: Language, column: usize) -> Vec<String> {
    let mut lines = wrapped(check.title.for_language(language), column);
    let blanks = " ".repeat(column.saturating_sub(lines[0].width()));
    let points = format!("{}/{}", check.points, check.points_max);
    let (mark, word) = (check.verdict.mark(), check.verdict.word(language));
    lines[0] = format!("{mark} {}{blanks}  {points:>5}  {word}", lines[0]);
    lines
}

pub(super) fn seconds(at_ms: u64) -> String {
    format!("{}.{:03}s", at_ms / 1000, at_ms % 1000)
}

struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        self.text.push_str(format!("{}{text}", " ".repeat(indent)).trim_end());
        self.text.push('\n');
    }

    /// `label: text`, wrapped with the text's own indent.
    fn labelled(&mut self, label: &str, text: &str) {
        let label = format!("    {label}: ");
        let indent = label.width();
        let mut label = label;
        for line in text.lines() {
            for part in wrapped(line, self.width.saturating_sub(indent).max(20)) {
                self.line(0, &format!("{label}{part}"));
                label = " ".repeat(indent);
            }
        }
    }
}

/// Breaks a line at blanks; a wide character counts two columns. What has no blank is broken anywhere.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in line.split(' ') {
        let joined = if current.is_empty() { word.width() } else { current.width() + 1 + word.width() };
        if joined <= width {
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
            continue;
        }
        if !current.is_empty() {
            lines.push(std::mem::take(&mut current));
        }
        for c in word.chars() {
            if current.width() + c.width().unwrap_or(0) > width {
                lines.push(std::mem::take(&mut current));
            }
            current.push(c);
        }
    }
    lines.push(current);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_count_two_columns() {
        assert_eq!(wrapped("리더가 바뀌면 TERM이 오릅니다", 14), ["리더가 바뀌면", "TERM이", "오릅니다"]);
        assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrapped("", 10), [""]);
    }
}
