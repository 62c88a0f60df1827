//! `labkit grade`: a class, in worker processes over all cores.

mod kubernetes;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use labkit_lab::grade::empty;
use labkit_lab::{ClassReport, Graded, Outcome as Ended, Verdict};

use crate::arguments::{Global, GradeArguments, GradeFormat, GradeOn};
use crate::course::{self, Found};
use crate::failure::{Exit, Failure, Outcome};
use crate::grading::class::{self, Class, Submitted, student_of};
use crate::grading::pool::{Pool, Told};
use crate::grading::results::Results;
use crate::grading::sandbox;
use crate::screen::{Ink, Screen, cut, pad, say};
use crate::work::Work;

pub fn run(screen: &Screen, global: &Global, arguments: &GradeArguments) -> Outcome {
    let found = course::find(screen, global, &arguments.lab)?;
    if let Some(GradeOn::Kubernetes) = arguments.on {
        return kubernetes::write(screen, global, arguments, &found);
    }
    let Class { mut submissions, ignored } = class_of(screen, arguments, &found)?;
    if let Some(shards) = arguments.shards {
        let own = own_shard(screen, shards)?;
        let mut number = 0..;
        submissions.retain(|_| number.next().is_some_and(|number: u64| number % shards == own));
    }
    if arguments.allow_scripts {
        sandbox::find(screen)?;
    }
    let results = open(screen, arguments, &found)?;
    for name in &ignored {
        let note = say!(
            screen.language,
            "{name} is no folder and is not graded; unpack it if it is somebody's",
            "{name}: 폴더가 아니어서 채점하지 않습니다. 누군가의 제출물이라면 압축을 푸세요"
        );
        eprintln!("{note}");
    }
    let mut rows: Vec<Option<Graded>> = submissions
        .iter()
        .map(|submitted| results.as_ref().filter(|_| arguments.resume)?.kept(submitted))
        .collect();
    let (places, open): (Vec<usize>, Vec<Submitted>) = submissions
        .iter()
        .enumerate()
        .filter(|(index, _)| rows[*index].is_none())
        .map(|(index, submitted)| (index, submitted.clone()))
        .unzip();
    let (graded, unwritten) = grade_all(screen, global, arguments, &found, &open, results.as_ref())?;
    places.into_iter().zip(graded).for_each(|(place, graded)| rows[place] = graded);
    let not_reached =
        submissions.iter().zip(&rows).filter(|(_, row)| row.is_none()).map(|(one, _)| one.student.clone());
    let class = ClassReport {
        lab: found.folder.name().to_owned(),
        title: found.folder.lab.title.clone(),
        points_max: found.folder.lab.points_max(),
        not_reached: not_reached.collect(),
        submissions: rows.into_iter().flatten().collect(),
    };
    // A part of a class has no summary: the whole has, once all parts are there.
    let summarized = results.as_ref().filter(|_| arguments.shards.is_none());
    let summarized = summarized.map_or(Ok(()), |results| results.summarize(&class));
    print(screen, arguments, &class);
    let unwritten = summarized.err().map(|error| error.to_string()).or(unwritten);
    if let Some(error) = unwritten {
        let out = arguments.out.as_deref().unwrap_or(Path::new("")).display();
        let message = say!(
            screen.language,
            "not every report could be written to {out}: {error}",
            "{out} 에 쓰지 못한 보고서가 있습니다: {error}"
        );
        return Err(Failure::failed(message).next(say!(
            screen.language,
            "make room, then give the same command with --resume: it writes what is missing",
            "공간을 만든 뒤 같은 명령에 --resume 을 붙이면 빠진 것을 씁니다"
        )));
    }
    if !class.not_reached.is_empty() {
        let (left, all) = (class.not_reached.len(), submissions.len());
        let message = say!(
            screen.language,
            "interrupted: {left} of {all} submissions are not graded",
            "중단됨: 제출물 {all}개 가운데 {left}개가 채점되지 않았습니다"
        );
        let next = match arguments.out.is_some() {
            true => say!(
                screen.language,
                "give the same command with --resume to go on",
                "같은 명령에 --resume 을 붙이면 이어서 합니다"
            ),
            false => say!(
                screen.language,
                "with --out DIR, what is done is kept and --resume goes on",
                "--out DIR 을 주면 끝난 것이 남고 --resume 으로 이어 갈 수 있습니다"
            ),
        };
        return Err(Failure::failed(message).next(next));
    }
    Ok(match exit(&class) {
        // What went over its limits has its report; the pod has done its work.
        Exit::Failed if arguments.shards.is_some() => Exit::Passed,
        exit => exit,
    })
}

