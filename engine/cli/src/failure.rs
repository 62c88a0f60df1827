//! How a command ends: its exit code, and the one report on stderr of one that could not do its work.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use labkit_lab::{Diagnostic, Language};
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

/// The language of this process, for failures that arise where no screen is at hand.
static SPOKEN: OnceLock<Language> = OnceLock::new();

/// Says in which language this process speaks; the first word counts.
pub fn speak(language: Language) {
    let _ = SPOKEN.set(language);
}

/// The language of this process.
pub fn spoken() -> Language {
    SPOKEN.get().copied().unwrap_or_default()
}

/// `write to` as what cannot be done.
fn korean_attempt(attempt: &str) -> &str {
    match attempt {
        "find" => "찾을",
        "listen on" => "접속을 받을",
        "make" => "만들",
        "make a folder in" => "안에 폴더를 만들",
        "make the state folder" => "상태 폴더를 만들",
        "note your progress in" => "진행 상황을 적을",
        "read" => "읽을",
        "read the class in" => "학급을 읽을",
        "read the lab" => "실습을 읽을",
        "read the last run in" => "마지막 실행을 읽을",
        "read the snapshot" => "스냅숏을 읽을",
        "use the folder" => "폴더를 쓸",
        "write reports to" | "write the report to" => "보고서를 쓸",
        "write the snapshot" => "스냅숏을 쓸",
        "write" | "write to" => "쓸",
        other => other,
    }
}

/// The usual reasons; others in the system's own words.
fn korean_reason(error: &std::io::Error) -> String {
    let reason = match error.kind() {
        ErrorKind::AlreadyExists => "이미 있습니다",
        ErrorKind::IsADirectory => "폴더입니다",
        ErrorKind::NotADirectory => "폴더가 아닌 것이 길에 있습니다",
        ErrorKind::NotFound => "그런 파일이나 폴더가 없습니다",
        ErrorKind::PermissionDenied => "권한이 없습니다",
        ErrorKind::ReadOnlyFilesystem => "읽기 전용 파일 시스템입니다",
        ErrorKind::StorageFull => "디스크가 가득 찼습니다",
        _ => return error.to_string(),
    };
    reason.to_owned()
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
        Failure::file_in(spoken(), attempt, path, error)
    }

    fn file_in(language: Language, attempt: &str, path: &Path, error: &std::io::Error) -> Failure {
        let path = path.display();
        let failure = Failure::usage(match language {
            Language::En => format!("cannot {attempt} {path}: {error}"),
            Language::Ko => {
                format!("{path}: {} 수 없습니다: {}", korean_attempt(attempt), korean_reason(error))
            }
        });
        let is_writing = ["write", "make", "note", "use"].iter().any(|verb| attempt.starts_with(verb));
        match error.kind() {
            ErrorKind::StorageFull => failure.next(say!(
                language,
                "make room on that disk, then try again",
                "그 디스크에 자리를 만든 뒤 다시 해 보세요"
            )),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if is_writing => failure.next(say!(
                language,
                "work in a folder that you may write to",
                "쓸 수 있는 폴더에서 해 보세요"
            )),
            _ => failure,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(language: Language, attempt: &str, kind: ErrorKind, expected: (&str, Option<&str>)) {
        let failure = Failure::file_in(language, attempt, Path::new("/x"), &kind.into());
        assert_eq!((failure.message.as_str(), failure.next.as_deref()), expected);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_in_both_languages_with_the_next_step() {
        use ErrorKind::*;
        let room = "make room on that disk, then try again";
        check(Language::En, "write", StorageFull, ("cannot write /x: no storage space", Some(room)));
        check(Language::En, "read", PermissionDenied, ("cannot read /x: permission denied", None));
        let elsewhere = "쓸 수 있는 폴더에서 해 보세요";
        let told = "/x: 상태 폴더를 만들 수 없습니다: 권한이 없습니다";
        check(Language::Ko, "make the state folder", PermissionDenied, (told, Some(elsewhere)));
        check(
            Language::Ko,
            "read the lab",
            NotFound,
            ("/x: 실습을 읽을 수 없습니다: 그런 파일이나 폴더가 없습니다", None),
        );
    }

    #[test]
    fn every_attempt_is_told_in_korean() {
        let attempts = attempts_of_this_crate();
        assert!(attempts.len() > 10, "{attempts:?}");
        for attempt in attempts {
            assert_ne!(korean_attempt(&attempt), attempt);
        }
    }

    /// The first argument of each `Failure::file(` in this crate.
    fn attempts_of_this_crate() -> Vec<String> {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut attempts = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let text = std::fs::read_to_string(entry.path()).unwrap();
                for call in text.split(concat!("Failure::", "file(")).skip(1) {
                    let first = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                    attempts.extend(first.map(str::to_owned));
                }
            }
        }
        attempts
    }
}
