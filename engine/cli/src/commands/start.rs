//! `labkit start`: a lab in a process of its own, or in this terminal.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use labkit_lab::{LabFolder, student_seed};

use crate::arguments::{Global, StartArguments};
use crate::commands::restore;
use crate::course::{self, Found};
use crate::daemon::{self, Announcement, Order, Ready, quoted};
use crate::failure::{Exit, Failure, Outcome};
use crate::prose;
use crate::screen::{Ink, Screen, say};
use crate::state::{LabState, Running, State};
use crate::work::Work;

pub fn run(screen: &Screen, global: &Global, arguments: &StartArguments) -> Outcome {
    let found = course::find(screen, global, &arguments.lab)?;
    let place = State::open()?.lab(&found.folder.lab.metadata.name);
    if place.is_running() {
        return Err(running_already(screen, &place));
    }
    let begin = Begin::of(screen, arguments, &place)?;
    if arguments.foreground {
        return foreground(screen, found, place, begin);
    }
    let lab = found.folder;
    let ready = background(screen, global, arguments, &lab, &place)?;
    say_ready(screen, &lab, &ready);
    Ok(Exit::Passed)
}

/// What the lab begins with.
#[derive(Debug, Clone, Default)]
struct Begin {
    student: Option<String>,
    snapshot: Option<PathBuf>,
}

impl Begin {
    fn of(screen: &Screen, arguments: &StartArguments, place: &LabState) -> Result<Begin, Failure> {
        let named = std::env::var("LABKIT_STUDENT").ok().filter(|student| !student.is_empty());
        let snapshot = arguments.snapshot.as_deref().map(|name| restore::known(screen, &place.name, name));
        Ok(Begin { student: arguments.student.clone().or(named), snapshot: snapshot.transpose()? })
    }

    fn order(
        &self,
        screen: &Screen,
        found: Found,
        place: LabState,
        foreground: bool,
    ) -> Result<Order, Failure> {
        let (lab, course, language) = (found.folder, found.course, screen.language);
        let snapshot = self.snapshot.as_deref().map(|file| daemon::read_snapshot(language, file, &lab));
        Ok(Order {
            variants: self.student.as_deref().map_or(1, |student| student_seed(lab.name(), student)),
            student: self.student.clone(),
            snapshot: snapshot.transpose()?,
            lab,
            course,
            place,
            foreground,
            language,
        })
    }
}

fn running_already(screen: &Screen, place: &LabState) -> Failure {
    let name = &place.name;
    let message = say!(screen.language, "{name} is running already", "{name} 은(는) 이미 실행 중입니다");
    let next = say!(
        screen.language,
        "labkit status shows its exports; labkit stop --lab {name} ends it",
        "labkit status 는 export 줄을 보여 주고, labkit stop --lab {name} 은 실습을 끝냅니다"
    );
    Failure::failed(message).next(next)
}

fn claim(screen: &Screen, place: &LabState) -> Result<Running, Failure> {
    let claimed = place.claim().map_err(|error| Failure::file("use the folder", &place.dir, &error))?;
    claimed.ok_or_else(|| running_already(screen, place))
}

fn foreground(screen: &Screen, found: Found, place: LabState, begin: Begin) -> Outcome {
    let running = claim(screen, &place)?;
    let lab = found.folder.clone();
    let order = begin.order(screen, found, place, true)?;
    let work = Work::spinning(screen);
    work.say(&booting(screen, &lab));
    daemon::run(order, running, |ready| {
        drop(work);
        say_ready(screen, &lab, ready);
        if !screen.json {
            screen.print(
                &screen
                    .paint(Ink::Dim, &say!(screen.language, "Ctrl-C ends the lab.", "Ctrl-C 로 끝납니다.")),
            );
        }
        Ok(())
    })
}

fn booting(screen: &Screen, lab: &LabFolder) -> String {
    let title = lab.lab.title.for_language(screen.language);
    say!(screen.language, "booting {title}", "{title} 부팅 중")
}

