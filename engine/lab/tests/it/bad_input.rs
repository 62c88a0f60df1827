//! Bad input: each gives one clear report, and never a panic. Each case of `testdata/bad` changes something of
//! the good lab; its report is the golden text beside it (`LABKIT_BLESS=1` rewrites).

use std::path::{Path, PathBuf};

use labkit_lab::{Diagnostic, Files, MemoryFiles, load_lab, load_submission, render_plain};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn good() -> MemoryFiles {
    let mut files = MemoryFiles::default();
    for path in [
        "lab.yaml",
        "README.md",
        "README.ko.md",
        "start/submission.yaml",
        "solution/submission.yaml",
        "wrong/one/submission.yaml",
    ] {
        let bytes = std::fs::read(testdata().join("good").join(path)).unwrap();
        files.0.insert(format!("good/{path}"), bytes);
    }
    files
}

fn problems_with(path: &str, bytes: Vec<u8>) -> Vec<Diagnostic> {
    let mut files = good();
    files.0.insert(format!("good/{path}"), bytes);
    load_lab(&files, "good").expect_err("the case is bad")
}

#[test]
fn the_good_lab_is_good() {
    let lab = load_lab(&good(), "good").unwrap_or_else(|problems| panic!("{}", render_plain(&problems)));
    assert_eq!(lab.lab.points_max(), 2);
    assert_eq!(
        labkit_lab::lint_lab(&lab, 2).problems,
        ["there are 1 wrong submissions; a lab has at least two"]
    );
}

#[test]
fn each_bad_file_gives_its_report() {
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(testdata().join("bad")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.extension().is_some_and(|extension| extension != "txt"));
    cases.sort();
    assert!(cases.len() > 25);
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let (name, of) = name.split_once('.').unwrap();
        let path = match of {
            "solution.yaml" => "solution/submission.yaml",
            other => other,
        };
        let problems = problems_with(path, std::fs::read(&case).unwrap());
        assert!(!problems.is_empty(), "{name}");
        let golden = case.with_file_name(format!("{name}.txt"));
        let report = render_plain(&problems);
        if std::env::var_os("LABKIT_BLESS").is_some() {
            std::fs::write(&golden, &report).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(report, expected, "{name}");
    }
}

#[track_caller]
fn check_bytes(bytes: impl Into<Vec<u8>>, expected: &str) {
    let problems = problems_with("lab.yaml", bytes.into());
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert!(messages.iter().any(|message| message.contains(expected)), "{messages:?}");
    problems.iter().for_each(|problem| drop(problem.render_fancy(100)));
}

#[test]
fn hostile_files_are_refused_at_once() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    check_bytes(bomb, "values once aliases are expanded");
    check_bytes("a: &a [*a]\n", "an alias within its own anchor");
    check_bytes(vec![b'x'; 10 << 20], "the file has 10240 KiB");
    check_bytes("- ".repeat(10_000), "levels deep");
    check_bytes("[".repeat(10_000), "");
    check_bytes("{a: ".repeat(10_000), "");
    check_bytes(b"title: \xff\xfe".to_vec(), "byte 0xff is not UTF-8");
    check_bytes("", "the file is empty");
    check_bytes("\u{feff}", "the file is empty");
    check_bytes("a: .nan\n", "");
    check_bytes("? [a]\n: b\n", "a key must be text");
    check_bytes("\0", "");
    check_bytes(format!("equals: \"{}\"\n", "(".repeat(5000)), "unknown field `equals`");
}

#[test]
fn a_missing_file_is_named() {
    for path in ["lab.yaml", "README.ko.md", "solution/submission.yaml"] {
        let mut files = good();
        files.0.remove(&format!("good/{path}"));
        let problems = load_lab(&files, "good").unwrap_err();
        assert_eq!(problems[0].to_string(), format!("good/{path}:1:1: cannot be read: no such file"));
    }
}

#[test]
fn every_truncation_of_a_good_file_is_read_or_refused() {
    let whole = good().read("good/lab.yaml").unwrap();
    for length in 0..whole.len() {
        let mut files = good();
        files.0.insert("good/lab.yaml".into(), whole[..length].to_vec());
        if let Err(problems) = load_lab(&files, "good") {
            assert!(!problems.is_empty());
            assert!(!render_plain(&problems).is_empty());
        }
    }
}

#[test]
fn a_students_templates_are_text_and_their_expectations_ignored() {
    let lab = load_lab(&good(), "good").unwrap();
    let mut files = MemoryFiles::default();
    let text = "apiVersion: labkit.dev/v1alpha1\nkind: Submission\nlab: good\nsteps: [{wait: 5s}]\n\
                answers: {leader: \"${etcd.leader.name}\"}\nexpect: {fails: [one/kept]}\n";
    files.0.insert("submission.yaml".into(), text.into());
    let submission = load_submission(&files, "", &lab.lab).unwrap();
    assert_eq!(submission.expect, None);
    let report = labkit_lab::grade(&lab, &submission, &labkit_lab::GradeOptions::default());
    assert_eq!(report.failed(), ["one/named"]);
    assert_eq!(report.tables.answers["leader"], "${etcd.leader.name}");
}
