//! What the person in front of the terminal can see: language, colours, width; and the two ways out, text on
//! stdout and progress on stderr.

use std::io::{ErrorKind, IsTerminal, Write};

use labkit_lab::Language;
use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A sentence in the reader's language: `say!(screen.language, "{n} labs", "실습 {n}개")`.
macro_rules! say {
    ($language:expr, $en:literal, $ko:literal $(, $argument:expr)* $(,)?) => {
        match $language {
            labkit_lab::Language::En => format!($en $(, $argument)*),
            labkit_lab::Language::Ko => format!($ko $(, $argument)*),
        }
    };
}
pub(crate) use say;

/// Where text goes when no terminal says how wide it is.
const WIDTH_ELSEWHERE: usize = 80;

/// How many rows there are when no terminal says so.
const HEIGHT_ELSEWHERE: usize = 24;

/// Prose wider than this is hard to read.
const WIDTH_PROSE: usize = 100;

/// What a word means, as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Bold,
    Dim,
    Green,
    Red,
    Yellow,
    Cyan,
}

/// How to talk to the reader.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub language: Language,
    /// Output is for a program.
    pub json: bool,
    /// In columns.
    pub width: usize,
    /// In rows.
    pub height: usize,
    /// Whether stdout is a terminal.
    pub is_terminal: bool,
    color: bool,
    color_errors: bool,
}

impl Screen {
    /// The process's own terminal.
    pub fn new(language: Language, json: bool, no_color: bool) -> Screen {
        let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = !no_color && unset("NO_COLOR") && !dumb;
        let is_terminal = std::io::stdout().is_terminal();
        Screen {
            language,
            json,
            width: width(),
            height: height(),
            is_terminal,
            color: color && is_terminal,
            color_errors: color && std::io::stderr().is_terminal(),
        }
    }

    /// The same, for output that a program reads: no progress, no colours.
    pub fn for_programs(&self) -> Screen {
        Screen { json: true, color: false, color_errors: false, ..*self }
    }

    pub fn paint(&self, ink: Ink, text: &str) -> String {
        paint(self.color, ink, text)
    }

    pub fn paint_error(&self, ink: Ink, text: &str) -> String {
        paint(self.color_errors, ink, text)
    }

    /// Whether stdout takes colours.
    pub fn has_color(&self) -> bool {
        self.color
    }

    /// Whether stderr takes colours.
    pub fn has_color_errors(&self) -> bool {
        self.color_errors
    }

    /// Whether the terminal only takes one line after the other.
    pub fn is_dumb(&self) -> bool {
        std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
    }

    /// The same, as large as the terminal is now.
    pub fn measured(&self) -> Screen {
        Screen { width: width(), height: height(), ..*self }
    }

    /// Columns for prose.
    pub fn prose_width(&self) -> usize {
        self.width.min(WIDTH_PROSE)
    }

    /// Prints lines on stdout. A reader who went away (`labkit run | head`) ends the program quietly.
    pub fn print(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        let written = stdout.write_all(text.as_bytes());
        let written = written.and_then(|()| stdout.write_all(newline.as_bytes()));
        match written.and_then(|()| stdout.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(READER_GONE),
            Err(error) => {
                eprintln!("error: cannot write the output: {error}");
                std::process::exit(1);
            }
        }
    }

