//! `labkit run`: grades a submission of each lab in virtual time, and reports.

use std::fs;
use std::io::Write;
use std::path::Path;

use labkit_lab::{GradeOptions, History, Report, Submission, grade, grade_with_history, student_seed};

use crate::arguments::{Format, Global, RunArguments};
use crate::course::{self, Found};
use crate::failure::{Exit, Failure, Outcome};
use crate::last_run;
use crate::progress::{self, Best};
use crate::screen::{Ink, Screen, say};
use crate::work::Work;

pub fn run(screen: &Screen, global: &Global, arguments: &RunArguments) -> Outcome {
    if arguments.submission.is_some() && arguments.labs.len() > 1 {
        let message = say!(
            screen.language,
            "a submission is one lab's, not {}'s",
            "제출물은 실습 하나의 것입니다 (지금은 {}개)",
            arguments.labs.len()
        );
        return Err(Failure::usage(message).next("labkit run LAB --submission DIR"));
    }
    let found = course::find_all(screen, global, &arguments.labs)?;
    let mut jobs = Vec::new();
    for found in &found {
        jobs.push((found, Whose::choose(screen, arguments, found)?));
    }
    let work = Work::of_steps(screen, jobs.len() as u64);
    let (mut reports, mut history) = (Vec::new(), None);
    for (index, (found, whose)) in jobs.iter().enumerate() {
        if jobs.len() > 1 {
            work.say(&found.folder.lab.metadata.name);
        }
        let student = arguments.student.as_deref();
        let seed = student.map_or(arguments.seed, |student| student_seed(found.folder.name(), student));
        let is_last = index + 1 == jobs.len();
        let (report, store) = whose.grade(found, seed, is_last);
        reports.push(report);
        history = store;
        work.step();
    }
    drop(work);
    for ((found, whose), report) in jobs.iter().zip(&reports) {
        if whose.is_students {
            let best = Best { points: report.points, points_max: report.points_max };
            progress::note(&found.course, &report.lab, best);
        }
    }
    reports.last().into_iter().for_each(|report| last_run::keep(report, history.as_ref()));
    show(screen, arguments, &reports)?;
    Ok(exit(&reports))
}

/// How all went, together.
pub fn exit(reports: &[Report]) -> Exit {
    if reports.iter().any(|report| !report.bugs.is_empty()) {
        Exit::Bug
    } else if reports.iter().all(Report::passed) {
        Exit::Passed
    } else {
        Exit::Failed
    }
}

/// A submission, and whose it is.
struct Whose {
    submission: Submission,
    name: String,
    is_students: bool,
}

impl Whose {
    fn choose(screen: &Screen, arguments: &RunArguments, found: &Found) -> Result<Whose, Failure> {
        if let Some(folder) = &arguments.submission {
            let submission = course::submission(screen, folder, found)?;
            if submission.script.is_some() {
                let message = say!(
                    screen.language,
                    "this submission is a script, which `labkit run` does not run",
                    "이 제출물은 스크립트이고, `labkit run` 은 스크립트를 실행하지 않습니다"
                );
                return Err(Failure::usage(message).next("labkit grade LAB DIR --allow-scripts"));
            }
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            return Ok(Whose {
                submission,
                name: name.unwrap_or_else(|| "submission".to_owned()),
                is_students: true,
            });
        }
        if arguments.solution && found.folder.is_students_copy {
            let message = say!(
                screen.language,
                "this copy of {} was packed for students: it has no solution",
                "이 {} 은(는) 학생용 사본이라 모범 답안이 없습니다",
                found.folder.name()
            );
            return Err(Failure::usage(message).next("labkit start LAB"));
        }
        let (submission, name) = match arguments.solution {
            true => (&found.folder.solution, "solution"),
            false => (&found.folder.start, "start"),
        };
        Ok(Whose { submission: submission.clone(), name: name.to_owned(), is_students: false })
    }

    fn grade(&self, found: &Found, seed: u64, with_history: bool) -> (Report, Option<History>) {
        let options = GradeOptions {
            seed,
            trusted: !self.is_students,
            submission: self.name.clone(),
            // What start/ asks is for the student to find out.
            reveal_answers: self.name == "solution" && !self.is_students,
        };
        match with_history {
            true => grade_with_history(&found.folder, &self.submission, &options),
            false => (grade(&found.folder, &self.submission, &options), None),
        }
    }
}

fn show(screen: &Screen, arguments: &RunArguments, reports: &[Report]) -> Result<(), Failure> {
    if let Some(file) = &arguments.report {
        let text = rendered(screen, reports, arguments.format.unwrap_or(Format::Json));
        write(file, &text)?;
    }
    let on_screen = match (arguments.format, &arguments.report, screen.json) {
        (Some(format), None, _) => format,
        (_, _, true) => Format::Json,
        (_, _, false) => Format::Text,
    };
    match on_screen {
        Format::Text => reports.iter().for_each(|report| print_text(screen, report)),
        format => screen.print(&rendered(screen, reports, format)),
    }
    if let (Some(file), Format::Text) = (&arguments.report, on_screen) {
        let file = file.display();
        screen.print(&say!(screen.language, "The report is in {file}", "보고서: {file}"));
    }
    Ok(())
}

/// Writes a file whole or not at all; what is no file, such as /dev/stdout, is simply written to.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let is_plain = fs::symlink_metadata(file).map_or(true, |metadata| metadata.is_file());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        if !is_plain {
            return fs::write(file, text);
        }
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        let mut fresh = tempfile::Builder::new().permissions(readable).tempfile_in(folder)?;
        fresh.write_all(text.as_bytes())?;
        fresh.persist(file).map(drop).map_err(|error| error.error)
    };
    write().map_err(|error| Failure::file("write the report to", file, &error))
}

/// One document for one lab; a list for several.
fn rendered(screen: &Screen, reports: &[Report], format: Format) -> String {
    let one = |report: &Report| match format {
        Format::Text => report.to_text(screen.language, 80),
        Format::Json => report.to_json(),
        Format::Junit => report.to_junit(),
        Format::Markdown => report.to_markdown(screen.language),
    };
    if let [report] = reports {
        return one(report);
    }
    match format {
        Format::Text | Format::Markdown => reports.iter().map(one).collect::<Vec<_>>().join("\n"),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(reports).expect("a report is plain data");
            text.push('\n');
            text
        }
        Format::Junit => {
            let suites = reports.iter().map(|report| {
                let suite = one(report);
                suite.split_once('\n').map_or(suite.clone(), |(_, suite)| suite.to_owned())
            });
            let suites: String = suites.collect();
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{suites}</testsuites>\n")
        }
    }
}

/// The report in the colours of its marks.
pub fn print_text(screen: &Screen, report: &Report) {
    let text = report.to_text(screen.language, screen.prose_width());
    for (index, line) in text.lines().enumerate() {
        let ink = match line.trim_start().chars().next() {
            _ if index == 0 => Ink::Bold,
            Some('✓') => Ink::Green,
            Some('✗') => Ink::Red,
            Some('…' | '~') => Ink::Yellow,
            Some('-') if line.starts_with("  - ") => Ink::Dim,
            _ => {
                screen.print(line);
                continue;
            }
        };
        screen.print(&screen.paint(ink, line));
    }
}
