//! How a command ends: its exit code, and the one report on stderr of one that could not do its work.

use std::path::Path;
use std::process::ExitCode;

use labkit_lab::Diagnostic;
use serde_json::json;

use crate::screen::{Ink, Screen, say, wrap};

/// The exit codes, as the documentation promises them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// 0: all passed.
    Passed,
    /// 1: something failed, or scored less than full.
    Failed,
    /// 2: bad usage, or a bad file.
    Usage,
    /// 3: a bug of the engine.
    Bug,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// How a command ended.
pub type Outcome = Result<Exit, Failure>;

/// Why a command could not do its work, for people.
#[derive(Debug, Clone)]
pub struct Failure {
    pub exit: Exit,
    /// One sentence.
    pub message: String,
    /// What to do next.
    pub next: Option<String>,
    /// Problems of files, where that is what is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), next: None, diagnostics: Vec::new() }
    }

    /// Something did not work out, through nobody's mistake on the command line.
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Failed, message)
    }

    /// The command or a file is wrong.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    pub fn bug(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Bug, message)
    }

    /// A file or folder that cannot be used, with the system's own words.
    pub fn file(attempt: &str, path: &Path, error: &std::io::Error) -> Failure {
        Failure::usage(format!("cannot {attempt} {}: {error}", path.display()))
    }

    /// Files with problems in them.
    pub fn diagnostics(screen: &Screen, diagnostics: Vec<Diagnostic>) -> Failure {
        let count = diagnostics.len();
        let plural = if count == 1 { "" } else { "s" };
        let message = say!(screen.language, "{count} problem{plural} found", "문제 {count}개를 찾았습니다");
        Failure { diagnostics, ..Failure::usage(message) }
    }

    pub fn next(mut self, step: impl Into<String>) -> Failure {
        self.next = Some(step.into());
        self
    }

    /// Reports on stderr.
    pub fn report(&self, screen: &Screen) {
        if screen.json {
            let places = |d: &Diagnostic| json!({"file": d.file, "line": d.line, "column": d.column, "message": d.message.for_language(screen.language), "help": d.help.as_ref().map(|help| help.for_language(screen.language))});
            let diagnostics: Vec<_> = self.diagnostics.iter().map(places).collect();
            let error = json!({"message": self.message, "next": self.next, "diagnostics": diagnostics});
            eprintln!("{}", json!({ "error": error }));
            return;
        }
        for diagnostic in &self.diagnostics {
            if screen.has_color_errors() {
                eprintln!("{}", diagnostic.render_fancy(screen.language, screen.width));
            } else {
                eprintln!("{}", diagnostic.render_plain(screen.language));
            }
        }
        let label = match self.exit {
            Exit::Bug => say!(screen.language, "bug in labkit", "labkit의 버그"),
            Exit::Passed | Exit::Failed | Exit::Usage => say!(screen.language, "error", "오류"),
        };
        let text = wrap(&format!("{label}: {}", self.message), screen.prose_width(), "");
        let text = text.replacen(&label, &screen.paint_error(Ink::Red, &label), 1);
        eprint!("{text}");
        if let Some(next) = &self.next {
            let label = say!(screen.language, "next", "다음");
            let text = wrap(&format!("{label}: {next}"), screen.prose_width(), "  ");
            eprint!("{}", text.replacen(&label, &screen.paint_error(Ink::Cyan, &label), 1));
        }
    }
}