/// Starts this program again as the lab's own process, and waits until it says that it is ready.
fn background(
    screen: &Screen,
    global: &Global,
    arguments: &StartArguments,
    lab: &LabFolder,
    place: &LabState,
) -> Result<Ready, Failure> {
    let log = open_log(place).map_err(|error| Failure::file("write", &place.log(), &error))?;
    let itself = std::env::current_exe()
        .map_err(|error| Failure::bug(format!("labkit does not find itself: {error}")))?;
    let mut command = Command::new(itself);
    command.arg("daemon").arg(&arguments.lab).args(["--lang", screen.language.code()]);
    if let Some(course) = &global.course {
        command.arg("--course").arg(course);
    }
    for (flag, value) in [("--student", &arguments.student), ("--snapshot", &arguments.snapshot)] {
        command.args(value.iter().flat_map(|value| [flag, value.as_str()]));
    }
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
    let mut child = spawned.map_err(|error| Failure::failed(format!("cannot start a process: {error}")))?;
    let work = Work::spinning(screen);
    work.say(&booting(screen, lab));
    let told = BufReader::new(child.stdout.take().expect("it is piped")).lines().next();
    drop(work);
    let announcement = told.and_then(Result::ok).and_then(|line| serde_json::from_str(&line).ok());
    match announcement {
        Some(Announcement::Ready(ready)) => Ok(ready),
        Some(Announcement::Failed { exit, message, next }) => {
            // Its end is near; it takes its files with it.
            let _ = child.wait();
            Err(Failure { exit, message, next, diagnostics: Vec::new() })
        }
        None => {
            let _ = child.wait();
            let log = fs::read_to_string(place.log()).unwrap_or_default();
            let why = log
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("no reason given")
                .to_owned();
            Err(Failure::bug(format!("the lab ended before it was ready: {why}"))
                .next(format!("the whole story is in {}", place.log().display())))
        }
    }
}

fn open_log(place: &LabState) -> std::io::Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&place.dir)?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(place.log())
}

/// `labkit daemon`: the lab's own process, away from the terminal that started it.
pub fn daemon(screen: &Screen, global: &Global, arguments: &StartArguments) -> Outcome {
    // In a session of its own no terminal's end reaches it.
    let _ = nix::unistd::setsid();
    let outcome = detached(screen, global, arguments);
    if let Err(failure) = &outcome {
        let Failure { exit, message, next, .. } = failure.clone();
        // The log has it too, should nobody wait any more.
        let _ = announce(&Announcement::Failed { exit, message, next });
    }
    outcome
}

fn detached(screen: &Screen, global: &Global, arguments: &StartArguments) -> Outcome {
    let found = course::find(screen, global, &arguments.lab)?;
    let place = State::open()?.lab(&found.folder.lab.metadata.name);
    let running = claim(screen, &place)?;
    let (dir, log) = (place.dir.clone(), place.log());
    let order = Begin::of(screen, arguments, &place)?.order(screen, found, place, false)?;
    daemon::run(order, running, |ready| {
        announce(&Announcement::Ready(ready.clone()))?;
        // The pipe's reader goes away now; whatever is said from here on goes to the log.
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
        nix::unistd::dup2_stdout(&log)?;
        std::env::set_current_dir(dir)
    })
}

fn announce(announcement: &Announcement) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(announcement)?)?;
    stdout.flush()
}

/// What to do now.
fn say_ready(screen: &Screen, lab: &LabFolder, ready: &Ready) {
    if screen.json {
        screen.print_json(ready);
        return;
    }
    let language = screen.language;
    let readme = lab.readme.get(&language).map(String::as_str).unwrap_or_default();
    screen.print_prose("", &screen.paint(Ink::Bold, ready.title.for_language(language)));
    for text in [prose::introduction(readme)] {
        if !text.is_empty() {
            screen.print("");
            screen.print_prose("", &text);
        }
    }
    restore::went_otherwise(screen, ready);
    if let Some(task) = lab.lab.tasks.first() {
        let title = task.title.as_ref().map_or(task.id.as_str(), |title| title.for_language(language));
        let count = lab.lab.tasks.len();
        let head = say!(language, "Task 1 of {count}: {title}", "과제 1/{count}: {title}");
        screen.print(&format!("\n{}", screen.paint(Ink::Bold, &head)));
        screen.print_prose("", &prose::task(readme, &task.id));
    }
    let (millis, components) = (ready.boot_ms, ready.components.join(", "));
    screen.print("");
    screen.print_prose(
        "",
        &say!(language, "Ready in {millis} ms: {components}", "{millis} ms 만에 준비됨: {components}"),
    );
    let is_for_kubectl = ready.env.iter().any(|(name, _)| name == "KUBECONFIG");
    let variables = if is_for_kubectl { "KUBECONFIG, ETCDCTL_*" } else { "ETCDCTL_*" };
    let (line, which) = (
        say!(
            language,
            "In every terminal that you use, type this line:",
            "사용할 터미널마다 이 줄을 입력하세요:"
        ),
        say!(
            language,
            "It sets {variables}: labkit status shows them.",
            "{variables} 값을 정합니다. 보려면: labkit status"
        ),
    );
    screen.print_prose("", &line);
    screen.print(&screen.paint(Ink::Cyan, &format!("  . {}", quoted(&ready.env_file))));
    screen.print_prose("", &screen.paint(Ink::Dim, &which));
    screen.print_prose(
        "",
        &say!(
            language,
            "Then, in a terminal of its own: labkit watch. Or one by one: labkit check, labkit hint, labkit status, labkit stop.",
            "그다음 다른 터미널에서 labkit watch. 또는 하나씩: labkit check, labkit hint, labkit status, labkit stop."
        ),
    );
}
