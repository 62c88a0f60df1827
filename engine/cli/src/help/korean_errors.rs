//! What is wrong with a command line, in Korean. clap says it in English.

use std::error::Error as _;
use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::screen::{Ink, Screen};

/// The report of a wrong command line; `None` for what is no mistake, such as `--help`.
pub(super) fn report(error: &clap::Error, screen: &Screen) -> Option<String> {
    let what = mistake(error)?;
    let mut out = format!("{} {what}\n", screen.paint_error(Ink::Red, "오류:"));
    for kind in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue] {
        if let Some(near) = quoted(error, kind) {
            let _ = writeln!(out, "\n  {} {near} 인가요?", screen.paint_error(Ink::Cyan, "도움:"));
        }
    }
    if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
        let usage = usage.to_string();
        let _ = write!(out, "\n사용법: {}\n", usage.strip_prefix("Usage:").unwrap_or(&usage).trim());
    }
    out.push_str("\n자세한 것은 '--help' 를 보세요.\n");
    Some(out)
}

fn mistake(error: &clap::Error) -> Option<String> {
    let of = |kind| quoted(error, kind).unwrap_or_default();
    let argument = of(ContextKind::InvalidArg);
    let value = of(ContextKind::InvalidValue);
    Some(match error.kind() {
        ErrorKind::InvalidValue if value == "''" => {
            format!("{argument} 에 값이 필요합니다{}", listed(error, ContextKind::ValidValue))
        }
        ErrorKind::InvalidValue => {
            let known = listed(error, ContextKind::ValidValue);
            format!("{argument} 에 쓸 수 없는 값 {value}{known}")
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map_or_else(String::new, |source| format!(": {source}"));
            format!("{argument} 에 쓸 수 없는 값 {value}{why}")
        }
        ErrorKind::UnknownArgument => format!("모르는 인자 {argument}"),
        ErrorKind::InvalidSubcommand => format!("모르는 명령 {}", of(ContextKind::InvalidSubcommand)),
        ErrorKind::NoEquals => format!("{argument} 의 값은 = 으로 붙여 씁니다"),
        ErrorKind::TooManyValues => format!("{argument} 에 값이 너무 많습니다: {value}"),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("{argument} 에 값의 개수가 맞지 않습니다")
        }
        ErrorKind::ArgumentConflict => match of(ContextKind::PriorArg) {
            prior if prior == argument => format!("{argument} 은(는) 한 번만 쓸 수 있습니다"),
            prior => format!("{argument} 은(는) {prior} 과(와) 함께 쓸 수 없습니다"),
        },
        ErrorKind::MissingRequiredArgument => {
            format!("필요한 인자가 없습니다: {argument}")
        }
        ErrorKind::MissingSubcommand => {
            let known = listed(error, ContextKind::ValidSubcommand);
            format!("{} 다음에 명령이 필요합니다{known}", of(ContextKind::InvalidSubcommand))
        }
        ErrorKind::InvalidUtf8 => "인자가 UTF-8 이 아닙니다".to_owned(),
        _ => return None,
    })
}

/// The values of a context, each in quotation marks.
fn quoted(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(format!("'{text}'")),
        ContextValue::Strings(texts) => {
            Some(texts.iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

/// What may stand there, in a line of its own.
fn listed(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::Strings(known)) if !known.is_empty() => {
            format!("\n  [쓸 수 있는 것: {}]", known.join(", "))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let screen = Screen::new(labkit_lab::Language::Ko, false, true);
        let words = std::iter::once("labkit").chain(line.split(' '));
        let error = super::super::command(&screen).try_get_matches_from(words).unwrap_err();
        let report = report(&error, &screen).unwrap();
        for part in expected {
            assert!(report.contains(part), "{part}\n{report}");
        }
        assert!(!report.contains("error:") && !report.contains("tip:"), "{report}");
    }

    #[test]
    fn mistakes_are_told_in_korean() {
        check("zzz", &["오류: 모르는 명령 'zzz'", "사용법: labkit ", "'--help'"]);
        check("stat", &["모르는 명령 'stat'", "'status'", "인가요?"]);
        check("start --coarse x", &["모르는 인자 '--coarse'", "'--course' 인가요?"]);
        check("grade", &["필요한 인자가 없습니다: '<LAB>', '<DIR>'", "사용법: labkit grade"]);
        check("run 2.4 --seed x", &["'--seed <N>' 에 쓸 수 없는 값 'x': "]);
        check("tour --lang de", &["쓸 수 없는 값 'de'", "[쓸 수 있는 것: en, ko]"]);
        check("run 2.4 --seed 1 --seed 2", &["한 번만"]);
    }

    #[test]
    fn help_is_no_mistake() {
        let screen = Screen::new(labkit_lab::Language::Ko, false, true);
        let error = super::super::command(&screen).try_get_matches_from(["labkit", "--help"]).unwrap_err();
        assert_eq!(report(&error, &screen), None);
    }
}
