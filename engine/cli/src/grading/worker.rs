//! A worker process: reads the lab, then grades one submission an order.

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::os::unix::ffi::OsStringExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use labkit_lab::{
    Diagnostic, GradeOptions, LabFolder, Language, MemoryFiles, Submission, Text, grade, load_submission,
};

use super::limits;
use super::protocol::{Answer, Order};
use crate::arguments::{Global, WorkerArguments};
use crate::course;
use crate::failure::{Exit, Failure, Outcome};
use crate::files::SubmissionFiles;
use crate::screen::{Screen, say};

/// Problems of a submission that its report tells.
const PROBLEMS_TOLD: usize = 20;
/// Bytes of one of them.
const PROBLEM_MAX: usize = 1000;

pub fn run(screen: &Screen, global: &Global, arguments: &WorkerArguments) -> Outcome {
    let limit = |error: io::Error| Failure::failed(format!("cannot limit this process: {error}"));
    limits::confine(arguments.memory).map_err(limit)?;
    let found = course::find(screen, global, &arguments.lab)?;
    tell(&Answer::Ready)?;
    for line in io::stdin().lock().lines() {
        let order = line.ok().and_then(|line| serde_json::from_str::<Order>(&line).ok());
        let order = order.ok_or_else(|| Failure::bug("an order that is none"))?;
        limits::allow_seconds(arguments.time_limit).map_err(limit)?;
        let answer = catch_unwind(AssertUnwindSafe(|| answer(&found.folder, order, screen.language)));
        tell(&answer.unwrap_or_else(|_| Answer::Panicked("a panic while it was read".to_owned())))?;
    }
    Ok(Exit::Passed)
}

fn answer(lab: &LabFolder, order: Order, language: Language) -> Answer {
    let folder = PathBuf::from(OsString::from_vec(order.folder));
    let files = match inside(&folder, lab.name()) {
        Ok(folder) => SubmissionFiles::new(&folder),
        Err(message) => return Answer::Refused(vec![message.for_language(language).to_owned()]),
    };
    let mut submission = match load_submission(&files, "", &lab.lab) {
        Ok(submission) => submission,
        Err(problems) => return Answer::Refused(told(&problems, language)),
    };
    if let Some(script) = submission.script.take() {
        let Some(played) = order.played else { return Answer::Script(script) };
        let files = MemoryFiles([("submission.yaml".to_owned(), played.into_bytes())].into());
        submission = match load_submission(&files, "", &lab.lab) {
            // What it answers for itself stands beside what the script answered.
            Ok(played) => Submission {
                answers: submission.answers.into_iter().chain(played.answers).collect(),
                ..played
            },
            Err(problems) => return Answer::Refused(told(&problems, language)),
        };
        submission.script = None;
    }
    if order.replay_only {
        submission.observed.clear();
    }
    let options =
        GradeOptions { seed: order.seed, trusted: false, submission: order.student, reveal_answers: false };
    Answer::Report(Box::new(grade(lab, &submission, &options)))
}

/// Where submission.yaml stands: in the student's folder, or in one named after the lab within it, as `labkit
/// submit` writes it.
fn inside(folder: &Path, lab: &str) -> Result<PathBuf, Text> {
    let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_dir());
    if !is_folder(folder) {
        return Err(Text::new("the submission is a link, not a folder", "제출물이 폴더가 아니라 링크입니다"));
    }
    let nested = folder.join(lab);
    let here = folder.join("submission.yaml").symlink_metadata().is_ok();
    Ok(if !here && is_folder(&nested) { nested } else { folder.to_owned() })
}

fn told(problems: &[Diagnostic], language: Language) -> Vec<String> {
    let first = problems.iter().take(PROBLEMS_TOLD);
    let mut told: Vec<String> = first.map(|problem| shown(problem, language)).collect();
    if problems.len() > PROBLEMS_TOLD {
        let more = problems.len() - PROBLEMS_TOLD;
        told.push(say!(language, "and {more} more", "그 밖에 {more}개"));
    }
    told
}

fn shown(problem: &Diagnostic, language: Language) -> String {
    let mut text = problem.render_plain(language);
    text.truncate(text.floor_char_boundary(PROBLEM_MAX));
    let plain = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    text.trim_end().chars().map(plain).collect()
}

fn tell(answer: &Answer) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(answer).expect("an answer is plain data");
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(&line).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::failed(format!("nobody listens: {error}")))
}
