//! `labkit restore`: brings the running lab back to a snapshot, or lists its snapshots.

use std::fs;
use std::path::Path;

use labkit_lab::Snapshot;
use serde_json::json;

use crate::arguments::RestoreArguments;
use crate::commands::live::{ask, span};
use crate::commands::snapshot;
use crate::control::{Request, choose};
use crate::daemon::Ready;
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Ink, Screen, say};
use crate::state::State;

pub fn run(screen: &Screen, arguments: &RestoreArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    if arguments.list {
        return list(screen, &lab.name);
    }
    let file = known(screen, &lab.name, &arguments.snapshot)?;
    let ready: Ready = ask(screen, &lab, &Request::Restore { file })?;
    if screen.json {
        screen.print_json(&ready);
        return Ok(Exit::Passed);
    }
    let name = &arguments.snapshot;
    screen.print_prose(
        "",
        &say!(
            screen.language,
            "The lab is as it was when {name} was taken. Your terminals go on to work.",
            "실습이 {name} 을(를) 뜬 때로 돌아갔습니다. 열려 있는 터미널을 그대로 쓰세요."
        ),
    );
    went_otherwise(screen, &ready);
    Ok(Exit::Passed)
}

/// Steps that did not go as they had gone.
pub fn went_otherwise(screen: &Screen, ready: &Ready) {
    for trouble in &ready.trouble {
        let text = say!(screen.language, "went otherwise: {trouble}", "다르게 된 것: {trouble}");
        screen.print_prose("  ", &screen.paint(Ink::Yellow, &text));
    }
}

/// The file of a snapshot that is there.
pub fn known(screen: &Screen, lab: &str, name: &str) -> Result<std::path::PathBuf, Failure> {
    let file = snapshot::file(screen, lab, name)?;
    if file.is_file() {
        return Ok(file);
    }
    let names: Vec<String> =
        snapshots(&State::open()?.snapshots(lab)).into_iter().map(|(name, _)| name).collect();
    let message =
        say!(screen.language, "{lab} has no snapshot {name}", "{lab} 에는 {name} 스냅숏이 없습니다");
    Err(Failure::usage(message).next(match names.is_empty() {
        true => say!(screen.language, "labkit snapshot takes one", "labkit snapshot 으로 하나 뜨세요"),
        false => {
            let names = names.join(", ");
            say!(screen.language, "it has {names}", "있는 것: {names}")
        }
    }))
}

fn list(screen: &Screen, lab: &str) -> Outcome {
    let found = snapshots(&State::open()?.snapshots(lab));
    if screen.json {
        let rows = found.iter().map(|(name, snapshot)| json!({"snapshot": name, "atMs": snapshot.at_ms}));
        screen.print_json(&json!({"lab": lab, "snapshots": rows.collect::<Vec<_>>()}));
        return Ok(Exit::Passed);
    }
    if found.is_empty() {
        screen.print_prose(
            "",
            &say!(
                screen.language,
                "{lab} has no snapshots yet. labkit snapshot takes one.",
                "{lab} 의 스냅숏이 아직 없습니다. labkit snapshot 으로 하나 뜨세요."
            ),
        );
    }
    for (name, snapshot) in &found {
        let (at, steps) = (span(snapshot.at_ms), snapshot.steps().len());
        let plural = if steps == 1 { "" } else { "s" };
        let what = say!(
            screen.language,
            "{at} into the lab, {steps} step{plural} done",
            "시작 후 {at}, 한 일 {steps}개"
        );
        screen.print_prose("  ", &format!("{}: {what}", screen.paint(Ink::Bold, name)));
    }
    Ok(Exit::Passed)
}

/// What can be read of a folder of snapshots, by name.
fn snapshots(folder: &Path) -> Vec<(String, Snapshot)> {
    let read = |path: &Path| {
        let name = path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned();
        Some((name, serde_json::from_slice(&fs::read(path).ok()?).ok()?))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(String, Snapshot)> = entries.filter_map(|entry| read(&entry.path())).collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}