/// Which part of the class a pod of an Indexed Job grades.
fn own_shard(screen: &Screen, shards: u64) -> Result<u64, Failure> {
    const INDEX: &str = "JOB_COMPLETION_INDEX";
    let index = std::env::var(INDEX).ok().and_then(|index| index.parse().ok());
    index.filter(|index| *index < shards).ok_or_else(|| {
        let most = shards - 1;
        let message = say!(
            screen.language,
            "--shards {shards} grades one part of the class, but {INDEX} does not say which",
            "--shards {shards} 은(는) 학급의 한 조각을 채점하는데, 어느 조각인지 {INDEX} 이(가) 말해 주지 않습니다"
        );
        Failure::usage(message).next(say!(
            screen.language,
            "an Indexed Job sets it, from 0 to {most}; by hand: {INDEX}=0 labkit grade ...",
            "Indexed Job이 0에서 {most} 까지로 정해 줍니다. 직접 하려면: {INDEX}=0 labkit grade ..."
        ))
    })
}

/// 0 when every submission got a grade.
fn exit(class: &ClassReport) -> Exit {
    let worst = class.submissions.iter().map(|graded| match graded.outcome {
        Ended::Graded | Ended::Refused => Exit::Passed,
        Ended::OverLimit => Exit::Failed,
        Ended::EngineBug => Exit::Bug,
    });
    worst.max().unwrap_or(Exit::Passed)
}

fn class_of(screen: &Screen, arguments: &GradeArguments, found: &Found) -> Result<Class, Failure> {
    let (dir, lab) = (&arguments.dir, found.folder.name());
    let unreadable = |error| {
        Failure::file("read the class in", dir, &error).next(say!(
            screen.language,
            "DIR is a folder of submissions, one folder a student",
            "DIR은 학생마다 폴더 하나가 있는 제출물 폴더입니다"
        ))
    };
    if dir.join("submission.yaml").symlink_metadata().is_ok() {
        let whole = dir.canonicalize().map_err(unreadable)?;
        let own = whole.file_name().map(student_of).unwrap_or_else(|| "submission".to_owned());
        let student = arguments.student.clone().unwrap_or(own);
        let student = student_of(student.as_ref());
        return Ok(Class { submissions: vec![Submitted::new(lab, student, whole)], ignored: Vec::new() });
    }
    if arguments.student.is_some() {
        let message = say!(
            screen.language,
            "--student names the student of one submission, but {} has no submission.yaml",
            "--student 는 제출물 하나의 학생을 말하는데, {} 에는 submission.yaml이 없습니다",
            dir.display()
        );
        return Err(Failure::usage(message).next("labkit grade LAB DIR --student ID"));
    }
    let class = class::read(dir, lab).map_err(unreadable)?;
    if class.submissions.is_empty() {
        let message =
            say!(screen.language, "there is no submission in {}", "{} 에 제출물이 없습니다", dir.display());
        return Err(Failure::usage(message).next(say!(
            screen.language,
            "one folder a student, named after the student, with a submission.yaml in it",
            "학생마다 그 이름의 폴더를 만들고 그 안에 submission.yaml을 두세요"
        )));
    }
    Ok(class)
}

