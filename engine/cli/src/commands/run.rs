//! `labkit run`: grades a submission of each lab in virtual time, and reports.

use std::fs;
use std::path::Path;

use labkit_lab::{GradeOptions, Report, Submission, grade};

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
    let mut reports = Vec::new();
    for (found, whose) in &jobs {
        if jobs.len() > 1 {
            work.say(&found.folder.lab.metadata.name);
        }
        reports.push(whose.grade(found, arguments.seed));
        work.step();
    }
    drop(work);
    for ((found, whose), report) in jobs.iter().zip(&reports) {
        if whose.is_students {
            let best = Best { points: report.points, points_max: report.points_max };
            progress::note(&found.course, &report.lab, best);
        }
    }
    reports.last().into_iter().for_each(last_run::keep);
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
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            return Ok(Whose {
                submission,
                name: name.unwrap_or_else(|| "submission".to_owned()),
                is_students: true,
            });
        }
        let (submission, name) = match arguments.solution {
            true => (&found.folder.solution, "solution"),
            false => (&found.folder.start, "start"),
        };
        Ok(Whose { submission: submission.clone(), name: name.to_owned(), is_students: false })
    }

    fn grade(&self, found: &Found, seed: u64) -> Report {
        let options = GradeOptions {
            seed,
            trusted: !self.is_students,
            submission: self.name.clone(),
            // What start/ asks is for the student to find out.
            reveal_answers: self.name == "solution" && !self.is_students,
        };
        grade(&found.folder, &self.submission, &options)
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

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| Failure::file("write the report to", file, &error))
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
