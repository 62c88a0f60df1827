//! What the tests of grading share: a lab with something to steal, and classes that are handed in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use labkit_lab::{GradeOptions, LabFolder, MemoryFiles, grade, load_lab, student_seed};
use serde_json::Value;

use crate::home::Home;

/// A lab whose answers differ from student to student.
const LAB: &str = "\
apiVersion: labkit.dev/v1alpha1
kind: Lab
metadata: {name: vault}
title: {en: The vault, ko: 금고}
minutes: 5
cluster: {etcd: {members: 3}, apiServer: {}, controllerManager: {}}
variants: {code: {integer: [1000, 999999]}}
submission: {allow: [apply, create, patch, delete, etcdctl, fault, heal, wait, fastForward, load]}
tasks:
  - id: open
    lasts: 2s
    faults: [{id: crash, at: 1s, kill: etcd/leader}]
    checks:
      - id: door
        title: {en: The door is open, ko: 문이 열려 있다}
        points: 2
        etcd: {keys: [{key: door, value: open}]}
      - id: mine
        title: {en: The config map is there, ko: ConfigMap이 있다}
        points: 2
        eventually: 10s
        resource: {of: {kind: ConfigMap, name: mine}, object: {data: {a: b}}}
      - id: victim
        title: {en: The member that was killed, ko: 죽은 멤버}
        points: 3
        answer: {id: victim, equals: faults.crash.name}
      - id: code
        title: {en: The code, ko: 암호}
        points: 3
        after: [victim]
        answer: {id: code, equals: \"'code-${code}'\"}
";

pub const HEAD: &str = "apiVersion: labkit.dev/v1alpha1\nkind: Submission\nlab: vault\n";

pub const STEPS: &str = "\
steps:
  - create: {manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: mine}, data: {a: b}}}
  - etcdctl: put door open
";

/// The lab's files.
fn files() -> BTreeMap<String, String> {
    let answers = "answers: {victim: \"${faults.crash.name}\", code: \"code-${code}\"}\n";
    let prose = "{{task open}}\n";
    [
        ("lab.yaml", LAB.to_owned()),
        ("README.md", format!("# The vault\n\n{prose}")),
        ("README.ko.md", format!("# 금고\n\n{prose}")),
        ("start/submission.yaml", HEAD.to_owned()),
        // `code` is the lab's to know: its solution can only show what the rest of it is.
        ("solution/submission.yaml", format!("{HEAD}{STEPS}{}", answers.replace("code-${code}", "none"))),
    ]
    .map(|(path, text)| (path.to_owned(), text))
    .into()
}

/// The vault, in a home.
pub fn vault(home: &Home) {
    files().into_iter().for_each(|(path, text)| drop(home.write(&format!("vault/{path}"), text)));
}

/// The vault, read.
pub fn read_vault() -> LabFolder {
    let files = files().into_iter().map(|(path, text)| (path, text.into_bytes()));
    load_lab(&MemoryFiles(files.collect()), "").expect("the lab is good")
}

/// What a student who knows everything hands in.
pub fn full_marks(lab: &LabFolder, student: &str) -> String {
    let options =
        GradeOptions { seed: student_seed("vault", student), trusted: true, ..GradeOptions::default() };
    let report = grade(lab, &lab.solution, &options);
    let (victim, code) = (&report.tables.answers["victim"], &report.tables.variants["code"]);
    format!("{HEAD}{STEPS}answers: {{victim: {victim}, code: code-{code}}}\n")
}

/// A row of a graded class.
#[track_caller]
pub fn row<'a>(class: &'a Value, student: &str) -> &'a Value {
    let rows = class["submissions"].as_array().expect("a class has submissions");
    rows.iter().find(|row| row["student"] == student).unwrap_or_else(|| panic!("no {student} in {class:#}"))
}

/// Every file below a folder with its bytes; links and what is no file by their kind.
pub fn snapshot(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("it has a kind"));
        let name = path.to_string_lossy().into_owned();
        if kind.is_dir() {
            found.extend(snapshot(&path));
        } else if kind.is_file() && entry.metadata().expect("it has a size").len() < 64 << 20 {
            found.insert(name, fs::read(&path).unwrap_or_default());
        } else {
            found.insert(name, format!("{kind:?}").into_bytes());
        }
    }
    found
}
