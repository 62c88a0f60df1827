//! `labkit timeline`: what happened, message by message; or the store as it was at a revision.

use labkit_cluster::TimelineEntry;
use labkit_lab::{FaultReport, Past, Query, Report, StepReport, Wanted};
use serde_json::json;

use crate::arguments::{TimelineArguments, TimelineFormat};
use crate::commands::live::ask;
use crate::control::{Request, choose};
use crate::failure::{Exit, Failure, Outcome};
use crate::last_run;
use crate::screen::{Ink, Screen, cut, pad, say};
use crate::state::State;

/// How many messages a terminal is shown.
const ON_A_TERMINAL: usize = 60;

/// Below this many columns a message gets a line of its own.
const WIDE: usize = 70;

pub fn run(screen: &Screen, arguments: &TimelineArguments) -> Outcome {
    let object = arguments.object.as_deref().map(|text| wanted(screen, text)).transpose()?;
    if let Some(revision) = arguments.at {
        return at(screen, arguments, revision, object);
    }
    let query = Query { object, component: arguments.component.clone() };
    let mut report = report(screen, arguments, &query)?;
    let limit = arguments.limit.unwrap_or(if screen.is_terminal { ON_A_TERMINAL } else { usize::MAX });
    let left_out = report.timeline.len().saturating_sub(limit);
    report.timeline.drain(..left_out);
    match arguments.format {
        Some(TimelineFormat::Json) => print_json(screen, &report),
        None if screen.json => print_json(screen, &report),
        Some(TimelineFormat::Text) | None => print_text(screen, &report, &query, left_out),
        #[cfg(feature = "book")]
        Some(TimelineFormat::Mermaid) => screen.print(&labkit_book::diagram_of_run(&report, in_book(screen))),
        #[cfg(feature = "book")]
        Some(TimelineFormat::Html) => {
            screen.print(&labkit_book::page_of_run(&report, in_book(screen), super::book::mermaid()));
        }
    }
    Ok(Exit::Passed)
}

fn wanted(screen: &Screen, text: &str) -> Result<Wanted, Failure> {
    Wanted::parse(text).map_err(|message| {
        let message = message.for_language(screen.language);
        let next = say!(
            screen.language,
            "labkit timeline --object pod/web, or key/NAME for a key of etcd",
            "labkit timeline --object pod/web, etcd의 키는 key/NAME"
        );
        Failure::usage(message).next(next)
    })
}

#[cfg(feature = "book")]
fn in_book(screen: &Screen) -> labkit_book::Language {
    match screen.language {
        labkit_lab::Language::En => labkit_book::Language::En,
        labkit_lab::Language::Ko => labkit_book::Language::Ko,
    }
}

/// The running lab so far, else the last run.
fn report(screen: &Screen, arguments: &TimelineArguments, query: &Query) -> Result<Report, Failure> {
    if !is_of_last_run(arguments)? {
        let lab = choose(screen, arguments.which.name.as_deref())?;
        return ask(screen, &lab, &Request::Timeline { query: query.clone() });
    }
    let mut report = last_run::read()?.ok_or_else(|| {
        let message = say!(
            screen.language,
            "no lab is running, and none has run",
            "실행 중인 실습도, 실행했던 실습도 없습니다"
        );
        Failure::usage(message).next("labkit start LAB, or labkit run LAB --solution")
    })?;
    report.timeline = query.of(std::mem::take(&mut report.timeline));
    Ok(report)
}

fn print_json(screen: &Screen, report: &Report) {
    screen.print_json(&json!({
        "lab": report.lab, "submission": report.submission, "faults": report.faults, "steps": report.steps,
        "timeline": report.timeline,
    }));
}

