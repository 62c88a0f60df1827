//! `labkit check`: done, not yet, and why.

use labkit_lab::Language;

use crate::arguments::LiveArguments;
use crate::commands::live::ask;
use crate::control::replies::{CheckView, Checked, Mark, Question};
use crate::control::{Request, choose};
use crate::failure::{Exit, Outcome};
use crate::screen::{Ink, Screen, pad, say, wrap};

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    All,
    /// Tasks that are done, in one line each.
    Present,
    /// And why, only of the first check that is open.
    First,
    /// And nothing of the tasks to come.
    Least,
}

pub fn run(screen: &Screen, arguments: LiveArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let checked: Checked = ask(screen, &lab, &Request::Check {})?;
    let exit = match (checked.bugs.is_empty(), checked.points == checked.points_max) {
        (false, _) => Exit::Bug,
        (true, true) => Exit::Passed,
        (true, false) => Exit::Failed,
    };
    if screen.json {
        screen.print_json(&checked);
        return Ok(exit);
    }
    page(screen, &checked, Detail::All).iter().for_each(|line| screen.print(line));
    Ok(exit)
}

/// What `check` prints, line by line.
fn page(screen: &Screen, checked: &Checked, detail: Detail) -> Vec<String> {
    let mut page = tasks(screen, checked, detail);
    page.push(String::new());
    page.push(points(screen, checked));
    let questions = questions(screen, &checked.questions);
    page.extend((!questions.is_empty()).then(String::new));
    page.extend(questions);
    page.extend(bugs(screen, checked));
    page.extend(next(screen, checked));
    page
}

/// The tasks with their checks.
pub fn tasks(screen: &Screen, checked: &Checked, detail: Detail) -> Vec<String> {
    let language = screen.language;
    let (mut page, mut has_told_why) = (Vec::new(), false);
    for (index, task) in checked.tasks.iter().enumerate() {
        let title = task.title.as_ref().map_or(task.id.as_str(), |title| title.for_language(language));
        let number = say!(language, "Task {}", "과제 {}", index + 1);
        let is_done = checked.current_task.is_none_or(|current| index < current);
        if !task.begun {
            if detail != Detail::Least {
                page.extend(wrapped(screen, Ink::Dim, &format!("{number} {title}"), "  "));
            }
            continue;
        }
        if is_done && detail != Detail::All {
            if detail != Detail::Least {
                page.extend(wrapped(screen, Ink::Green, &format!("✓ {number} {title}"), "  "));
            }
            continue;
        }
        let head = format!("{} {title}", screen.paint(Ink::Bold, &number));
        page.extend(wrap(&head, screen.prose_width(), "").lines().map(str::to_owned));
        for check in &task.checks {
            let tells_why = matches!(detail, Detail::All | Detail::Present) || !has_told_why;
            let lines = of_check(screen, check, tells_why);
            has_told_why |= lines.len() > 1 && is_open(check);
            page.extend(lines);
        }
    }
    page
}

fn wrapped(screen: &Screen, ink: Ink, text: &str, hanging: &str) -> Vec<String> {
    let text = wrap(text, screen.prose_width(), hanging);
    text.trim_start().lines().map(|line| screen.paint(ink, line)).collect()
}

/// `7/15 points`
pub fn points(screen: &Screen, checked: &Checked) -> String {
    let points = format!("{}/{}", checked.points, checked.points_max);
    let ink = if checked.points == checked.points_max { Ink::Green } else { Ink::Yellow };
    format!("{} {}", screen.paint(ink, &points), say!(screen.language, "points", "점"))
}

/// Panics of components: bugs of the engine.
pub fn bugs(screen: &Screen, checked: &Checked) -> Vec<String> {
    let line = |bug: &String| say!(screen.language, "bug in labkit: {bug}", "labkit의 버그: {bug}");
    checked.bugs.iter().flat_map(|bug| wrapped(screen, Ink::Red, &line(bug), "  ")).collect()
}

/// How a check stands: its mark, the mark's colour, and a word.
pub fn verdict(screen: &Screen, mark: Mark) -> (&'static str, Ink, String) {
    let language = screen.language;
    match mark {
        Mark::Passed => ("✓", Ink::Green, say!(language, "done", "완료")),
        Mark::SoFar => ("✓", Ink::Cyan, say!(language, "so far", "지금까지는")),
        Mark::NotYet => ("…", Ink::Yellow, say!(language, "not yet", "아직")),
        Mark::Failed => ("✗", Ink::Red, say!(language, "not right", "틀림")),
        Mark::Skipped => ("-", Ink::Dim, say!(language, "later", "나중에")),
    }
}

