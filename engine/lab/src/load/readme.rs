//! README.md and README.ko.md: both are there, their directives are known, and every task has its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::join;
use crate::diagnostic::Diagnostic;
use crate::document::{did_you_mean, list_of};
use crate::files::Files;
use crate::lab::Lab;
use crate::text::Language;

/// Directives that stand alone.
const ALONE: [&str; 4] = ["diagram", "objectives", "results", "timeline"];
/// Directives that name a task.
const OF_TASK: [&str; 2] = ["hints", "task"];

/// mdBook's own begin with `{{#`.
static DIRECTIVE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{\s*([A-Za-z]+)(?:\s+([^\s}]+))?\s*\}\}").expect("a constant"));

/// The file's name in a language.
pub(crate) fn file_name(language: Language) -> &'static str {
    match language {
        Language::En => "README.md",
        Language::Ko => "README.ko.md",
    }
}

pub(super) fn load(
    files: &dyn Files,
    folder: &str,
    lab: &Lab,
) -> (BTreeMap<Language, String>, Vec<Diagnostic>) {
    let mut prose = BTreeMap::new();
    let mut problems = Vec::new();
    for language in Language::ALL {
        let path = join(folder, file_name(language));
        match files.read(&path).map(String::from_utf8) {
            Err(error) => problems.push(Diagnostic::of_file(&path, format!("cannot be read: {error}"))),
            Ok(Err(_)) => problems.push(Diagnostic::of_file(&path, "is not UTF-8")),
            Ok(Ok(text)) => {
                problems.extend(check(&path, &text, lab));
                prose.insert(language, text);
            }
        }
    }
    (prose, problems)
}

fn check(path: &str, text: &str, lab: &Lab) -> Vec<Diagnostic> {
    let source: Arc<str> = text.into();
    let mut problems = Vec::new();
    let mut named = BTreeSet::new();
    let tasks = || lab.tasks.iter().map(|task| task.id.as_str());
    let (mut offset, mut fenced) = (0, false);
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for directive in DIRECTIVE.captures_iter(line) {
            let whole = directive.get(0).expect("group 0 is the match");
            let mut problem = |message: String| {
                let problem =
                    Diagnostic::new(path, &source, start + whole.start()..start + whole.end(), message);
                problems.push(problem);
            };
            let (name, argument) = (&directive[1], directive.get(2).map(|argument| argument.as_str()));
            match argument {
                _ if line.trim() != whole.as_str() => {
                    problem("a directive stands on a line of its own".to_owned())
                }
                Some(task) if OF_TASK.contains(&name) => {
                    if tasks().any(|id| id == task) {
                        named.extend((name == "task").then(|| task.to_owned()));
                    } else {
                        let near =
                            did_you_mean(task, tasks()).map(|near| format!("; did you mean `{near}`?"));
                        problem(format!(
                            "the lab has no task `{task}`{}",
                            near.unwrap_or_else(|| format!("; it has {}", list_of(tasks())))
                        ));
                    }
                }
                None if OF_TASK.contains(&name) => {
                    problem(format!("`{name}` needs the id of a task: {{{{{name} ID}}}}"))
                }
                None if ALONE.contains(&name) => {}
                Some(_) if ALONE.contains(&name) => problem(format!("`{name}` stands without an argument")),
                _ => problem(format!(
                    "no directive `{name}`; there are {}",
                    list_of(OF_TASK.into_iter().chain(ALONE))
                )),
            }
        }
    }
    for task in tasks().filter(|task| !named.contains(*task)) {
        let end = text.len();
        let message = format!("the task `{task}` has no place here");
        problems.push(
            Diagnostic::new(path, &source, end..end, message)
                .with_help(format!("add a line {{{{task {task}}}}}")),
        );
    }
    problems
}