/// One line of the timeline.
enum Line<'a> {
    Strikes(&'a FaultReport),
    Heals(&'a FaultReport),
    Done(&'a StepReport),
    Message(&'a TimelineEntry),
    /// What a long run's report does not keep.
    Gap(usize),
}

fn print_text(screen: &Screen, report: &Report, query: &Query, left_out: usize) {
    let language = screen.language;
    if report.timeline.is_empty() {
        let text = say!(
            language,
            "Nothing was said that fits. labkit timeline without a filter tells all; names are those of labkit status.",
            "해당하는 메시지가 없습니다. 필터 없이 labkit timeline 을 실행하면 모두 보여 줍니다. 이름은 labkit status 에 있습니다."
        );
        screen.print_prose("", &text);
        return;
    }
    let (lab, whose) = (&report.lab, &report.submission);
    screen.print_prose("", &screen.paint(Ink::Bold, &format!("{lab} ({whose})")));
    if left_out > 0 {
        let text = say!(
            language,
            "… {left_out} earlier messages: --limit N shows more",
            "… 앞의 메시지 {left_out}개: --limit N 으로 더 보기"
        );
        screen.print_prose("", &screen.paint(Ink::Dim, &text));
    }
    let names = report.timeline.iter().flat_map(|entry| [&entry.from, &entry.to]);
    let columns = names.map(|name| name.len()).max().unwrap_or(0).min(20);
    for (at_ms, line) in &lines(report, query, left_out > 0) {
        print_line(screen, *at_ms, line, columns);
    }
    screen.print("");
    let next = say!(
        language,
        "One object: --object pod/web. One component: --component scheduler. A revision: --at REV.",
        "객체 하나: --object pod/web. 컴포넌트 하나: --component scheduler. 리비전: --at REV."
    );
    screen.print_prose("", &screen.paint(Ink::Dim, &next));
}

/// Messages, faults and steps in order of time. Where messages are left out, so is what came before.
fn lines<'a>(report: &'a Report, query: &Query, from_first_message: bool) -> Vec<(u64, Line<'a>)> {
    let messages = report.timeline.iter().map(|entry| (entry.at_ms, Line::Message(entry)));
    let mut lines: Vec<(u64, Line<'a>)> = messages.collect();
    let first = lines.first().map_or(0, |(at_ms, _)| *at_ms);
    let struck = report.faults.iter().filter(|fault| fault.error.is_none());
    for fault in struck {
        lines.push((fault.at_ms, Line::Strikes(fault)));
        lines.extend(fault.healed_ms.map(|healed| (healed, Line::Heals(fault))));
    }
    if *query == Query::default() {
        lines.extend(report.steps.iter().map(|step| (step.at_ms, Line::Done(step))));
    }
    // A filter shows less than was kept; a gap would say too much.
    if *query == Query::default() {
        lines.extend(report.left_out.iter().map(|gap| (gap.from_ms, Line::Gap(gap.count))));
    }
    if from_first_message {
        lines.retain(|(at_ms, _)| *at_ms >= first);
    }
    // What was done comes before what was said at the same time.
    let rank = |line: &Line<'_>| match line {
        Line::Message(_) => 1,
        Line::Gap(_) => 2,
        _ => 0,
    };
    lines.sort_by_key(|(at_ms, line)| (*at_ms, rank(line)));
    lines
}

fn print_line(screen: &Screen, at_ms: u64, line: &Line<'_>, columns: usize) {
    let time = screen.paint(Ink::Dim, &format!("{:>9}", clock(at_ms)));
    let whole = |ink: Ink, text: &str| {
        let room = screen.width.saturating_sub(10);
        let text = if screen.is_terminal { cut(text, room) } else { text.to_owned() };
        screen.print(&format!("{time} {}", screen.paint(ink, &text)));
    };
    match line {
        Line::Strikes(fault) => {
            whole(Ink::Red, &format!("⚡ {} {} ({})", fault.verb, fault.target, fault.id))
        }
        Line::Heals(fault) => {
            let word = say!(screen.language, "healed", "복구");
            whole(Ink::Green, &format!("⚡ {word} {} ({})", fault.target, fault.id));
        }
        Line::Done(step) => {
            let first = step.command.lines().next().unwrap_or_default();
            whole(if step.error.is_some() { Ink::Red } else { Ink::Cyan }, &format!("$ {first}"));
        }
        Line::Message(entry) => message(screen, &time, entry, columns),
        Line::Gap(count) => whole(
            Ink::Dim,
            &say!(screen.language, "… {count} messages are not kept", "… 남겨 두지 않은 메시지 {count}개"),
        ),
    }
}

fn message(screen: &Screen, time: &str, entry: &TimelineEntry, columns: usize) {
    let room = |used: usize| if screen.is_terminal { screen.width.saturating_sub(used) } else { usize::MAX };
    let ends = if entry.from == entry.to {
        entry.from.clone()
    } else if screen.width >= WIDE {
        format!("{} → {}", pad(&entry.from, columns), entry.to)
    } else {
        format!("{} → {}", entry.from, entry.to)
    };
    let ink = if is_refusal(entry) { Ink::Red } else { Ink::Dim };
    if screen.width < WIDE {
        screen.print(&format!("{time} {}", cut(&ends, room(10))));
        screen.print(&format!("    {}", screen.paint(ink, &cut(&entry.text, room(4)))));
        return;
    }
    let ends = pad(&ends, columns * 2 + 3);
    let text = cut(&entry.text, room(10 + columns * 2 + 3 + 2));
    screen
        .print(&format!("{time} {ends}  {}", if ink == Ink::Red { screen.paint(ink, &text) } else { text }));
}

/// An answer that says no, or a message that was lost.
fn is_refusal(entry: &TimelineEntry) -> bool {
    let code = entry.fields.get("code").and_then(serde_json::Value::as_u64);
    code.is_some_and(|code| code >= 400) || entry.fields.get("error").is_some_and(|error| !error.is_null())
}

/// `1:02.345` since the run began.
fn clock(at_ms: u64) -> String {
    format!("{}:{:02}.{:03}", at_ms / 60_000, at_ms / 1_000 % 60, at_ms % 1_000)
}

fn at(screen: &Screen, arguments: &TimelineArguments, revision: i64, object: Option<Wanted>) -> Outcome {
    if revision < 0 {
        let message =
            say!(screen.language, "a revision is a number from 1 on", "리비전은 1부터 시작하는 수입니다");
        let next =
            say!(screen.language, "labkit timeline --at 42; 0 is now", "labkit timeline --at 42. 0 은 지금");
        return Err(Failure::usage(message).next(next));
    }
    let past = match is_of_last_run(arguments)? {
        true => past_of_last_run(screen, revision, object.as_ref())?,
        false => {
            let lab = choose(screen, arguments.which.name.as_deref())?;
            ask(screen, &lab, &Request::Past { revision, object })?
        }
    };
    if screen.json {
        screen.print_json(&past);
        return Ok(Exit::Passed);
    }
    match &arguments.object {
        Some(name) => print_object(screen, name, &past),
        None => print_store(screen, &past),
    }
    Ok(if arguments.object.is_some() && past.keys.is_empty() { Exit::Failed } else { Exit::Passed })
}

/// Whether the last run is told: where it is asked for, or no lab is running.
fn is_of_last_run(arguments: &TimelineArguments) -> Result<bool, Failure> {
    Ok(arguments.last || (arguments.which.name.is_none() && State::open()?.running().is_empty()))
}

fn past_of_last_run(screen: &Screen, revision: i64, object: Option<&Wanted>) -> Result<Past, Failure> {
    let history = last_run::history()?.ok_or_else(|| {
        let message = say!(
            screen.language,
            "no lab is running, and the last run left no store to look at",
            "실행 중인 실습이 없고, 마지막 실행이 남긴 저장소도 없습니다"
        );
        Failure::usage(message).next("labkit start LAB, or labkit run LAB --solution")
    })?;
    let past = history.past(revision, object);
    past.map_err(|error| Failure::usage(error).next("labkit timeline --last"))
}

fn print_object(screen: &Screen, name: &str, past: &Past) {
    let language = screen.language;
    let (revision, present) = (past.revision, past.present);
    let written = past.written_at.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    if past.keys.is_empty() {
        screen.print_prose(
            "",
            &say!(
                language,
                "At revision {revision} there was no {name}. The store is at {present} now.",
                "리비전 {revision} 에는 {name} 이(가) 없었습니다. 저장소는 지금 {present} 입니다."
            ),
        );
    }
    for key in &past.keys {
        let (created, last, version) = (key.create_revision, key.mod_revision, key.version);
        screen.print_prose("", &screen.paint(Ink::Bold, &key.key));
        screen.print_prose(
            "",
            &say!(
                language,
                "at revision {revision} of {present}: created at {created}, last written at {last}, version {version}",
                "리비전 {revision} / {present}: {created} 에 생성, {last} 에 마지막으로 씀, 버전 {version}"
            ),
        );
        let value = key.value.as_ref().map(|value| match value.as_str() {
            Some(text) => text.to_owned(),
            None => serde_yaml::to_string(value).unwrap_or_else(|_| value.to_string()),
        });
        screen.print(&format!("\n{}", value.unwrap_or_default().trim_end()));
        screen.print("");
    }
    if !written.is_empty() {
        let text = say!(language, "It was written at: {written}", "쓴 리비전: {written}");
        screen.print_prose("", &screen.paint(Ink::Dim, &text));
    }
}

fn print_store(screen: &Screen, past: &Past) {
    let language = screen.language;
    let (revision, present, count) = (past.revision, past.present, past.count);
    screen.print_prose(
        "",
        &say!(
            language,
            "The store at revision {revision} of {present}: {count} keys",
            "리비전 {revision} / {present} 의 저장소: 키 {count}개"
        ),
    );
    let head = say!(language, "written  version  key", "쓴 리비전  버전  키");
    screen.print(&screen.paint(Ink::Dim, &head));
    for key in &past.keys {
        screen.print(&format!("{:>7}  {:>7}  {}", key.mod_revision, key.version, key.key));
    }
    let listed = past.keys.len();
    if i64::try_from(listed).is_ok_and(|listed| listed < count) {
        screen.print(&say!(language, "… the first {listed}", "… 앞의 {listed}개"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_the_millisecond() {
        assert_eq!(clock(62_345), "1:02.345");
        assert_eq!(clock(7), "0:00.007");
    }
}
