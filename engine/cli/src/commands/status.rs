//! `labkit status`: what runs, where it listens, how far the student is.

use crate::arguments::LiveArguments;
use crate::commands::live::{ask, span};
use crate::control::replies::{ComponentState, ComponentView, FaultView, Status};
use crate::control::{Request, choose};
use crate::daemon::quoted;
use crate::failure::{Exit, Outcome};
use crate::progress;
use crate::screen::{Ink, Screen, pad, say};
use crate::state::State;

pub fn run(screen: &Screen, arguments: LiveArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let status: Status = ask(screen, &lab, &Request::Status {})?;
    if screen.json {
        screen.print_json(&status);
        return Ok(Exit::Passed);
    }
    let language = screen.language;
    screen.print_prose(
        "",
        &format!("{}: {}", screen.paint(Ink::Bold, &status.lab), status.title.for_language(language)),
    );
    let (elapsed, now, pid) = (span(status.elapsed_ms), &status.now, status.pid);
    screen.print_prose(
        "",
        &say!(
            language,
            "began {elapsed} ago in lab time, it is {now} there; process {pid}",
            "실습 시간으로 {elapsed} 전에 시작, 지금 시각 {now}; 프로세스 {pid}"
        ),
    );
    let (points_max, points) = (status.points_max, status.points);
    screen.print(&match points {
        Some(points) => say!(
            language,
            "{points} of {points_max} points at the last check",
            "마지막 검사에서 {points_max}점 중 {points}점"
        ),
        None => say!(
            language,
            "not checked yet; {points_max} points to reach",
            "아직 검사하지 않음. 만점은 {points_max}점"
        ),
    });
    if let Some(line) = in_course(screen, &status) {
        screen.print_prose("", &line);
    }
    if status.paused {
        let text = say!(
            language,
            "time stands: labkit step moves it, labkit resume lets it run",
            "시간이 멈춰 있습니다. labkit step 은 조금 흘려보내고, labkit resume 은 다시 흐르게 합니다"
        );
        screen.print_prose("", &screen.paint(Ink::Cyan, &text));
    }
    screen.print("");
    print_components(screen, &status.components);
    if !status.faults.is_empty() {
        screen.print("");
        print_faults(screen, &status.faults);
    }
    screen.print("");
    print_env(screen, &status.env);
    for bug in &status.bugs {
        screen
            .print(&screen.paint(Ink::Red, &say!(language, "bug in labkit: {bug}", "labkit의 버그: {bug}")));
    }
    Ok(if status.bugs.is_empty() { Exit::Passed } else { Exit::Bug })
}

/// What was reached in the course so far, best points of each lab.
fn in_course(screen: &Screen, status: &Status) -> Option<String> {
    let best = progress::of(&State::open().ok()?, &status.course);
    let here = best.get(&status.lab)?.points;
    let (all, labs) = (best.values().map(|best| best.points).sum::<u32>(), best.len());
    let plural = if labs == 1 { "" } else { "s" };
    Some(say!(
        screen.language,
        "your best here: {here}; in the course: {all} points in {labs} lab{plural} (labkit shows all)",
        "이 실습의 최고 점수 {here}, 과정 전체로는 실습 {labs}개에서 {all}점 (전체 보기: labkit)"
    ))
}

pub fn print_components(screen: &Screen, components: &[ComponentView]) {
    let columns = components.iter().map(|component| component.target.len()).max().unwrap_or(0);
    for component in components {
        let (ink, word) = match component.state {
            ComponentState::Running => (Ink::Green, say!(screen.language, "running", "실행 중")),
            ComponentState::Paused => (Ink::Yellow, say!(screen.language, "paused", "멈춤")),
            ComponentState::Down => (Ink::Red, say!(screen.language, "down", "꺼짐")),
        };
        let role = match component.role.as_deref() {
            Some("leader") => say!(screen.language, "leader", "리더"),
            other => other.unwrap_or_default().to_owned(),
        };
        let line = format!("  {}  {}", pad(&component.target, columns), screen.paint(ink, &pad(&word, 9)));
        screen.print(format!("{line} {role}").trim_end());
    }
}

pub fn print_faults(screen: &Screen, faults: &[FaultView]) {
    for fault in faults {
        let (verb, target, at, id) = (&fault.verb, &fault.target, &fault.at, &fault.id);
        let (ink, text) = match (&fault.healed_at, &fault.error) {
            (_, Some(error)) => (Ink::Yellow, format!("{id}: {verb}: {error}")),
            (Some(healed), None) => (
                Ink::Dim,
                say!(
                    screen.language,
                    "{id}: {verb} {target} at {at}, healed at {healed}",
                    "{id}: {verb} {target}, 시각 {at}, 복구 {healed}"
                ),
            ),
            (None, None) => (
                Ink::Red,
                say!(screen.language, "{id}: {verb} {target} since {at}", "{id}: {verb} {target}, {at} 부터"),
            ),
        };
        screen.print(&screen.paint(ink, crate::screen::wrap(&text, screen.prose_width(), "  ").trim_end()));
    }
}

/// The lines that point kubectl and etcdctl at the lab.
pub fn print_env(screen: &Screen, env: &[(String, String)]) {
    for (name, value) in env.iter().filter(|(name, _)| name != "LABKIT_LAB") {
        screen.print(&screen.paint(Ink::Cyan, &format!("  export {name}={}", quoted(value))));
    }
}