/// The folder of results, which must not lie among the submissions: the next run would grade it.
fn open(screen: &Screen, arguments: &GradeArguments, found: &Found) -> Result<Option<Results>, Failure> {
    let Some(out) = &arguments.out else { return Ok(None) };
    let gradescope = arguments.format == Some(GradeFormat::Gradescope);
    let inside = || {
        let (dir, there) = (arguments.dir.canonicalize().ok()?, std::path::absolute(out).ok()?);
        let there = there.ancestors().find_map(|folder| folder.canonicalize().ok())?;
        Some(there.starts_with(dir))
    };
    if inside() == Some(true) {
        let message = say!(
            screen.language,
            "{} lies within the class's folder, where it would be taken for a submission",
            "{} 은 학급 폴더 안에 있어 제출물로 오인됩니다",
            out.display()
        );
        return Err(Failure::usage(message).next(say!(
            screen.language,
            "choose a folder beside it",
            "그 옆의 폴더를 고르세요"
        )));
    }
    let opened = Results::open(out, &found.folder, screen.language, gradescope, arguments.allow_scripts);
    opened.map(Some).map_err(|error| Failure::file("write reports to", out, &error))
}

/// Grades, and keeps each report as it comes. The second is why a report could not be written.
fn grade_all(
    screen: &Screen,
    global: &Global,
    arguments: &GradeArguments,
    found: &Found,
    open: &[Submitted],
    results: Option<&Results>,
) -> Result<(Vec<Option<Graded>>, Option<String>), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.map_or(cores, |jobs| usize::try_from(jobs).unwrap_or(cores));
    let interrupted = interruption()?;
    let quiet = if arguments.format.is_some() { screen.for_programs() } else { *screen };
    let work = Work::of_steps(&quiet, open.len() as u64);
    let done = AtomicUsize::new(0);
    let rows: Mutex<(Vec<Option<Graded>>, Option<String>)> = Mutex::new((vec![None; open.len()], None));
    Pool::new(screen.language, global, arguments).grade(open, jobs, &interrupted, &|index, told| {
        let submitted = &open[index];
        let (graded, report) = match told {
            Told::Report(report, problems) => (Graded::of(&report, Ended::Graded, problems), report),
            Told::Nothing(outcome, problems) => {
                let report = empty(&found.folder.lab, submitted.seed, &submitted.student);
                (Graded::of(&report, outcome, problems), Box::new(report))
            }
        };
        let kept = results.map_or(Ok(()), |results| results.keep(&graded, &report));
        let count = done.fetch_add(1, Ordering::Relaxed) + 1;
        let student = cut(&submitted.student, 40);
        work.say(&format!("[{count}/{}] {student} {}/{}", open.len(), graded.points, graded.points_max));
        work.step();
        let mut rows = rows.lock().expect("no panic happens under this lock");
        rows.0[index] = Some(graded);
        if let Err(error) = kept {
            rows.1.get_or_insert(error.to_string());
        }
    })?;
    drop(work);
    Ok(rows.into_inner().expect("no panic happens under this lock"))
}

/// Set by Ctrl-C and its like; a second Ctrl-C ends at once.
fn interruption() -> Result<Arc<AtomicBool>, Failure> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let interrupted = Arc::new(AtomicBool::new(false));
    let unable = |error| Failure::failed(format!("cannot listen for Ctrl-C: {error}"));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, interrupted.clone()).map_err(unable)?;
        signal_hook::flag::register(signal, interrupted.clone()).map_err(unable)?;
    }
    Ok(interrupted)
}

fn print(screen: &Screen, arguments: &GradeArguments, class: &ClassReport) {
    let format = match (arguments.format, screen.json) {
        (Some(format), _) => format,
        (None, true) => GradeFormat::Json,
        (None, false) => GradeFormat::Text,
    };
    match format {
        GradeFormat::Text => print_text(screen, arguments, class),
        GradeFormat::Json => screen.print(&class.to_json()),
        GradeFormat::Junit => screen.print(&class.to_junit()),
        GradeFormat::Csv => screen.print(&class.to_csv()),
        GradeFormat::Markdown => screen.print(&class.to_markdown(screen.language)),
        GradeFormat::Gradescope => screen.print(&class.to_gradescope(screen.language)),
    }
}

