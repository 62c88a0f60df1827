//! `labkit submit`: writes what was done as a submission.

use std::fs;
use std::path::{Path, PathBuf};

use labkit_lab::Language;

use crate::arguments::SubmitArguments;
use crate::commands::live::ask;
use crate::commands::new::schema;
use crate::control::replies::Submitted;
use crate::control::{Request, choose};
use crate::daemon::quoted;
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Ink, Screen, say};

const SUBMISSION: &str = "submission.yaml";

pub fn run(screen: &Screen, arguments: SubmitArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let out = arguments.out.unwrap_or_else(|| PathBuf::from(&lab.name));
    let path = out.join(SUBMISSION);
    if path.exists() && !arguments.force {
        let message = say!(screen.language, "{} is there already", "{} 이(가) 이미 있습니다", path.display());
        let next = say!(
            screen.language,
            "give another folder with --out, or replace it with --force",
            "--out 으로 다른 폴더를 주거나 --force 로 바꾸세요"
        );
        return Err(Failure::usage(message).next(next));
    }
    let submitted: Submitted = ask(screen, &lab, &Request::Submit {})?;
    for (file, text) in &submitted.files {
        let target = out.join(file);
        let schema = schema("submission", &target).filter(|_| file == SUBMISSION);
        write(&target, &schema.map_or_else(|| text.clone(), |line| format!("{line}\n{text}")))?;
    }
    if screen.json {
        screen.print_json(&submitted);
        return Ok(Exit::Passed);
    }
    let (name, shown) = (&submitted.lab, path.display());
    let (steps, answers) = match screen.language {
        Language::En => (counted(submitted.steps, "step"), counted(submitted.answers, "answer")),
        Language::Ko => (format!("단계 {}개", submitted.steps), format!("답 {}개", submitted.answers)),
    };
    screen.print_prose(
        "",
        &say!(screen.language, "Wrote {shown}: {steps}, {answers}.", "{shown} 작성: {steps}, {answers}."),
    );
    // That time passed is told by the waits.
    let left_out = submitted.left_out.iter().filter(|(verb, _)| *verb != "fastForward");
    let left_out: Vec<String> = left_out.map(|(verb, count)| format!("{verb} ×{count}")).collect();
    if !left_out.is_empty() {
        let left_out = left_out.join(", ");
        screen.print_prose(
            "",
            &screen.paint(
                Ink::Yellow,
                &say!(
                    screen.language,
                    "Not in it, because a submission of this lab may not say it: {left_out}. Grade it once yourself.",
                    "이 실습의 제출물에 쓸 수 없어 빠진 것: {left_out}. 직접 한번 채점해 보세요."
                ),
            ),
        );
    }
    let max = submitted.points_max;
    if let Some(points) = submitted.points.filter(|points| *points < max) {
        screen.print_prose(
            "",
            &screen.paint(
                Ink::Yellow,
                &say!(
                    screen.language,
                    "It has {points} of {max} points so far: labkit check shows what is open. You may hand in anew.",
                    "지금까지 {max}점 가운데 {points}점입니다. 남은 것: labkit check. 다시 제출해도 됩니다."
                ),
            ),
        );
    }
    screen.print_prose(
        "",
        &say!(screen.language, "To grade it as your instructor will:", "강사와 똑같이 채점해 보려면:"),
    );
    let student = submitted.student.as_deref().map(|student| format!(" --student {}", quoted(student)));
    let (out, student) = (out.display(), student.unwrap_or_default());
    screen.print(&format!("  labkit run {name} --submission {out}{student}"));
    Ok(Exit::Passed)
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::file("write", path, error);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let mut fresh = tempfile::Builder::new()
        .permissions(readable())
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    std::io::Write::write_all(&mut fresh, text.as_bytes()).map_err(|error| failed(&error))?;
    fresh.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// As any file that a person writes; the umask takes its part.
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
