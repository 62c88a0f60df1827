//! README.md and README.ko.md: both are there, their directives are known, every task has its place, and links and
//! images lead to files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::join;
use crate::diagnostic::Diagnostic;
use crate::document::{list_of, suggestion};
use crate::files::Files;
use crate::lab::Lab;
use crate::text::{Language, Text, text};

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

/// `[text](where)` and `![text](where)`.
static LINK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\]\(\s*<?([^)\s>]*)>?(?:\s+"[^"]*")?\s*\)"#).expect("a constant"));

static CODE_SPAN: LazyLock<Regex> = LazyLock::new(|| Regex::new("`[^`]*`").expect("a constant"));

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
            Err(error) => problems.push(Diagnostic::of_file(
                &path,
                text!("cannot be read: {error}", "읽을 수 없습니다: {error}"),
            )),
            Ok(Err(_)) => {
                problems.push(Diagnostic::of_file(&path, Text::new("is not UTF-8", "UTF-8 이 아닙니다")))
            }
            Ok(Ok(text)) => {
                problems.extend(check(&path, &text, lab));
                problems.extend(dead_links(files, folder, &path, &text));
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
            let mut problem = |message: Text| {
                let problem =
                    Diagnostic::new(path, &source, start + whole.start()..start + whole.end(), message);
                problems.push(problem);
            };
            let (name, argument) = (&directive[1], directive.get(2).map(|argument| argument.as_str()));
            match argument {
                _ if line.trim() != whole.as_str() => problem(Text::new(
                    "a directive stands on a line of its own",
                    "지시어는 한 줄에 홀로 씁니다",
                )),
                Some(task) if OF_TASK.contains(&name) => {
                    if tasks().any(|id| id == task) {
                        named.extend((name == "task").then(|| task.to_owned()));
                    } else {
                        let help = suggestion(task, tasks());
                        problem(text!(
                            "the lab has no task `{task}`; {help}",
                            "실습에 과제 `{task}` 이(가) 없습니다. {help}",
                            help
                        ));
                    }
                }
                None if OF_TASK.contains(&name) => problem(text!(
                    "`{name}` needs the id of a task: {{{{{name} ID}}}}",
                    "`{name}` 에는 과제의 id 가 필요합니다: {{{{{name} ID}}}}"
                )),
                None if ALONE.contains(&name) => {}
                Some(_) if ALONE.contains(&name) => problem(text!(
                    "`{name}` stands without an argument",
                    "`{name}` 에는 인자를 쓰지 않습니다"
                )),
                _ => {
                    let known = list_of(OF_TASK.into_iter().chain(ALONE));
                    problem(text!(
                        "no directive `{name}`; there are {known}",
                        "지시어 `{name}` 은(는) 없습니다. 있는 것: {known}",
                        known
                    ));
                }
            }
        }
    }
    for task in tasks().filter(|task| !named.contains(*task)) {
        let end = text.len();
        let message = text!("the task `{task}` has no place here", "과제 `{task}` 의 자리가 없습니다");
        problems.push(
            Diagnostic::new(path, &source, end..end, message)
                .with_help(text!("add a line {{{{task {task}}}}}", "{{{{task {task}}}}} 줄을 넣으세요")),
        );
    }
    problems
}

/// Links to files of the lab, or of a lab beside it, that are not there. What leads elsewhere is not followed: a lab
/// is read without a network.
fn dead_links(files: &dyn Files, folder: &str, path: &str, text: &str) -> Vec<Diagnostic> {
    let source: Arc<str> = text.into();
    let mut problems = Vec::new();
    for (start, line) in prose_lines(text) {
        let line = CODE_SPAN.replace_all(line, |span: &regex::Captures<'_>| " ".repeat(span[0].len()));
        for link in LINK.captures_iter(&line) {
            let target = link.get(1).expect("the group is not optional");
            let problem = match target.as_str().split(['#', '?']).next().unwrap_or_default() {
                "" if target.is_empty() => {
                    Some(Text::new("the link leads nowhere", "링크에 목적지가 없습니다"))
                }
                "" => None,
                file if file.contains(':') || file.starts_with('/') => None,
                file => within(folder, file).filter(|file| files.read(file).is_err()).map(|file| {
                    text!(
                        "the link leads to {file}, which is not there",
                        "링크가 가리키는 {file} 이(가) 없습니다"
                    )
                }),
            };
            let place = start + target.start()..start + target.end();
            problems.extend(problem.map(|message| Diagnostic::new(path, &source, place, message)));
        }
    }
    problems
}

/// A relative path as seen from the root of the files; `None` where it leads out of them.
fn within(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The lines that are no code, each with its offset.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut offset, mut fenced) = (0, false);
    text.split_inclusive('\n').filter_map(move |line| {
        let start = offset;
        offset += line.len();
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((start, line))
    })
}

/// The lines of code of each task, without comments; those before the first task under the empty name.
pub(crate) fn commands_by_task(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut commands: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut task, mut fenced) = (String::new(), false);
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            let code = line.split(" #").next().unwrap_or_default().trim_end();
            if !code.is_empty() && !code.starts_with('#') {
                commands.entry(task.clone()).or_default().push(code.to_owned());
            }
        } else if let Some(id) = line.strip_prefix("{{task ").and_then(|rest| rest.strip_suffix("}}")) {
            task = id.trim().to_owned();
        }
    }
    commands
}
