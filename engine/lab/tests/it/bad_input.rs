//! Bad input: each gives one clear report, and never a panic. Each case of `testdata/bad` changes something of
//! the good lab; its report is the golden text beside it (`LABKIT_BLESS=1` rewrites).

use std::path::{Path, PathBuf};

use labkit_lab::{
    Diagnostic, Files, Language, MemoryFiles, load_course, load_lab, load_submission, render_plain,
};

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
    let lab = load_lab(&good(), "good")
        .unwrap_or_else(|problems| panic!("{}", render_plain(&problems, Language::En)));
    assert_eq!(lab.lab.points_max(), 2);
    let problems = labkit_lab::lint_lab(&lab, 2).problems;
    let problems: Vec<&str> = problems.iter().map(|problem| problem.en.as_str()).collect();
    assert_eq!(problems, ["there are 1 wrong submissions; a lab has at least two"]);
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
            "wrong.yaml" => "wrong/one/submission.yaml",
            other => other,
        };
        let problems = problems_with(path, std::fs::read(&case).unwrap());
        assert!(!problems.is_empty(), "{name}");
        for (language, golden) in
            [(Language::En, format!("{name}.txt")), (Language::Ko, format!("{name}.ko.txt"))]
        {
            let golden = case.with_file_name(golden);
            let report = render_plain(&problems, language);
            if std::env::var_os("LABKIT_BLESS").is_some() {
                std::fs::write(&golden, &report).unwrap();
            }
            let expected = std::fs::read_to_string(&golden).unwrap_or_default();
            assert_eq!(report, expected, "{name} in {language}");
        }
    }
}

#[test]
fn a_courses_mistakes_are_told_with_those_of_its_labs() {
    let mut files = good();
    files.0.insert("good/lab.yaml".into(), b"kind: Lab\nminuets: 5\n".to_vec());
    let course = "apiVersion: labkit.dev/v1alpha1\nkind: Course\ntitle: {en: Course, ko: 과정}\nsessions:\n\
        \x20 - {id: session-1, title: {en: One, ko: 하나}, labs: [good, gone]}\n\
        \x20 - {id: session-1, title: {en: Two, ko: 둘}, labs: [good]}\n";
    files.0.insert("course.yaml".into(), course.into());
    let problems = load_course(&files).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for expected in [
        ("course.yaml:5:", "there is no lab in gone: no such file"),
        ("course.yaml:6:", "`session-1` is there already"),
        ("course.yaml:6:", "`good` is there already"),
        ("good/lab.yaml:2:", "unknown field `minuets`"),
    ] {
        let is_told = |told: &String| told.starts_with(expected.0) && told.contains(expected.1);
        assert!(told.iter().any(is_told), "{expected:?}\n{told:#?}");
    }
}

#[track_caller]
fn check_bytes(bytes: impl Into<Vec<u8>>, expected: &str) {
    let problems = problems_with("lab.yaml", bytes.into());
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.en.as_str()).collect();
    assert!(messages.iter().any(|message| message.contains(expected)), "{messages:?}");
    problems.iter().for_each(|problem| drop(problem.render_fancy(Language::Ko, 100)));
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
fn a_lab_without_its_solution_and_the_wrong_ones_is_a_students_copy() {
    let mut files = good();
    files.0.retain(|path, _| !path.starts_with("good/solution") && !path.starts_with("good/wrong"));
    let lab = load_lab(&files, "good").unwrap();
    assert!(lab.is_students_copy && lab.solution.steps.is_empty());
    assert!(labkit_lab::lint_lab(&lab, 1).problems[0].en.contains("no solution/"));
}

#[test]
fn a_script_stands_alone_and_is_a_students() {
    let lab = load_lab(&good(), "good").unwrap();
    let head = "apiVersion: labkit.dev/v1alpha1\nkind: Submission\nlab: good\n";
    let read = |text: &str| {
        let files =
            MemoryFiles([("submission.yaml".to_owned(), format!("{head}{text}").into_bytes())].into());
        load_submission(&files, "", &lab.lab)
    };
    assert_eq!(read("script: kubectl get pods\n").unwrap().script.as_deref(), Some("kubectl get pods"));
    let both = read("script: x\nsteps: [{wait: 5s}]\n").unwrap_err();
    assert!(both[0].message.en.contains("not both"), "{both:?}");
    let own = problems_with("solution/submission.yaml", format!("{head}script: x\n").into_bytes());
    assert!(own.iter().any(|problem| problem.message.en.contains("no script")), "{own:?}");
}

#[test]
fn line_ends_of_windows_are_line_ends() {
    let mut files = good();
    for bytes in files.0.values_mut() {
        *bytes = String::from_utf8(bytes.clone()).unwrap().replace('\n', "\r\n").into_bytes();
    }
    let windows = load_lab(&files, "good")
        .unwrap_or_else(|problems| panic!("{}", render_plain(&problems, Language::En)));
    let unix = load_lab(&good(), "good").unwrap();
    assert_eq!(windows.lab, unix.lab);
    let report = |lab| labkit_lab::grade(lab, &lab.solution, &labkit_lab::GradeOptions::default()).to_json();
    assert_eq!(report(&windows), report(&unix));
    let broken =
        String::from_utf8(good().0["good/lab.yaml"].clone()).unwrap().replace('\n', "\r\n") + "extra: 1\r\n";
    let problems = problems_with("lab.yaml", broken.into_bytes());
    assert!(
        problems[0].line > 5 && !render_plain(&problems, Language::En).contains('\r'),
        "{}",
        render_plain(&problems, Language::En)
    );
}

#[test]
fn every_truncation_of_a_good_file_is_read_or_refused() {
    let whole = good().read("good/lab.yaml").unwrap();
    for length in 0..whole.len() {
        let mut files = good();
        files.0.insert("good/lab.yaml".into(), whole[..length].to_vec());
        if let Err(problems) = load_lab(&files, "good") {
            assert!(!problems.is_empty());
            assert!(!render_plain(&problems, Language::En).is_empty());
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
