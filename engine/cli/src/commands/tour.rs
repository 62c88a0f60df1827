//! `labkit tour`: a small lab of its own, played and explained, with nothing installed.

use std::time::{Duration, Instant};

use include_dir::{Dir, include_dir};
use labkit_cluster::{Cluster, TimelineEntry};
use labkit_lab::{GradeOptions, LabFolder, Report, grade, load_lab};
use labkit_sim::Pace;
use serde_json::Value;

use crate::arguments::TourArguments;
use crate::commands::check::row;
use crate::failure::{Exit, Failure, Outcome};
use crate::files::EmbeddedFiles;
use crate::screen::{Ink, Screen, cut, pad, say};

static TOUR: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tour");

/// The seed of the tour: the same story for everybody.
const SEED: u64 = 1;

/// Time to read a line, on a terminal.
const PAUSE: Duration = Duration::from_millis(900);

pub fn run(screen: &Screen, arguments: &TourArguments) -> Outcome {
    let lab = load_lab(&EmbeddedFiles::of(&TOUR), "")
        .map_err(|problems| Failure { exit: Exit::Bug, ..Failure::diagnostics(screen, problems) })?;
    let options =
        GradeOptions { seed: SEED, trusted: true, submission: "tour".to_owned(), reveal_answers: true };
    let report = grade(&lab, &lab.start, &options);
    if screen.json {
        screen.print(&report.to_json());
        return Ok(if report.bugs.is_empty() { Exit::Passed } else { Exit::Bug });
    }
    let tour = Tour { screen, pauses: screen.is_terminal && !arguments.fast };
    tour.boot(&lab);
    tour.crash(&report);
    tour.timeline(&report);
    tour.red_check(&report);
    tour.onwards();
    Ok(if report.bugs.is_empty() { Exit::Passed } else { Exit::Bug })
}

struct Tour<'a> {
    screen: &'a Screen,
    pauses: bool,
}

