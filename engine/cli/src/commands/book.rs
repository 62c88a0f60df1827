//! `labkit book`: the course, graded and written as a book; served on a local port; and mdBook's preprocessor.

mod live;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, TableComponent,
    presets,
};
use include_dir::{Dir, include_dir};
use labkit_book::{BookError, BuildOptions};
use labkit_lab::{GradeOptions, LoadedCourse, Report, grade};
use serde_json::json;
use warp::Filter;

use crate::arguments::{BookBuildArguments, BookCommand, BookServeArguments, Global, PreprocessQuestion};
use crate::commands::live::span;
use crate::commands::run::exit;
use crate::course::{self, Open};
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Ink, Screen, say};
use crate::work::Work;

/// The chapters and the theme, for a binary that is away from its checkout.
static BOOK: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../book");

/// Draws diagrams in a browser.
pub(super) fn mermaid() -> &'static str {
    let script = BOOK.get_file("theme/mermaid.min.js").and_then(|file| file.contents_utf8());
    script.expect("the theme has it, and it is text")
}

/// The book shows the runs of this seed.
const SEED: u64 = 1;

/// As a shell reports a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

pub fn run(screen: &Screen, global: &Global, command: BookCommand) -> Outcome {
    match command {
        BookCommand::Build(arguments) => {
            let built = build(screen, global, &arguments)?;
            built.show(screen);
            Ok(exit(&built.reports))
        }
        BookCommand::Serve(arguments) => serve(screen, global, &arguments),
        BookCommand::Preprocess(arguments) => match arguments.question {
            Some(PreprocessQuestion::Supports { renderer }) => {
                Ok(if labkit_book::supports(&renderer) { Exit::Passed } else { Exit::Failed })
            }
            None => preprocess(screen, global),
        },
    }
}

struct Built {
    index: PathBuf,
    reports: Vec<Report>,
}

fn build(screen: &Screen, global: &Global, arguments: &BookBuildArguments) -> Result<Built, Failure> {
    let course = course::open(screen, global)?;
    let source = Source::find(global)?;
    let reports = graded(screen, &course);
    let out = arguments.out.clone().unwrap_or_else(|| source.out.clone());
    let interrupted = hold_interrupts()?;
    let work = Work::spinning(screen);
    work.say(&say!(screen.language, "writing the book", "책 쓰는 중"));
    let options =
        BuildOptions { root: source.root.clone(), out, course: &course.loaded, reports: by_lab(&reports) };
    let built = labkit_book::build(options);
    drop(work);
    if interrupted.load(Ordering::Relaxed) {
        // What stands on disk is a whole book: the new one, or the one before.
        std::process::exit(INTERRUPTED);
    }
    Ok(Built { index: built.map_err(failure)?.index, reports })
}

/// Grades each lab's reference solution.
fn graded(screen: &Screen, course: &Open) -> Vec<Report> {
    // A student's copy has no solution, and its pages no runs.
    let labs = || course.labs().filter(|(_, lab)| !lab.is_students_copy);
    let work = Work::of_steps(screen, labs().count() as u64);
    let grade_one = |(number, lab): (&str, &labkit_lab::LabFolder)| {
        work.say(&format!("{number} {}", lab.lab.title.for_language(screen.language)));
        let options = GradeOptions {
            seed: SEED,
            trusted: true,
            submission: "solution".to_owned(),
            reveal_answers: true,
        };
        let report = grade(lab, &lab.solution, &options);
        work.step();
        report
    };
    labs().map(grade_one).collect()
}

fn by_lab(reports: &[Report]) -> BTreeMap<String, Report> {
    reports.iter().map(|report| (report.lab.clone(), report.clone())).collect()
}

/// From here on Ctrl-C is noted and waits: writing takes a moment, and half a book is of no use.
fn hold_interrupts() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())
            .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    }
    Ok(interrupted)
}

/// Where the authored part of the book is.
struct Source {
    root: PathBuf,
    /// Where the built one goes by default.
    out: PathBuf,
    /// Holds what was unpacked from the binary.
    _unpacked: Option<tempfile::TempDir>,
}

impl Source {
    /// The `book/` beside the course's `labs/`, else the one in the binary.
    fn find(global: &Global) -> Result<Source, Failure> {
        let labs = course::folder(global)?.map(|labs| labs.canonicalize().unwrap_or(labs));
        let beside =
            labs.as_deref().and_then(Path::parent).filter(|root| root.join("book/book.toml").is_file());
        if let Some(root) = beside {
            return Ok(Source { root: root.join("book"), out: root.join("target/book"), _unpacked: None });
        }
        let unpacked = tempfile::Builder::new().prefix("labkit-book-").tempdir();
        let unpacked =
            unpacked.map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), &error))?;
        let root = unpacked.path().to_owned();
        BOOK.extract(&root).map_err(|error| Failure::file("write to", &root, &error))?;
        Ok(Source { root, out: PathBuf::from("labkit-book"), _unpacked: Some(unpacked) })
    }
}