/// A line a student, a line a check, and the whole in one.
fn print_text(screen: &Screen, arguments: &GradeArguments, class: &ClassReport) {
    let title = format!("{} ({})", class.title.for_language(screen.language), class.lab);
    screen.print(&screen.paint(Ink::Bold, &title));
    screen.print("");
    let most = (screen.width / 3).max(10);
    let names = class.submissions.iter().map(|graded| cut(&graded.student, most));
    let column = names.clone().map(|name| unicode_width::UnicodeWidthStr::width(name.as_str())).max();
    for (graded, name) in class.submissions.iter().zip(names) {
        let points = format!("{:>3}/{}", graded.points, graded.points_max);
        let (ink, note) = note(screen, graded);
        let head = format!("  {}  {points}  ", pad(&name, column.unwrap_or(0)));
        let room = screen.width.saturating_sub(unicode_width::UnicodeWidthStr::width(head.as_str()));
        screen.print(format!("{head}{}", screen.paint(ink, &cut(&note, room.max(8)))).trim_end());
    }
    let counted = class.statistics();
    let widest = counted.iter().map(|row| row.check.len()).max().unwrap_or(0).min(most * 2);
    let words = [Verdict::Passed, Verdict::Failed, Verdict::Skipped].map(|v| v.word(screen.language));
    let words = words.map(|word| pad(word, 8));
    screen.print("");
    screen.print(&screen.paint(Ink::Dim, format!("  {}  {}", pad("", widest), words.join("")).trim_end()));
    for row in &counted {
        let counts = [row.passed, row.failed, row.skipped].map(|count| pad(&count.to_string(), 8));
        let check = pad(&cut(&row.check, widest), widest);
        screen.print(format!("  {check}  {}", counts.join("")).trim_end());
    }
    screen.print("");
    screen.print_prose("", &whole(screen, class));
    if let Some(out) = &arguments.out {
        let out = out.display();
        screen.print_prose(
            "",
            &say!(
                screen.language,
                "Reports: {out}/reports, summary: {out}/summary.csv",
                "보고서: {out}/reports, 요약: {out}/summary.csv"
            ),
        );
    }
}

/// What stands behind the points: the checks that failed, or why there is no grade.
fn note(screen: &Screen, graded: &Graded) -> (Ink, String) {
    if graded.outcome != Ended::Graded {
        let why = graded.problems.first().and_then(|problem| problem.lines().next()).unwrap_or_default();
        return (Ink::Red, format!("{}: {why}", graded.outcome.word(screen.language)));
    }
    let failed = graded.checks().filter(|(_, check)| check.verdict == Verdict::Failed);
    let failed: Vec<String> = failed.map(|(task, check)| format!("{task}/{}", check.id)).collect();
    match failed.is_empty() {
        true => (Ink::Green, "✓".to_owned()),
        false => (Ink::Yellow, failed.join(", ")),
    }
}

/// How many there were, how they ended, and the mean.
fn whole(screen: &Screen, class: &ClassReport) -> String {
    let outcomes = [Ended::Graded, Ended::Refused, Ended::OverLimit, Ended::EngineBug];
    let counts = outcomes.map(|outcome| {
        let count = class.submissions.iter().filter(|graded| graded.outcome == outcome).count();
        let word = outcome.word(screen.language);
        (count > 0).then(|| say!(screen.language, "{count} {word}", "{word} {count}"))
    });
    let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let (mean, most) = (class.mean().unwrap_or_default(), class.points_max);
    let mut text = say!(
        screen.language,
        "Mean {mean:.1} of {most} points; {counts}",
        "평균 {most}점 만점에 {mean:.1}점. {counts}"
    );
    let self_reported = class.submissions.iter().filter(|graded| graded.self_reported > 0).count();
    if self_reported > 0 {
        text.push_str(&say!(
            screen.language,
            ". Points of {self_reported} rest in part on what their own run is said to have shown; --replay-only believes the replayed run alone",
            ". {self_reported}명의 점수 일부는 학생 자신의 실행에서 나왔다는 값에 근거합니다. --replay-only 는 재실행한 결과만 믿습니다"
        ));
    }
    text
}
