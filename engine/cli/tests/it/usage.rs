//! Exit codes and reports: what is wrong with a command or a file is said once, clearly, with the next step.

use crate::home::{Home, Ran};

/// A lab that boots nothing but one member.
const LAB: &str = "\
apiVersion: labkit.dev/v1alpha1
kind: Lab
metadata: {name: tiny}
title: {en: Tiny, ko: 작은 실습}
minutes: 1
cluster: {etcd: {members: 1}}
submission: {allow: [etcdctl]}
tasks:
  - id: put
    checks:
      - id: there
        title: {en: The key is there, ko: 키가 있다}
        points: 2
        etcd: {keys: [{key: a, value: b}]}
      - id: leader
        title: {en: The leader is named, ko: 리더의 이름}
        points: 1
        answer: {id: leader, equals: etcd.leader.name}
";

const SUBMISSION: &str = "\
apiVersion: labkit.dev/v1alpha1
kind: Submission
lab: tiny
";

fn tiny(home: &Home, lab: &str) {
    home.write("tiny/lab.yaml", lab);
    home.write("tiny/README.md", "# Tiny\n\n{{task put}}\n\nPut it.\n");
    home.write("tiny/README.ko.md", "# 작은 실습\n\n{{task put}}\n\n넣으세요.\n");
    home.write("tiny/start/submission.yaml", SUBMISSION);
    home.write(
        "tiny/solution/submission.yaml",
        format!("{SUBMISSION}steps: [{{etcdctl: put a b}}]\nanswers: {{leader: etcd1}}\n"),
    );
}

#[track_caller]
fn refused(home: &Home, words: &[&str], says: &[&str]) {
    let ran = home.run(words).ends_with(2);
    for text in says {
        assert!(ran.err.contains(text), "{text:?} is not in:\n{}", ran.err);
    }
    assert_eq!(ran.out, "");
}

#[test]
fn bad_usage_ends_with_2_and_the_next_step() {
    let home = Home::new();
    refused(&home, &["frobnicate"], &["unrecognized subcommand", "--help"]);
    refused(&home, &["run"], &["<LAB>"]);
    refused(&home, &["run", "no-such-lab"], &["no lab no-such-lab", "next:", "kill-the-leader"]);
    refused(&home, &["run", "./nowhere"], &["nowhere", "next:"]);
    refused(&home, &["run", "a", "--solution", "--submission", "b"], &["cannot be used with"]);
    refused(&home, &["check"], &["no lab is running", "labkit start"]);
    refused(&home, &["check", "--lab", "x"], &["x is not running"]);
    refused(&home, &["clock", "soon"], &["`soon` is no duration"]);
    refused(&home, &["--course", "nowhere"], &["no course.yaml", "next:"]);
    refused(&home, &["fault", "drop", "a | b", "often"], &["often"]);
    refused(&home, &["check", "--lang", "ko"], &["실행 중인 실습이 없습니다", "다음:"]);
}

#[test]
fn help_and_version_end_with_0() {
    let home = Home::new();
    let help = home.run(&["help"]).ends_with(0).out;
    assert!(
        help.contains("Students:") && help.contains("Instructors:") && help.contains("kubectl"),
        "{help}"
    );
    assert!(home.run(&["--help", "--lang", "ko"]).ends_with(0).out.contains("학생:"));
    assert!(home.run(&["start", "--help"]).ends_with(0).out.contains("Examples:"));
    home.run(&["--version"]).ends_with(0);
}

#[test]
fn every_problem_of_a_lab_is_reported_at_its_place() {
    let home = Home::new();
    tiny(&home, &LAB.replace("minutes: 1\n", "minuets: 1\n").replace("members: 1", "members: two"));
    for command in [["run", "tiny"], ["start", "tiny"], ["lint", "tiny"]] {
        refused(&home, &command, &["tiny/lab.yaml:5:1", "minuets", "tiny/lab.yaml:6:", "2 problems found"]);
    }
    assert!(!home.state().join("tiny").exists());
}