fn failure(error: BookError) -> Failure {
    match &error {
        BookError::NotABook(_) => Failure::usage(error.to_string()).next("labkit book build --out DIR"),
        BookError::Directives(_) | BookError::Files { .. } | BookError::Protocol(_) => {
            Failure::usage(error.to_string())
        }
        BookError::MdBook(_) => Failure::failed(error.to_string()),
    }
}

impl Built {
    fn show(&self, screen: &Screen) {
        if screen.json {
            let labs: Vec<_> = self.reports.iter().map(|report| {
                json!({"lab": report.lab, "points": report.points, "pointsMax": report.points_max, "passed": report.passed(), "virtualMs": report.virtual_ms, "bugs": report.bugs})
            }).collect();
            screen.print_json(&json!({"index": self.index, "labs": labs}));
            return;
        }
        screen.print(&table(screen, &self.reports));
        let (index, language) = (self.index.display(), screen.language);
        screen.print_prose("", &say!(language, "The book is in {index}", "책: {index}"));
    }
}

/// The results, one row a lab; a narrow terminal gets names for titles, and no times.
fn table(screen: &Screen, reports: &[Report]) -> String {
    let (language, is_wide) = (screen.language, screen.width >= 60);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for line in [TableComponent::HeaderLines, TableComponent::MiddleHeaderIntersections] {
        table.set_style(line, '─');
    }
    table.set_width(u16::try_from(screen.prose_width()).unwrap_or(80));
    let mut heads = vec![
        say!(language, "Lab", "실습"),
        say!(language, "Solution", "모범 답안"),
        say!(language, "Result", "결과"),
    ];
    if is_wide {
        heads.insert(2, say!(language, "Virtual time", "가상 시간"));
    }
    table.set_header(heads.into_iter().map(|head| Cell::new(head).add_attribute(Attribute::Bold)));
    for report in reports {
        let (word, color) = match (report.bugs.is_empty(), report.passed()) {
            (false, _) => (say!(language, "engine bug", "엔진 버그"), Color::Red),
            (true, true) => (say!(language, "✓ full marks", "✓ 만점"), Color::Green),
            (true, false) => (say!(language, "✗ not full", "✗ 만점 아님"), Color::Red),
        };
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let title = if is_wide { report.title.for_language(language) } else { &report.lab };
        let mut cells = vec![Cell::new(title), right(format!("{}/{}", report.points, report.points_max))];
        cells.extend(is_wide.then(|| right(span(report.virtual_ms))));
        cells.push(Cell::new(word).fg(color));
        table.add_row(cells);
    }
    if !is_wide && let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    if screen.has_color() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.to_string()
}

fn serve(screen: &Screen, global: &Global, arguments: &BookServeArguments) -> Outcome {
    // Before the work: a port that is taken is no surprise at its end.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let listener = listener.map_err(|error| {
        let message = say!(
            screen.language,
            "cannot listen on {address}: {error}",
            "{address} 에서 들을 수 없습니다: {error}"
        );
        Failure::usage(message).next("labkit book serve --port 0")
    })?;
    let built = build(screen, global, &arguments.build)?;
    built.show(screen);
    let folder = built.index.parent().unwrap_or(Path::new("."));
    // Whole: to reach a lab's socket, this process may have to change its own folder.
    let folder = std::path::absolute(folder).map_err(|error| Failure::file("find", folder, &error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot serve: {error}")))?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener);
        let failed = |error| Failure::failed(format!("cannot serve: {error}"));
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let url = screen.paint(Ink::Cyan, &format!("http://{address}/"));
        screen.print(&say!(
            screen.language,
            "Serving {url} (Ctrl-C ends)",
            "{url} 에서 보여 주는 중 (Ctrl-C 로 끝)"
        ));
        let routes = live::events().or(warp::fs::dir(folder));
        let served = warp::serve(routes).incoming(listener).run();
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {}
            () = served => {}
        }
        Ok(Exit::Passed)
    })
}

/// What mdBook sends comes back completed.
fn preprocess(screen: &Screen, global: &Global) -> Outcome {
    let mut input = String::new();
    std::io::stdin()
        .read_to_string(&mut input)
        .map_err(|error| Failure::usage(format!("cannot read stdin: {error}")))?;
    let root = labkit_book::root(&input)
        .map_err(|error| failure(error).next("mdBook calls this command; try: mdbook build book"))?;
    let beside =
        root.parent().map(|root| root.join("labs")).filter(|labs| labs.join("course.yaml").is_file());
    let global = Global { course: global.course.clone().or(beside), ..global.clone() };
    let course = course::open(screen, &global)?;
    let reports = graded(&screen.for_programs(), &course);
    let loaded: &LoadedCourse = &course.loaded;
    screen.print(&labkit_book::preprocess(&input, loaded, &by_lab(&reports)).map_err(failure)?);
    Ok(Exit::Passed)
}
