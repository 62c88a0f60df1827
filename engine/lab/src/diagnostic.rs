//! A problem in a file: where it is, what is wrong, and what to do about it.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::text::{Language, Text};

/// One problem in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, relative to the folder that was loaded.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In bytes of `source`.
    pub span: Range<usize>,
    /// One line.
    pub message: Text,
    /// The next step to take.
    pub help: Option<Text>,
    /// The whole file; empty when it could not be read as text.
    pub source: Arc<str>,
}

impl Diagnostic {
    /// A problem at a place of a file.
    pub fn new(file: &str, source: &Arc<str>, span: Range<usize>, message: impl Into<Text>) -> Diagnostic {
        let start = floor_char(source, span.start);
        let end = floor_char(source, span.end.max(start));
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        Diagnostic {
            file: file.to_owned(),
            line: source[..start].matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            span: start..end,
            message: message.into(),
            help: None,
            source: source.clone(),
        }
    }

    /// A problem of a file as a whole.
    pub fn of_file(file: &str, message: impl Into<Text>) -> Diagnostic {
        Diagnostic::new(file, &Arc::from(""), 0..0, message)
    }

    pub fn with_help(mut self, help: impl Into<Text>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// The problem as text without colours: `file:line:column: message`, the line, a caret, the help.
    pub fn render_plain(&self, language: Language) -> String {
        let message = self.message.for_language(language);
        let mut out = format!("{}:{}:{}: {message}\n", self.file, self.line, self.column);
        if let Some(line) = self.source.lines().nth(self.line - 1) {
            let shown = shortened(line, self.column - 1);
            let number = self.line.to_string();
            let margin = " ".repeat(number.len());
            let rest_of_line = line.chars().skip(self.column - 1).collect::<String>();
            let marked = self.source[self.span.clone()].lines().next().unwrap_or_default();
            let carets = marked.width().clamp(1, rest_of_line.width().max(1)).min(60);
            let _ = writeln!(out, " {number} | {}", shown.text);
            let _ = writeln!(out, " {margin} | {}{}", " ".repeat(shown.before), "^".repeat(carets));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "   = {}", help.for_language(language));
        }
        out
    }

    /// The problem as miette draws it, in colours, `width` columns wide.
    pub fn render_fancy(&self, language: Language, width: usize) -> String {
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).with_width(width);
        let mut out = String::new();
        match handler.render_report(&mut out, &Drawn::of(self, language)) {
            Ok(()) => out,
            Err(fmt::Error) => self.render_plain(language),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message.en)
    }
}

/// All problems as text without colours.
pub fn render_plain(diagnostics: &[Diagnostic], language: Language) -> String {
    diagnostics.iter().map(|diagnostic| diagnostic.render_plain(language)).collect()
}

struct Shown {
    text: String,
    /// Columns before the marked place.
    before: usize,
}

/// A line as it can be shown: tabs as one blank, control characters as `·`, long lines cut around the place.
fn shortened(line: &str, place: usize) -> Shown {
    const WIDTH_MAX: usize = 160;
    let plain = |c: char| {
        if c == '\t' {
            ' '
        } else if c.is_control() {
            '·'
        } else {
            c
        }
    };
    let skipped = if line.width() > WIDTH_MAX { place.saturating_sub(40) } else { 0 };
    let mut text = String::from(if skipped > 0 { "…" } else { "" });
    let mut before = text.width();
    for (index, c) in line.chars().enumerate().skip(skipped) {
        if text.width() >= WIDTH_MAX {
            text.push('…');
            break;
        }
        if index < place {
            before += plain(c).width().unwrap_or(0);
        }
        text.push(plain(c));
    }
    Shown { text, before }
}

fn floor_char(text: &str, mut index: usize) -> usize {
    index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

#[derive(Debug)]
struct Drawn {
    message: String,
    help: Option<String>,
    label: &'static str,
    span: Range<usize>,
    source: Option<NamedSource<Arc<str>>>,
}

impl Drawn {
    fn of(diagnostic: &Diagnostic, language: Language) -> Drawn {
        let source = (!diagnostic.source.is_empty())
            .then(|| NamedSource::new(diagnostic.file.clone(), diagnostic.source.clone()));
        let message = diagnostic.message.for_language(language);
        let message = match source {
            Some(_) => message.to_owned(),
            None => format!("{}: {message}", diagnostic.file),
        };
        let help = diagnostic.help.as_ref().map(|help| help.for_language(language).to_owned());
        let label = match language {
            Language::En => "here",
            Language::Ko => "여기",
        };
        Drawn { message, help, label, span: diagnostic.span.clone(), source }
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawn {}

impl miette::Diagnostic for Drawn {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        let length = self.span.len().max(1);
        Some(Box::new(std::iter::once(LabeledSpan::new(
            Some(self.label.to_owned()),
            self.span.start,
            length,
        ))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_wide_characters() {
        let source: Arc<str> = "title: {ko: 리더, enn: x}\n".into();
        let start = source.find("enn").unwrap();
        let diagnostic = Diagnostic::new("lab.yaml", &source, start..start + 3, "unknown field `enn`");
        let expected = "lab.yaml:1:17: unknown field `enn`\n 1 | title: {ko: 리더, enn: x}\n   |                   ^^^\n";
        assert_eq!(diagnostic.render_plain(Language::En), expected);
        assert!(diagnostic.render_fancy(Language::En, 80).contains("unknown field"));
    }

    #[test]
    fn a_place_inside_a_character_or_past_the_end_does_not_panic() {
        let source: Arc<str> = "리".into();
        assert_eq!(Diagnostic::new("a", &source, 1..2, "x").column, 1);
        assert_eq!(Diagnostic::new("a", &source, 99..100, "x").column, 2);
        assert!(Diagnostic::of_file("a", "x").render_fancy(Language::Ko, 80).contains("a: x"));
    }
}
