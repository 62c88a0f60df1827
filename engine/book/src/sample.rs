//! A small course with a made-up run, for tests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::chapters::Contents;
use crate::page::{
    CheckPage, CoursePage, Fault, HintPage, LabPage, Language, Message, ResultRow, RunPage, SessionPage,
    TaskPage,
};

pub(crate) fn contents(language: Language) -> Contents {
    Contents { language, course: course(language), schemas: schemas() }
}

fn schemas() -> BTreeMap<String, Value> {
    let schema = json!({
        "title": "Lab",
        "description": "A lab.",
        "type": "object",
        "required": ["steps"],
        "properties": {
            "kind": {"$ref": "#/$defs/LabKind"},
            "steps": {"description": "What is\ndone, see `wait`.", "type": "array", "items": {"$ref": "#/$defs/Step"}},
            "minutes": {"type": ["integer", "null"]},
        },
        "$defs": {
            "LabKind": {"type": "string", "enum": ["Lab"]},
            "Step": {
                "type": "object",
                "properties": {"wait": {"anyOf": [{"type": "string", "format": "duration"}, {"$ref": "#/$defs/Mode"}]}},
            },
            "Pause": {"$ref": "#/$defs/Step", "description": "`pause: {}`"},
            "Mode": {"oneOf": [{"const": "fast", "description": "At once."}, {"const": "slow"}]},
        },
    });
    let files = ["lab", "course", "submission"].map(|file| format!("{file}.schema.json"));
    files.into_iter().map(|file| (file, schema.clone())).collect()
}

fn course(language: Language) -> CoursePage {
    let say = |en: &str, ko: &str| if language == Language::Ko { ko.to_owned() } else { en.to_owned() };
    let labs = vec![lab(language)];
    let title = say("How Kubernetes works inside", "쿠버네티스는 속에서 어떻게 움직이는가");
    let session = SessionPage { id: "session-2".to_owned(), title: "2. etcd".to_owned(), labs };
    CoursePage { title, minutes: 15, points_max: 10, sessions: vec![session] }
}

pub(crate) fn lab(language: Language) -> LabPage {
    let say = |en: &str, ko: &str| if language == Language::Ko { ko.to_owned() } else { en.to_owned() };
    let prose = "# Repeated\n\n{{objectives}}\n\n## Survive\n\n{{task survive}}\n\nDo it.\n\n{{hints survive}}\n\n## Run\n\n{{results}}\n\n{{diagram}}\n\n{{timeline}}\n";
    let check = |id: &str, title: String, points| CheckPage { id: id.to_owned(), title, points };
    let lost = say("No acknowledged write is lost", "확인된 쓰기는 남는다");
    let leader = say("The new leader is named", "새 리더의 이름");
    LabPage {
        id: "kill-the-leader".to_owned(),
        folder: "session-2/kill-the-leader".to_owned(),
        title: say("Kill the leader mid-write", "쓰기 도중 리더 죽이기"),
        minutes: 15,
        points_max: 10,
        objectives: vec![say(
            "say which writes survive a crash",
            "장애 뒤에 어떤 쓰기가 남는지 말할 수 있다",
        )],
        components: vec!["etcd × 3".to_owned()],
        tasks: vec![TaskPage {
            id: "survive".to_owned(),
            title: None,
            points_max: 10,
            checks: vec![check("no-write-lost", lost.clone(), 6), check("new-leader", leader.clone(), 4)],
            hints: vec![HintPage { number: 1, text: say("Look at the *term*.", "*TERM*을 보세요.") }],
        }],
        run: Some(RunPage {
            points: 6,
            points_max: 10,
            verdict: "failed",
            seed: 1,
            virtual_ms: 12_340,
            rows: vec![
                row("no-write-lost", lost, (6, 6), "passed", ("0 lost", "0 lost of 120")),
                row("new-leader", leader, (0, 4), "failed", ("etcd3", "etcd1 <dead>")),
            ],
            faults: vec![Fault {
                id: "crash".to_owned(),
                target: "etcd/etcd1".to_owned(),
                at_ms: 3_000,
                healed_ms: Some(9_000),
            }],
            acts: Vec::new(),
            messages: messages(),
            left_out: 0,
        }),
        prose: prose.to_owned(),
    }
}

fn row(id: &str, title: String, points: (u64, u64), verdict: &'static str, seen: (&str, &str)) -> ResultRow {
    ResultRow {
        task: "survive".to_owned(),
        id: id.to_owned(),
        title,
        points: points.0,
        points_max: points.1,
        verdict,
        unmet: verdict == "failed",
        expected: seen.0.to_owned(),
        actual: seen.1.to_owned(),
        error: None,
    }
}

/// A writer puts to three members; the leader is killed; another is elected; the writer goes on.
fn messages() -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut say = |at_ms: u64, ends: (&str, &str), kind: &str, text: String, cause: Option<u64>| {
        let id = messages.len() as u64 + 1;
        let (from, to) = (ends.0.to_owned(), ends.1.to_owned());
        let noise = kind == "Heartbeat";
        let fields = if kind == "Put" { json!({"key": "seq"}) } else { json!({}) };
        messages.push(Message { id, at_ms, from, to, kind: kind.to_owned(), text, cause, noise, fields });
        id
    };
    for seq in 1..=3 {
        let put = say(seq * 500, ("writer", "etcd1"), "Put", "Put key=seq".to_owned(), None);
        say(seq * 500, ("etcd1", "etcd2"), "AppendEntries", "AppendEntries term=1".to_owned(), Some(put));
        say(seq * 500, ("etcd1", "etcd3"), "AppendEntries", "AppendEntries term=1".to_owned(), Some(put));
        say(seq * 500 + 50, ("etcd1", "etcd2"), "Heartbeat", "Heartbeat term=1".to_owned(), None);
    }
    let vote = say(4_200, ("etcd3", "etcd2"), "Vote", "Vote term=2; #1".to_owned(), None);
    say(4_201, ("etcd3", "etcd3"), "BecomeLeader", "BecomeLeader term=2".to_owned(), Some(vote));
    let put = say(4_300, ("writer", "etcd3"), "Put", "Put key=seq".to_owned(), None);
    say(4_300, ("etcd3", "etcd2"), "AppendEntries", "AppendEntries term=2".to_owned(), Some(put));
    messages
}