fn is_open(check: &CheckView) -> bool {
    !matches!(check.verdict, Mark::Passed | Mark::SoFar | Mark::Skipped)
}

fn of_check(screen: &Screen, check: &CheckView, tells_why: bool) -> Vec<String> {
    let language = screen.language;
    let (mark, ink, word) = verdict(screen, check.verdict);
    let title = check.title.for_language(language);
    let points = format!("{}/{}", check.points, check.points_max);
    let head = wrap(&format!("{title}  {points}  {word}"), screen.prose_width(), "    ");
    let head = format!("  {} {}", screen.paint(ink, mark), head.trim_start());
    let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
    if !is_open(check) || check.unanswered.is_some() || !tells_why {
        return lines;
    }
    let expected = say!(language, "expected", "기대");
    let actual = say!(language, "found", "실제");
    let error = say!(language, "error", "오류");
    let look = say!(language, "look at", "살펴볼 것");
    let hint = check.hint.as_ref().map(|hint| hint.for_language(language).to_owned());
    let (wanted, found) = check.said_in(language);
    let rows = [
        (expected, Some(wanted.to_owned())),
        (actual, Some(found.to_owned())),
        (error, check.error.clone()),
        (look, hint),
    ];
    for (label, text) in rows {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            lines.extend(row(screen, &label, &text).lines().map(str::to_owned));
        }
    }
    lines
}

/// `expected  a text that goes on under itself`
pub fn row(screen: &Screen, label: &str, text: &str) -> String {
    let columns = match screen.language {
        Language::En => 9,
        Language::Ko => 10,
    };
    let indent = " ".repeat(4 + columns);
    let wrapped = wrap(text, screen.prose_width(), &indent);
    let label = screen.paint(Ink::Dim, &pad(label, columns));
    format!("    {label}{}", wrapped.trim_start())
}

/// The questions that want an answer, line by line.
pub fn questions(screen: &Screen, questions: &[Question]) -> Vec<String> {
    let language = screen.language;
    let mut lines = Vec::new();
    for question in questions.iter().filter(|question| !question.is_right) {
        if lines.is_empty() {
            lines.push(screen.paint(Ink::Bold, &say!(language, "Questions", "질문")));
        }
        let title = question.title.for_language(language);
        let given = question.answer.as_ref().map(|answer| {
            let answer = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
            say!(language, "  (not {answer})", "  ({answer} 아님)")
        });
        let text = format!("{title}{}", given.unwrap_or_default());
        lines.extend(wrap(&text, screen.prose_width(), "  ").lines().map(str::to_owned));
        let value = say!(language, "VALUE", "값");
        let command = screen.paint(Ink::Cyan, &format!("labkit answer {} {value}", question.id));
        lines.push(format!("    {command}"));
    }
    lines
}

fn next(screen: &Screen, checked: &Checked) -> Vec<String> {
    let language = screen.language;
    let mut lines = vec![String::new()];
    let mut say = |text: &str| lines.extend(wrap(text, screen.prose_width(), "").lines().map(str::to_owned));
    match checked.current_task.map(|index| (index, &checked.tasks[index])) {
        None => say(&say!(
            language,
            "All done. labkit submit writes what you did; labkit stop ends the lab.",
            "모두 끝났습니다. labkit submit 은 한 일을 제출물로 쓰고, labkit stop 은 실습을 끝냅니다."
        )),
        Some((index, task)) if checked.is_new_task => {
            let title = task.title.as_ref().map_or(task.id.as_str(), |title| title.for_language(language));
            let head = say!(
                language,
                "Next: task {} of {}, {title}",
                "다음: 과제 {}/{}, {title}",
                index + 1,
                checked.tasks.len()
            );
            say(&screen.paint(Ink::Bold, &head));
            say(task.text.for_language(language));
        }
        Some(_) => say(&say!(
            language,
            "labkit hint gives a hint; check again after each step, or let labkit watch do it.",
            "labkit hint 는 힌트를 줍니다. 한 걸음마다 다시 검사하거나, labkit watch 에 맡기세요."
        )),
    }
    lines
}