#[test]
fn files_that_are_no_lab_are_refused() {
    let home = Home::new();
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("not UTF-8", vec![0x6b, 0xff, 0xfe], "UTF-8"),
        ("10 MB", vec![b'#'; 10 << 20], "larger than 1 MiB"),
        ("an alias bomb", bomb().into_bytes(), "tiny/lab.yaml"),
        ("an unclosed list", b"a: [1, 2".to_vec(), "tiny/lab.yaml:1:"),
        ("nothing", Vec::new(), "tiny/lab.yaml"),
    ];
    for (what, bytes, says) in cases {
        tiny(&home, LAB);
        home.write("tiny/lab.yaml", bytes);
        let ran = home.run(&["run", "tiny"]).ends_with(2);
        assert!(ran.err.contains(says), "{what}: {}", ran.err);
    }
    tiny(&home, LAB);
    std::fs::remove_file(home.path().join("tiny/start/submission.yaml")).unwrap();
    refused(&home, &["run", "tiny"], &["tiny/start/submission.yaml"]);
}

fn bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{}", level - 1);
        let aliases = vec![alias; 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text
}

#[test]
fn a_lab_by_path_is_graded() {
    let home = Home::new();
    tiny(&home, LAB);
    let start = home.run(&["run", "tiny"]).ends_with(1);
    assert!(start.out.contains("0/3"), "{}", start.out);
    home.run(&["run", "tiny/lab.yaml", "--solution"]).ends_with(0);
    home.write("mine/submission.yaml", format!("{SUBMISSION}steps: [{{etcdctl: put a b}}]\n"));
    let mine = home.run(&["run", "./tiny", "--submission", "mine", "--report", "report.json"]).ends_with(1);
    assert!(mine.out.contains("2/3"), "{}", mine.out);
    let report = std::fs::read_to_string(home.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&report).unwrap()["points"], 2);
    refused(&home, &["run", "tiny", "--submission", "nowhere"], &["nowhere", "submission.yaml"]);
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_two_processes() {
    let home = Home::new();
    let run = || {
        home.run(&["run", "kill-the-leader", "--solution", "--seed", "7", "--format", "json"])
            .ends_with(0)
            .out
    };
    assert_eq!(run(), run());
}

#[test]
fn a_report_has_every_form() {
    let home = Home::new();
    tiny(&home, LAB);
    for (form, says) in
        [("text", "0/3"), ("json", "\"points\": 0"), ("junit", "<testsuite "), ("markdown", "|")]
    {
        let ran = home.run(&["run", "tiny", "--format", form]).ends_with(1);
        assert!(ran.out.contains(says), "{form}: {}", ran.out);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_bug() {
    let home = Home::new();
    let mut child = home.command(&["--help"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_ne!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn without_a_home_the_temporary_folder_serves() {
    let home = Home::new();
    let mut command = home.command(&["status"]);
    command.env_remove("HOME").env("TMPDIR", home.path());
    let ran = Ran::of(command.output().unwrap()).ends_with(2);
    assert!(ran.err.contains("no lab is running"), "{}", ran.err);
    let mut command = home.command(&["status"]);
    command.env("XDG_STATE_HOME", "/proc/nowhere");
    let ran = Ran::of(command.output().unwrap()).ends_with(2);
    assert!(ran.err.contains("XDG_STATE_HOME"), "{}", ran.err);
}

#[test]
fn the_course_and_the_next_command_are_shown() {
    let home = Home::new();
    let shown = home.run(&[]).ends_with(0).out;
    assert!(shown.contains("labkit start ") && shown.contains("kill-the-leader"), "{shown}");
    let course = home.json(&[]);
    assert_eq!(course["labs"][0]["points"], serde_json::Value::Null);
}

#[test]
fn the_tour_needs_nothing() {
    let home = Home::new();
    for language in ["en", "ko"] {
        let tour = home.run(&["tour", "--lang", language]).ends_with(0).out;
        assert!(
            tour.contains("etcd/etcd") && tour.contains("✗") && tour.contains("labkit start kill-the-leader"),
            "{tour}"
        );
    }
}
