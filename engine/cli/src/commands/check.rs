//! `labkit check`: done, not yet, and why.

use labkit_lab::Language;

use crate::arguments::LiveArguments;
use crate::commands::live::ask;
use crate::control::replies::{CheckView, Checked, Mark, Question};
use crate::control::{Request, choose};
use crate::failure::{Exit, Outcome};
use crate::screen::{Ink, Screen, pad, say, wrap};

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
    print(screen, &checked);
    Ok(exit)
}

fn print(screen: &Screen, checked: &Checked) {
    let language = screen.language;
    for (index, task) in checked.tasks.iter().enumerate() {
        let title = task.title.as_ref().map_or(task.id.as_str(), |title| title.for_language(language));
        let number = say!(language, "Task {}", "과제 {}", index + 1);
        if !task.begun {
            screen.print(&screen.paint(Ink::Dim, &format!("{number} {title}")));
            continue;
        }
        screen.print(&format!("{} {title}", screen.paint(Ink::Bold, &number)));
        for check in &task.checks {
            print_check(screen, check);
        }
    }
    let points = format!("{}/{}", checked.points, checked.points_max);
    let ink = if checked.points == checked.points_max { Ink::Green } else { Ink::Yellow };
    let label = say!(language, "points", "점");
    screen.print(&format!("\n{} {label}", screen.paint(ink, &points)));
    if checked.questions.iter().any(|question| !question.is_right) {
        screen.print("");
    }
    print_questions(screen, &checked.questions);
    for bug in &checked.bugs {
        screen
            .print(&screen.paint(Ink::Red, &say!(language, "bug in labkit: {bug}", "labkit의 버그: {bug}")));
    }
    print_next(screen, checked);
}

fn print_check(screen: &Screen, check: &CheckView) {
    let language = screen.language;
    let (mark, ink, word) = match check.verdict {
        Mark::Passed => ("✓", Ink::Green, say!(language, "done", "완료")),
        Mark::SoFar => ("✓", Ink::Cyan, say!(language, "so far", "지금까지는")),
        Mark::NotYet => ("…", Ink::Yellow, say!(language, "not yet", "아직")),
        Mark::Failed => ("✗", Ink::Red, say!(language, "not right", "틀림")),
        Mark::Skipped => ("-", Ink::Dim, say!(language, "later", "나중에")),
    };
    let title = check.title.for_language(language);
    let points = format!("{}/{}", check.points, check.points_max);
    let head = format!("{title}  {points}  {word}");
    let wrapped = wrap(&head, screen.prose_width(), "    ");
    screen.print(&format!("  {} {}", screen.paint(ink, mark), wrapped.trim_start()));
    if matches!(check.verdict, Mark::Passed | Mark::SoFar | Mark::Skipped) || check.unanswered.is_some() {
        return;
    }
    let expected = say!(language, "expected", "기대");
    let actual = say!(language, "found", "실제");
    let error = say!(language, "error", "오류");
    let look = say!(language, "look at", "살펴볼 것");
    let hint = check.hint.as_ref().map(|hint| hint.for_language(language).to_owned());
    let rows = [
        (expected, Some(check.expected.clone())),
        (actual, Some(check.actual.clone())),
        (error, check.error.clone()),
        (look, hint),
    ];
    for (label, text) in rows {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            print_row(screen, &label, &text);
        }
    }
}

/// `expected  a text that goes on under itself`
pub fn print_row(screen: &Screen, label: &str, text: &str) {
    let columns = match screen.language {
        Language::En => 9,
        Language::Ko => 10,
    };
    let indent = " ".repeat(4 + columns);
    let wrapped = wrap(text, screen.prose_width(), &indent);
    let label = screen.paint(Ink::Dim, &pad(label, columns));
    screen.print(&format!("    {label}{}", wrapped.trim_start()));
}

/// The questions that want an answer.
pub fn print_questions(screen: &Screen, questions: &[Question]) {
    let open: Vec<&Question> = questions.iter().filter(|question| !question.is_right).collect();
    if open.is_empty() {
        return;
    }
    let language = screen.language;
    screen.print(&screen.paint(Ink::Bold, &say!(language, "Questions", "질문")));
    for question in open {
        let title = question.title.for_language(language);
        let given = question.answer.as_ref().map(|answer| {
            let answer = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
            say!(language, "  (not {answer})", "  ({answer} 아님)")
        });
        screen.print_prose("  ", &format!("{title}{}", given.unwrap_or_default()));
        let value = say!(language, "VALUE", "값");
        screen.print(&format!(
            "    {}",
            screen.paint(Ink::Cyan, &format!("labkit answer {} {value}", question.id))
        ));
    }
}

fn print_next(screen: &Screen, checked: &Checked) {
    let language = screen.language;
    let text = match checked.current_task.map(|index| (index, &checked.tasks[index])) {
        None => say!(
            language,
            "All done. labkit submit writes what you did; labkit stop ends the lab.",
            "모두 끝났습니다. labkit submit 은 한 일을 제출물로 쓰고, labkit stop 은 실습을 끝냅니다."
        ),
        Some((index, task)) if checked.is_new_task => {
            let title = task.title.as_ref().map_or(task.id.as_str(), |title| title.for_language(language));
            let head = say!(
                language,
                "Next: task {} of {}, {title}",
                "다음: 과제 {}/{}, {title}",
                index + 1,
                checked.tasks.len()
            );
            screen.print(&format!("\n{}", screen.paint(Ink::Bold, &head)));
            screen.print_prose("", task.text.for_language(language));
            return;
        }
        Some(_) => say!(
            language,
            "labkit hint gives a hint; check again after each step.",
            "labkit hint 는 힌트를 줍니다. 한 걸음마다 다시 검사하세요."
        ),
    };
    screen.print("");
    screen.print_prose("", &text);
}
