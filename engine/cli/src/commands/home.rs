//! Bare `labkit`: the course, the student's progress, and the next command.

use labkit_lab::LabFolder;
use serde_json::json;

use crate::arguments::Global;
use crate::course;
use crate::failure::{Exit, Outcome};
use crate::progress::{self, Labs};
use crate::screen::{Ink, Screen, cut, pad, say};
use crate::state::State;

/// Below this many columns titles get a line of their own.
const WIDE: usize = 60;

pub fn run(screen: &Screen, global: &Global) -> Outcome {
    let course = course::open(screen, global)?;
    let state = State::open()?;
    let (best, running) = (progress::of(&state, &course.id()), state.running());
    let running: Vec<&str> = running.iter().map(|lab| lab.name.as_str()).collect();
    let next = next(&course, &best, &running);
    if screen.json {
        screen.print_json(&json!({
            "course": course.loaded.course.title,
            "labs": course.labs().map(|(number, lab)| json!({
                "name": lab.lab.metadata.name, "number": number, "title": lab.lab.title, "minutes": lab.lab.minutes,
                "points": best.get(&lab.lab.metadata.name).map(|best| best.points), "pointsMax": lab.lab.points_max(),
                "running": running.contains(&lab.lab.metadata.name.as_str()),
            })).collect::<Vec<_>>(),
            "next": next,
        }));
        return Ok(Exit::Passed);
    }
    let language = screen.language;
    screen.print_prose("", &screen.paint(Ink::Bold, course.loaded.course.title.for_language(language)));
    let columns = course.labs().map(|(_, lab)| lab.lab.metadata.name.len()).max().unwrap_or(0);
    for session in course.sessions() {
        screen.print("");
        screen.print_prose("", session.title.for_language(language));
        for (number, lab) in &session.labs {
            let is_running = running.contains(&lab.lab.metadata.name.as_str());
            print_lab(screen, number, lab, &best, is_running, columns);
        }
    }
    let (reached, all) = sum(&course, &best);
    screen.print("");
    screen.print(&say!(language, "{reached} of {all} points", "{all}점 중 {reached}점"));
    if best.is_empty() && running.is_empty() {
        screen.print_prose(
            "",
            &say!(
                language,
                "New here? labkit tour shows it all in 60 seconds.",
                "처음이신가요? labkit tour 가 60초 만에 보여 드립니다."
            ),
        );
    }
    let label = say!(language, "Next:", "다음:");
    screen.print(&format!(
        "{label} {}   {}",
        screen.paint(Ink::Cyan, &next),
        screen.paint(Ink::Dim, &say!(language, "(labkit help lists all)", "(전체 목록: labkit help)"))
    ));
    Ok(Exit::Passed)
}

/// What a student would type now.
fn next(course: &course::Open, best: &Labs, running: &[&str]) -> String {
    if let Some(lab) = running.first() {
        return if running.len() == 1 {
            "labkit check".to_owned()
        } else {
            format!("labkit check --lab {lab}")
        };
    }
    let is_open =
        |lab: &LabFolder| best.get(&lab.lab.metadata.name).is_none_or(|best| best.points < best.points_max);
    match course.labs().find(|(_, lab)| is_open(lab)) {
        Some((_, lab)) => format!("labkit start {}", lab.lab.metadata.name),
        None => if cfg!(feature = "book") { "labkit book serve" } else { "labkit lint" }.to_owned(),
    }
}

fn sum(course: &course::Open, best: &Labs) -> (u32, u32) {
    let all = course.labs().map(|(_, lab)| lab.lab.points_max()).sum();
    let reached =
        course.labs().filter_map(|(_, lab)| best.get(&lab.lab.metadata.name)).map(|best| best.points);
    (reached.sum(), all)
}

fn print_lab(screen: &Screen, number: &str, lab: &LabFolder, best: &Labs, is_running: bool, columns: usize) {
    let (name, minutes, max) = (&lab.lab.metadata.name, lab.lab.minutes, lab.lab.points_max());
    let title = lab.lab.title.for_language(screen.language);
    let (mark, ink, points) = match best.get(name) {
        Some(best) if best.points >= max => ("✓", Ink::Green, format!("{}/{max}", best.points)),
        Some(best) => ("…", Ink::Yellow, format!("{}/{max}", best.points)),
        None => (" ", Ink::Dim, format!("0/{max}")),
    };
    let (mark, ink) = if is_running { ("▶", Ink::Cyan) } else { (mark, ink) };
    let head =
        format!(" {} {number:<4} {}", screen.paint(ink, mark), screen.paint(Ink::Bold, &pad(name, columns)));
    let tail = format!("{points:>6}  {}", say!(screen.language, "{minutes} min", "{minutes}분"));
    let tail = screen.paint(Ink::Dim, &tail);
    let room = screen.prose_width().saturating_sub(8 + columns + 2 + 16);
    if screen.width >= WIDE && room >= 20 {
        screen.print(&format!("{head}  {}  {tail}", pad(&cut(title, room), room)));
    } else {
        screen.print(&format!("{head}\n{tail}").replace('\n', "\n       "));
        screen.print_prose("        ", title);
    }
}
