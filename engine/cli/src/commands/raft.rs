//! `labkit raft`: the store in slow motion, message by message.

use labkit_cluster::{RaftMember, RaftMessage, RaftView};
use labkit_lab::steps::Raft;

use crate::arguments::{RaftArguments, RaftVerb};
use crate::commands::live::ask;
use crate::control::{Request, choose};
use crate::failure::{Exit, Outcome};
use crate::screen::{Ink, Screen, columns, cut, pad, say};

/// How many of the messages on the way are listed.
const LISTED: usize = 8;

pub fn run(screen: &Screen, arguments: &RaftArguments) -> Outcome {
    let raft = arguments.verb.as_ref().map(|verb| match verb {
        RaftVerb::Hold => Raft::Hold,
        RaftVerb::Deliver { count } => Raft::Deliver(*count),
        RaftVerb::Release => Raft::Release,
    });
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let view: RaftView = ask(screen, &lab, &Request::Raft { raft })?;
    if screen.json {
        screen.print_json(&view);
        return Ok(Exit::Passed);
    }
    for (index, step) in view.delivered.iter().enumerate() {
        let before = match index {
            0 => None,
            _ => Some(view.delivered[index - 1].members.as_slice()),
        };
        screen.print(&screen.paint(Ink::Bold, &message(screen, &step.message, 0)));
        print_members(screen, &step.members, before);
        screen.print("");
    }
    if view.delivered.is_empty() {
        print_members(screen, &view.members, None);
        screen.print("");
    }
    print_waiting(screen, &view);
    screen.print_prose("", &screen.paint(Ink::Dim, &next(screen, &view, raft)));
    Ok(Exit::Passed)
}

/// `etcd1 → etcd2  AppendEntries  term=2 prevIndex=5 entries=1 commit=5`
fn message(screen: &Screen, message: &RaftMessage, kind_columns: usize) -> String {
    let kind = pad(&message.kind, kind_columns);
    let line = format!("{} → {}  {kind}  {}", message.from, message.to, message.described());
    cut(line.trim_end(), screen.width.saturating_sub(6))
}

/// The members as a table; what a message has changed stands out.
fn print_members(screen: &Screen, members: &[RaftMember], before: Option<&[RaftMember]>) {
    let language = screen.language;
    let heads = [
        say!(language, "MEMBER", "멤버"),
        say!(language, "ROLE", "역할"),
        "TERM".to_owned(),
        say!(language, "LAST INDEX", "마지막 인덱스"),
        say!(language, "COMMITTED", "커밋"),
        say!(language, "APPLIED", "적용"),
    ];
    let rows: Vec<[String; 6]> = members.iter().map(|member| row(screen, member)).collect();
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = rows.iter().map(|row| columns(&row[column]));
            cells.chain([columns(&heads[column])]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String; 6]| -> Vec<String> {
        let aligned = cells.iter().enumerate().map(|(column, cell)| match column {
            0 | 1 => pad(cell, widths[column]),
            _ => format!("{}{cell}", " ".repeat(widths[column] - columns(cell))),
        });
        aligned.collect()
    };
    screen.print(&screen.paint(Ink::Dim, format!("  {}", line(&heads).join("  ")).trim_end()));
    for (index, cells) in rows.iter().enumerate() {
        let old = before.and_then(|before| before.get(index)).map(|member| row(screen, member));
        let painted = line(cells).into_iter().enumerate().map(|(column, cell)| match &old {
            Some(old) if old[column] != cells[column] => screen.paint(Ink::Yellow, &cell),
            _ => cell,
        });
        screen.print(format!("  {}", painted.collect::<Vec<_>>().join("  ")).trim_end());
    }
}

fn row(screen: &Screen, member: &RaftMember) -> [String; 6] {
    let role = match member.role.as_str() {
        "leader" => say!(screen.language, "leader", "리더"),
        "follower" => say!(screen.language, "follower", "팔로워"),
        "candidate" => say!(screen.language, "candidate", "후보"),
        "learner" => say!(screen.language, "learner", "러너"),
        _ => say!(screen.language, "down", "꺼짐"),
    };
    let number = |number: u64| if member.role == "down" { "-".to_owned() } else { number.to_string() };
    [
        member.name.clone(),
        role,
        number(member.term),
        number(member.last_index),
        number(member.commit_index),
        number(member.applied_index),
    ]
}

fn print_waiting(screen: &Screen, view: &RaftView) {
    if !view.held || view.waiting.is_empty() {
        return;
    }
    let count = view.waiting.len();
    screen.print(&say!(
        screen.language,
        "On the way, the next one first: {count}",
        "가는 중 (다음 것부터): {count}"
    ));
    let kinds = view.waiting.iter().take(LISTED).map(|message| columns(&message.kind)).max().unwrap_or(0);
    for (index, waiting) in view.waiting.iter().take(LISTED).enumerate() {
        screen.print(&format!("  {:>2}  {}", index + 1, message(screen, waiting, kinds)));
    }
    if count > LISTED {
        screen.print("   …");
    }
    screen.print("");
}

fn next(screen: &Screen, view: &RaftView, raft: Option<Raft>) -> String {
    let language = screen.language;
    match (view.held, view.waiting.is_empty()) {
        (false, _) if raft == Some(Raft::Release) => {
            say!(language, "Messages arrive by themselves again.", "메시지가 다시 저절로 도착합니다.")
        }
        (false, _) => say!(
            language,
            "Messages arrive as they are sent. labkit raft hold lets them wait.",
            "메시지는 보내는 대로 도착합니다. labkit raft hold 로 붙잡아 둡니다."
        ),
        (true, true) => say!(
            language,
            "Nothing is on the way, and time stands. Ask for something in another terminal (etcdctl --command-timeout=10m put a 1), \
             or let time pass: labkit step 200ms.",
            "가는 메시지가 없고 시간은 멈춰 있습니다. 다른 터미널에서 무언가를 요청하거나 (etcdctl --command-timeout=10m put a 1), \
             시간을 흘려보내세요: labkit step 200ms."
        ),
        (true, false) => say!(
            language,
            "labkit raft deliver lets the next one arrive; labkit raft release, all.",
            "labkit raft deliver 는 다음 하나를, labkit raft release 는 모두 도착하게 합니다."
        ),
    }
}