impl Tour<'_> {
    fn say(&self, text: &str) {
        self.screen.print_prose("", text);
        self.pause();
    }

    fn head(&self, text: &str) {
        self.screen.print("");
        self.screen.print_prose("", &self.screen.paint(Ink::Bold, text));
    }

    fn pause(&self) {
        if self.pauses {
            std::thread::sleep(PAUSE);
        }
    }

    /// Boots the lab's cluster once, only to tell how long it takes.
    fn boot(&self, lab: &LabFolder) {
        let language = self.screen.language;
        self.head(&say!(language, "1. A control plane boots", "1. 컨트롤 플레인이 뜹니다"));
        let began = host_now();
        let components = labkit_sim::run(Pace::Virtual, SEED, |world| async move {
            let cluster = Cluster::boot(&world, &lab.lab.cluster).await;
            cluster
                .map(|cluster| crate::daemon::components(&cluster).join(", "))
                .unwrap_or_else(|error| error.to_string())
        });
        let millis = began.elapsed().as_millis();
        self.say(&say!(
            language,
            "{components}: ready in {millis} ms, in this process. No container, no root, no network.",
            "{components}: 이 프로세스 안에서 {millis} ms 만에 준비. 컨테이너도, root도, 네트워크도 없습니다."
        ));
    }

    fn crash(&self, report: &Report) {
        let language = self.screen.language;
        self.head(&say!(
            language,
            "2. Somebody writes, and the leader dies",
            "2. 누군가 쓰는 동안 리더가 죽습니다"
        ));
        let Some(fault) = report.faults.first() else { return };
        let (target, at) = (&fault.target, clock(fault.at_ms));
        let load = &report.tables.loads["writer"];
        let count = |name: &str| load[name].as_u64().unwrap_or_default();
        let (done, unsure) = (count("acknowledged"), count("unknown") + count("failed"));
        let elected = story(report)
            .into_iter()
            .find(|entry| entry.kind == "BecomeLeader")
            .map_or(0, |entry| entry.at_ms);
        let elected = clock(elected.saturating_sub(fault.at_ms));
        self.say(&say!(
            language,
            "A writer puts a hundred keys a second. At {at} we kill {target}, which leads.",
            "쓰는 이가 1초에 백 번 put 합니다. {at} 에 리더인 {target} 을 죽입니다."
        ));
        self.say(&say!(
            language,
            "{elected} later the others have a new leader. {done} writes were acknowledged, and all of them are still there. {unsure} under way got no acknowledgement: it may be there, or not.",
            "{elected} 뒤에 나머지가 새 리더를 뽑았습니다. 확인받은 쓰기 {done}개는 모두 그대로 있습니다. 진행 중이던 {unsure}개는 확인받지 못했습니다. 남아 있을 수도, 없을 수도 있습니다.",
        ));
    }

    fn timeline(&self, report: &Report) {
        let language = self.screen.language;
        self.head(&say!(language, "3. What the members said to each other", "3. 멤버들이 서로 한 말"));
        let crash = report.faults.first();
        let (mut told, mut last_ms) = (false, None);
        for entry in story(report) {
            if let Some(crash) = crash.filter(|crash| !told && entry.at_ms > crash.at_ms) {
                let at = format!("{:>6}", clock(crash.at_ms));
                let line = format!("  {} {}", pad(&crash.target, 13), crash.verb);
                self.screen.print(&format!(
                    "{}{}",
                    self.screen.paint(Ink::Dim, &at),
                    self.screen.paint(Ink::Red, &line)
                ));
                told = true;
            }
            // What the writer and the members said meanwhile is the same over and over.
            if last_ms.is_some_and(|last_ms| entry.at_ms > last_ms + 2_000) {
                self.screen.print(&self.screen.paint(Ink::Dim, "     …"));
            }
            last_ms = Some(entry.at_ms);
            self.print_entry(entry, told);
            if self.pauses {
                std::thread::sleep(PAUSE / 6);
            }
        }
        self.say(&say!(
            language,
            "That is the trace of the run, not a drawing. The book's diagrams are made of it.",
            "그린 것이 아니라 실행의 기록입니다. 책의 다이어그램도 이것으로 만듭니다."
        ));
    }

    fn print_entry(&self, entry: &TimelineEntry, after_crash: bool) {
        let screen = self.screen;
        let at = format!("{:>6}", clock(entry.at_ms));
        let who = if entry.from == entry.to {
            entry.from.clone()
        } else {
            format!("{} → {}", entry.from, entry.to)
        };
        let room = screen.prose_width().saturating_sub(8 + 14);
        let text = cut(&entry.text, room);
        let ink = if after_crash { Ink::Cyan } else { Ink::Dim };
        screen.print(&format!(
            "{}  {} {}",
            screen.paint(Ink::Dim, &at),
            pad(&who, 13),
            screen.paint(ink, &text)
        ));
    }

    fn red_check(&self, report: &Report) {
        let (screen, language) = (self.screen, self.screen.language);
        self.head(&say!(
            language,
            "4. Checks look at the cluster, and say why",
            "4. 검사는 클러스터를 보고 이유를 말합니다"
        ));
        for (_, check) in report.checks() {
            let title = check.title.for_language(language);
            let (mark, ink) = if check.verdict.is_good() { ("✓", Ink::Green) } else { ("✗", Ink::Red) };
            screen.print_prose(
                "  ",
                &format!("{} {title}  {}/{}", screen.paint(ink, mark), check.points, check.points_max),
            );
            if !check.verdict.is_good() {
                screen.print(&row(screen, &say!(language, "expected", "기대"), check.expected_in(language)));
                screen.print(&row(screen, &say!(language, "found", "실제"), check.actual_in(language)));
                let hint = check.hint.as_ref().map(|hint| hint.for_language(language)).unwrap_or_default();
                screen.print(&row(screen, &say!(language, "look at", "살펴볼 것"), hint));
            }
        }
        self.pause();
        let answer = report.tables.answers.get("leader").and_then(Value::as_str).unwrap_or_default();
        self.say(&say!(language, "Our answer was {answer}: the one that had just died. In a lab of yours you would look again, with your own etcdctl, and answer anew.", "우리의 답 {answer} 은 방금 죽은 멤버였습니다. 여러분의 실습이라면 자기 etcdctl로 다시 살펴보고 새로 답하면 됩니다."));
    }

    fn onwards(&self) {
        let (screen, language) = (self.screen, self.screen.language);
        self.head(&say!(language, "Now you", "이제 여러분 차례"));
        let lines = [
            ("labkit", say!(language, "the course and your progress", "과정과 진행 상황")),
            ("labkit start kill-the-leader", say!(language, "this lab, live", "이 실습을 직접")),
            ("labkit check", say!(language, "done, not yet, and why", "된 것, 아직인 것, 그 이유")),
        ];
        for (command, what) in lines {
            let (command, what) = (screen.paint(Ink::Cyan, &pad(command, 28)), screen.paint(Ink::Dim, &what));
            if screen.width < 60 {
                screen.print(&format!("  {}\n    {what}", command.trim_end()));
            } else {
                screen.print(&format!("  {command}  {what}"));
            }
        }
    }
}

/// The few messages that tell the story of the crash.
fn story(report: &Report) -> Vec<&TimelineEntry> {
    let is_member = |name: &str| name.starts_with("etcd");
    let Some(crash) = report.faults.first().map(|fault| fault.at_ms) else { return Vec::new() };
    let among = |entry: &&TimelineEntry| is_member(&entry.from) && is_member(&entry.to);
    let members = report.timeline.iter().filter(among).filter(|entry| entry.at_ms + 20 >= crash);
    members.take(14).collect()
}

/// `2.31s`
fn clock(millis: u64) -> String {
    format!("{}.{:02}s", millis / 1000, millis % 1000 / 10)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how fast this machine boots a lab is a matter of its own clock"
)]
fn host_now() -> Instant {
    Instant::now()
}