    /// Prints as it is, for a page that is drawn over itself. The terminal may be gone.
    pub fn print_raw(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    /// Prints a value for a program.
    pub fn print_json(&self, value: &impl Serialize) {
        self.print(&serde_json::to_string_pretty(value).expect("what is printed has string keys"));
    }

    /// Prints a value for a program that reads line by line.
    pub fn print_line(&self, value: &impl Serialize) {
        self.print(&serde_json::to_string(value).expect("what is printed has string keys"));
    }

    /// Prints a paragraph, wrapped, each line after `indent`.
    pub fn print_prose(&self, indent: &str, text: &str) {
        self.print(&wrap(text, self.prose_width(), indent));
    }
}

/// As a shell reports a process that SIGPIPE ended.
const READER_GONE: i32 = 141;

fn paint(color: bool, ink: Ink, text: &str) -> String {
    if !color || text.is_empty() {
        return text.to_owned();
    }
    let code = match ink {
        Ink::Bold => 1,
        Ink::Dim => 2,
        Ink::Green => 32,
        Ink::Red => 31,
        Ink::Yellow => 33,
        Ink::Cyan => 36,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

fn width() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = comfy_table::Table::new().width().map(usize::from);
    seen.or(told).filter(|columns| *columns > 0).unwrap_or(WIDTH_ELSEWHERE).max(24)
}

fn height() -> usize {
    terminal_size::terminal_size().map_or(HEIGHT_ELSEWHERE, |(_, height)| height.0.into())
}

/// Breaks paragraphs at blanks into lines of at most `width` columns, each after `indent`. Lines of the text
/// that begin with blanks are kept as they are: they are code.
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    let room = width.saturating_sub(columns(indent)).max(10);
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with(' ') || columns(line) <= room {
            push_line(&mut out, indent, line);
            continue;
        }
        // What belongs to an item of a list stands under its text.
        let hanging = if line.starts_with("- ") { "  " } else { "" };
        let mut current = String::new();
        for word in line.split_whitespace().flat_map(|word| parts(word, room - hanging.len())) {
            if !current.trim().is_empty() && columns(&current) + 1 + columns(word) > room {
                push_line(&mut out, indent, &current);
                current = hanging.to_owned();
            }
            if !current.trim().is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        push_line(&mut out, indent, &current);
    }
    out
}

/// A word that is wider than a line, in parts that fit; coloured ones stay whole.
fn parts(word: &str, room: usize) -> Vec<&str> {
    if word.width() <= room || word.contains('\u{1b}') {
        return vec![word];
    }
    let (mut parts, mut begin, mut used) = (Vec::new(), 0, 0);
    for (at, c) in word.char_indices() {
        let width = c.width().unwrap_or(0);
        if used + width > room {
            parts.push(&word[begin..at]);
            (begin, used) = (at, 0);
        }
        used += width;
    }
    parts.push(&word[begin..]);
    parts
}

/// How many columns a text takes; colours take none.
pub fn columns(text: &str) -> usize {
    let mut parts = text.split('\u{1b}');
    let plain = parts.next().unwrap_or_default().width();
    plain + parts.map(|part| part.split_once('m').map_or(0, |(_, text)| text.width())).sum::<usize>()
}

fn push_line(out: &mut String, indent: &str, line: &str) {
    if !line.is_empty() {
        out.push_str(indent);
        out.push_str(line);
    }
    out.push('\n');
}

/// `text`, filled with blanks to `width`; Korean characters take two.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// `text`, cut to `columns`.
pub fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut used = 0;
    let kept = text.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used < columns
    });
    format!("{}…", kept.collect::<String>())
}

/// The language of `--lang`, else of the environment as a C library would choose it.
pub fn language(wanted: Option<&str>) -> Language {
    let variable = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let told = wanted.map(str::to_owned);
    let told = told.or_else(|| ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(variable));
    if told.is_some_and(|told| told.to_ascii_lowercase().starts_with("ko")) {
        Language::Ko
    } else {
        Language::En
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_broken_at_blanks_and_code_is_left_alone() {
        let text = "one two three four\n  $ a line of code that is longer than the rest\n";
        let expected = "> one two\n> three four\n>   $ a line of code that is longer than the rest\n";
        assert_eq!(wrap(text, 14, "> "), expected);
        assert_eq!(wrap("- one two three", 9, ""), "- one two\n  three\n");
        assert_eq!(wrap("one abcdefghijklmnop two", 10, ""), "one\nabcdefghij\nklmnop two\n");
        assert_eq!(wrap("가나다라마바사", 10, ""), "가나다라마\n바사\n");
        assert_eq!(wrap("\u{1b}[1mone\u{1b}[0m two", 10, ""), "\u{1b}[1mone\u{1b}[0m two\n");
    }

    #[test]
    fn korean_takes_two_columns() {
        assert_eq!(pad("리더", 6), "리더  ");
        assert_eq!(cut("리더 선출", 6), "리더 …");
        assert_eq!(cut("leader", 6), "leader");
    }
}
