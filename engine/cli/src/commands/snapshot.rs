//! `labkit snapshot`: keeps what was done in the running lab, to come back to.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use labkit_lab::Snapshot;
use serde_json::json;

use crate::arguments::SnapshotArguments;
use crate::commands::live::{ask, span};
use crate::control::{Request, choose};
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Screen, say};
use crate::state::State;

/// Longer names make no file names.
const NAME_MAX: usize = 100;

pub fn run(screen: &Screen, arguments: &SnapshotArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let path = file(screen, &lab.name, &arguments.snapshot)?;
    let snapshot: Snapshot = ask(screen, &lab, &Request::Snapshot {})?;
    write(&path, &snapshot).map_err(|error| Failure::file("write the snapshot", &path, &error))?;
    let name = &arguments.snapshot;
    if screen.json {
        screen.print_json(&json!({"lab": lab.name, "snapshot": name, "file": path, "atMs": snapshot.at_ms}));
        return Ok(Exit::Passed);
    }
    let (at, steps) = (span(snapshot.at_ms), snapshot.steps().len());
    let plural = if steps == 1 { "" } else { "s" };
    screen.print_prose(
        "",
        &say!(
            screen.language,
            "Kept as {name}: {at} into the lab, {steps} step{plural} done.",
            "{name} (으)로 남겼습니다: 실습 시작 후 {at}, 한 일 {steps}개."
        ),
    );
    let restore = match name.as_str() {
        "last" => "labkit restore".to_owned(),
        name => format!("labkit restore {name}"),
    };
    screen.print(&say!(screen.language, "To come back: {restore}", "되돌리기: {restore}"));
    Ok(Exit::Passed)
}

/// The file of a lab's snapshot.
pub fn file(screen: &Screen, lab: &str, name: &str) -> Result<PathBuf, Failure> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > NAME_MAX || name.starts_with('.') || !name.chars().all(is_plain) {
        let message = say!(
            screen.language,
            "`{name}` is no name of a snapshot",
            "`{name}` 은(는) 스냅숏 이름이 될 수 없습니다"
        );
        let next = say!(
            screen.language,
            "names are of letters, digits, dashes and dots: labkit snapshot before-the-crash",
            "이름은 글자, 숫자, 줄표, 점으로 씁니다: labkit snapshot before-the-crash"
        );
        return Err(Failure::usage(message).next(next));
    }
    Ok(State::open()?.snapshots(lab).join(format!("{name}.json")))
}

fn write(path: &Path, snapshot: &Snapshot) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(&serde_json::to_vec(snapshot)?)?;
    fresh.persist(path).map_err(|error| error.error)?;
    Ok(())
}
