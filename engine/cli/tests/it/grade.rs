//! A class is graded: the same on any number of cores and as often as one likes, in every form; nothing is lost to
//! Ctrl-C or a full disk.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::class::{HEAD, STEPS, full_marks, read_vault, row, snapshot, vault};
use crate::home::{Home, Ran, wait_for};

/// Submissions of the generated class: 100, or as many as LABKIT_SEEDS says if that is more.
fn class_size() -> usize {
    let seeds = std::env::var("LABKIT_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    seeds.unwrap_or(0).max(100)
}

/// A class of good, partial, broken and hostile submissions.
fn generated(home: &Home, size: usize) {
    let lab = read_vault();
    for index in 0..size {
        let student = format!("student-{index:04}");
        let text = match index % 10 {
            0 => full_marks(&lab, &student),
            1 | 2 => format!("{HEAD}{STEPS}"),
            3 => format!("{HEAD}{STEPS}answers: {{victim: etcd1, code: guess}}\n"),
            4 => format!("{HEAD}steps: [{{etcdctl: put door open}}, {{wait: {}s}}]\n", index % 60),
            5 => format!("{HEAD}steps: [{{fault: {{id: x, pause: etcd/etcd{}}}}}]\n", 1 + index % 3),
            6 => format!("{HEAD}steps: [{{wiat: 1s}}]\n"),
            7 => format!("{HEAD}answers: {{victim: \"${{faults.crash.name}}\"}}\n"),
            8 => format!("{HEAD}answers: {{victim: {}\n", "[".repeat(5000)),
            _ => HEAD.to_owned(),
        };
        home.write(&format!("class/{student}/submission.yaml"), text);
    }
}

#[test]
fn a_class_is_graded_the_same_on_one_core_on_two_and_again() {
    let home = Home::new();
    vault(&home);
    let size = class_size();
    generated(&home, size);
    let grade = |jobs: &str, out: &str| {
        home.run(&["grade", "vault", "class", "--jobs", jobs, "--out", out, "--format", "json"])
            .ends_with(0)
            .out
    };
    let first = grade("1", "grades");
    let one = snapshot(&home.path().join("grades"));
    fs::rename(home.path().join("grades"), home.path().join("first")).unwrap();
    let again = grade("2", "grades");
    assert!(first == again, "one job and two differ");
    assert!(one == snapshot(&home.path().join("grades")), "the reports of one job and of two differ");
    assert!(first == grade("2", "grades"), "two runs differ");
    let class: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(class["submissions"].as_array().unwrap().len(), size);
    assert_eq!(class["notReached"], serde_json::json!([]));
    let points = |student: &str| row(&class, student)["points"].as_u64().unwrap();
    assert_eq!((points("student-0000"), points("student-0001"), points("student-0004")), (10, 4, 2));
    assert_eq!(row(&class, "student-0006")["outcome"], "refused");
    assert_eq!(row(&class, "student-0008")["outcome"], "refused");
}

/// Three students: full marks, nothing done, and one that cannot be read.
fn three(home: &Home) {
    vault(home);
    home.write("class/alice/submission.yaml", full_marks(&read_vault(), "alice"));
    home.write("class/bob/vault/submission.yaml", HEAD);
    home.write("class/김민수/submission.yaml", format!("{HEAD}steps: [{{wiat: 1s}}]\n"));
    home.write("class/carol.zip", "");
}

#[test]
fn every_form_tells_the_same_grades() {
    let home = Home::new();
    three(&home);
    let grade = |more: &[&str]| home.run(&[&["grade", "vault", "class"], more].concat()).ends_with(0);
    let text = grade(&[]);
    for told in [
        "The vault (vault)",
        "alice    10/10  ✓",
        "bob       0/10",
        "refused: submission.yaml:4:10: ",
        "Mean 3.3 of 10",
    ] {
        assert!(text.out.contains(told), "{told:?} is not in\n{}", text.out);
    }
    assert!(text.err.contains("carol.zip is no folder") && text.err.contains("[3/3]"), "{}", text.err);
    let korean = grade(&["--lang", "ko"]).out;
    assert!(korean.contains("금고") && korean.contains("거부됨") && korean.contains("평균 10점"), "{korean}");
    let csv = grade(&["--format", "csv"]).out;
    assert!(csv.starts_with("student,points,points_max,percent,outcome,"), "{csv}");
    assert!(csv.contains("\r\nalice,10,10,100.0,graded,0,") && csv.lines().count() == 4, "{csv}");
    let bob = csv.lines().find(|line| line.starts_with("bob,")).unwrap();
    assert!(bob.ends_with(",0,0,0,,"), "what was skipped has no points, not even none: {bob}");
    let junit = grade(&["--format", "junit"]).out;
    assert!(
        junit
            .contains("<testsuite name=\"vault/bob\" tests=\"4\" failures=\"3\" errors=\"0\" skipped=\"1\">"),
        "{junit}"
    );
    let markdown = grade(&["--format", "markdown"]).out;
    assert!(markdown.contains("| alice | 10/10 | graded |  |"), "{markdown}");
    let gradescope: Value = serde_json::from_str(&grade(&["--format", "gradescope"]).out).unwrap();
    assert_eq!((&gradescope["alice"]["score"], &gradescope["bob"]["score"]), (&10.into(), &0.into()));
    let narrow = home.command(&["grade", "vault", "class"]).env("COLUMNS", "40").output().unwrap();
    let narrow = Ran::of(narrow).ends_with(0).out;
    let wide = narrow.lines().map(unicode_width::UnicodeWidthStr::width).max();
    assert!(wide <= Some(44), "{narrow}");
}

#[test]
fn one_submission_is_graded_for_the_student_who_is_named() {
    let home = Home::new();
    three(&home);
    let words = ["grade", "vault", "class/alice", "--format", "gradescope", "--out", "results", "--student"];
    let results: Value =
        serde_json::from_str(&home.run(&[&words[..], &["alice"]].concat()).ends_with(0).out).unwrap();
    assert_eq!((&results["score"], results["tests"].as_array().unwrap().len()), (&10.into(), 4));
    let kept = fs::read(home.path().join("results/reports/alice.results.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), results);
    // Another student has other variants: what was right for one is not for the other.
    let other = home.run(&[&words[..], &["mallory"]].concat()).ends_with(0).out;
    let other: Value = serde_json::from_str(&other).unwrap();
    assert!(other["score"].as_u64().unwrap() < 10, "{other:#}");
}

#[test]
fn bad_usage_is_told_with_the_next_step() {
    let home = Home::new();
    three(&home);
    fs::create_dir(home.path().join("empty")).unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["grade", "vault", "nowhere"], "cannot read the class in nowhere"),
        (&["grade", "vault", "empty"], "there is no submission in empty"),
        (&["grade", "vault", "class", "--out", "class/grades"], "lies within the class's folder"),
        (&["grade", "vault", "class", "--resume"], "--out"),
        (&["grade", "vault", "class", "--student", "x"], "--student names the student of one submission"),
        (&["grade", "no-such-lab", "class"], "no lab no-such-lab"),
    ];
    for (words, says) in cases {
        let ran = home.run(words).ends_with(2);
        assert!(ran.err.contains(says), "{words:?}: {}", ran.err);
    }
    let small = home.run(&["grade", "vault", "class", "--memory", "16"]);
    assert!(
        small.code == Some(1) && small.err.contains("did not start") && small.err.contains("--memory"),
        "{small:?}"
    );
}

#[test]
fn grading_goes_on_where_ctrl_c_ended_it() {
    let home = Home::new();
    vault(&home);
    let slow = format!("{HEAD}steps:\n{}", "  - fastForward: 1h\n".repeat(2));
    for index in 0..40 {
        let text = if index == 0 { HEAD } else { slow.as_str() };
        home.write(&format!("class/s{index:02}/submission.yaml"), text);
    }
    let words = ["grade", "vault", "class", "--out", "grades", "--jobs", "1"];
    let child = home.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let first = home.path().join("grades/reports/s00.json");
    wait_for("the first report", || first.exists());
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = Ran::of(child.wait_with_output().unwrap()).ends_with(1);
    assert!(ended.err.contains("interrupted:") && ended.err.contains("--resume"), "{}", ended.err);
    let kept = snapshot(&home.path().join("grades"));
    let done = kept.keys().filter(|path| path.ends_with(".json") && path.contains("/reports/")).count();
    assert!((1..40).contains(&done), "{done}");
    assert!(kept.keys().any(|path| path.ends_with("summary.csv")), "{:?}", kept.keys());
    assert!(
        kept.keys().all(|path| !path.contains("grades/.tmp"))
            && kept.keys().all(|path| !path.contains("reports/.tmp")),
        "{:?}",
        kept.keys()
    );

    for index in done..40 {
        home.write(&format!("class/s{index:02}/submission.yaml"), HEAD);
    }
    let resumed = home.run(&[&words[..], &["--resume"]].concat()).ends_with(0);
    assert!(resumed.err.contains(&format!("[{0}/{0}]", 40 - done)), "{}", resumed.err);
    assert_eq!(fs::read_to_string(home.path().join("grades/summary.csv")).unwrap().lines().count(), 41);
    // A lab that has changed is graded anew.
    let lab = fs::read_to_string(home.path().join("vault/lab.yaml")).unwrap();
    home.write("vault/lab.yaml", lab.replace("points: 2", "points: 1"));
    (0..40).for_each(|index| drop(home.write(&format!("class/s{index:02}/submission.yaml"), HEAD)));
    let anew = home.run(&[&words[..], &["--resume"]].concat()).ends_with(0);
    assert!(anew.err.contains("[40/40]"), "{}", anew.err);
}

#[test]
fn a_full_disk_is_told_and_leaves_whole_files() {
    let home = Home::new();
    three(&home);
    // A disk that takes no file beyond 4 KiB: full reports do not fit, the smaller files do.
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$0\" grade vault class --out grades";
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_labkit")]).current_dir(home.path());
    let ran = Ran::of(command.output().unwrap()).ends_with(1);
    assert!(
        ran.err.contains("not every report could be written") && ran.err.contains("--resume"),
        "{}",
        ran.err
    );
    assert!(ran.out.contains("alice    10/10"), "the grades are told all the same: {}", ran.out);
    for (path, bytes) in snapshot(&home.path().join("grades")) {
        assert!(
            !path.contains("grades/.tmp") && !path.contains("reports/.tmp") && !bytes.is_empty(),
            "{path}"
        );
        if path.ends_with(".json") {
            serde_json::from_slice::<Value>(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
    if fs::metadata("/dev/full").is_ok() {
        let full = fs::File::create("/dev/full").unwrap();
        let ran =
            home.command(&["grade", "vault", "class", "--format", "csv"]).stdout(full).output().unwrap();
        let ran = Ran::of(ran).ends_with(1);
        assert!(ran.err.contains("cannot write the output"), "{}", ran.err);
    }
    home.run(&["grade", "vault", "class", "--out", "grades", "--resume"]).ends_with(0);
}

#[test]
fn a_process_that_is_replaced_changes_no_grade() {
    let home = Home::new();
    three(&home);
    let words = ["grade", "vault", "class", "--format", "json", "--jobs", "1"];
    let whole = home.run(&words).ends_with(0).out;
    let renewed = home.run(&[&words[..], &["--renewed-after", "1"]].concat()).ends_with(0).out;
    assert!(whole == renewed, "a fresh process for each");
}

/// The processes of a grader.
fn workers(grader: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(|pid| parent(*pid) == Some(grader)).collect()
}

fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), signal);
}

/// A class of which the second takes long, and what is done to the worker while it is at that.
fn disturbed(patience: &str, disturb: impl Fn(u32)) -> Value {
    let home = Home::new();
    vault(&home);
    let slow = format!("{HEAD}steps:\n{}", "  - fastForward: 10m\n".repeat(2));
    for (student, text) in [("a", HEAD), ("b", slow.as_str()), ("c", HEAD)] {
        home.write(&format!("class/{student}/submission.yaml"), text);
    }
    let words = [
        "grade",
        "vault",
        "class",
        "--jobs",
        "1",
        "--out",
        "grades",
        "--format",
        "json",
        "--patience",
        patience,
    ];
    let child = home.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let first = home.path().join("grades/reports/a.json");
    wait_for("the first report", || first.exists());
    workers(child.id()).into_iter().for_each(disturb);
    let ran = Ran::of(child.wait_with_output().unwrap());
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn a_process_that_dies_or_hangs_is_replaced() {
    let outcomes = |class: &Value| {
        ["a", "b", "c"].map(|student| row(class, student)["outcome"].as_str().unwrap().to_owned())
    };
    // Killed from outside, while it grades what is not its first: graded once more, in a fresh process.
    let killed = disturbed("60", |worker| signal(worker, nix::sys::signal::Signal::SIGKILL));
    assert_eq!(outcomes(&killed), ["graded", "graded", "graded"]);
    // Stopped: it uses no time of the processor, and never answers.
    let hung = disturbed("6", |worker| signal(worker, nix::sys::signal::Signal::SIGSTOP));
    assert_eq!(outcomes(&hung), ["graded", "overLimit", "graded"]);
    assert!(row(&hung, "b")["problems"][0].as_str().unwrap().contains("no answer within 6 s"), "{hung:#}");
}
