//! Submissions that are scripts: refused, unless whoever grades allows them; then run where nothing can be reached.

use std::process::Command;

use serde_json::Value;

use crate::class::{HEAD, row, vault};
use crate::home::{Home, Ran};
use crate::live::has;

/// A class: one who plays by script, and some who try more than that.
fn class(home: &Home) {
    class_that_calls(home, 9);
}

/// A write of a script. The lab kills its leader after a second, and a write that it had just taken fails, as with any
/// etcd: whoever needs it tries again.
const PUT: &str = "until etcdctl put door open; do sleep 0.1; done";

/// One of them tries to reach a port of this machine.
fn class_that_calls(home: &Home, port: u16) {
    vault(home);
    let outside = home.write("secret", "a secret of the machine");
    let script = |text: &str| {
        let lines: String = text.lines().map(|line| format!("  {line}\n")).collect();
        format!("{HEAD}script: |\n{lines}")
    };
    let good =
        format!("{PUT}\nkubectl create configmap mine --from-literal=a=b\nlabkit answer victim nobody");
    home.write("class/plays/submission.yaml", script(&good));
    home.write("class/fails/submission.yaml", script(&format!("{PUT}\nexit 7\netcdctl del door")));
    let steals = format!(
        "etcdctl put door \"$(cat {} /etc/passwd 2>&1)\"\necho x > {}\nrm -rf {} /usr/bin/env\nkill -9 -1",
        outside.display(),
        outside.display(),
        home.path().display()
    );
    home.write("class/steals/submission.yaml", script(&steals));
    let calls = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' && etcdctl put door open");
    home.write("class/calls/submission.yaml", script(&calls));
    home.write("class/sleeps/submission.yaml", script("sleep 1000"));
    let forges = format!("echo 'points: 10' ; labkit() {{ echo forged; }}; {PUT}");
    home.write("class/forges/submission.yaml", script(&forges));
    home.write("class/plain/submission.yaml", HEAD);
}

fn graded(ran: Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn a_script_is_refused_where_nobody_allows_it() {
    let home = Home::new();
    class(&home);
    let told = graded(home.run(&["grade", "vault", "class", "--format", "json"]).ends_with(0));
    for student in ["plays", "steals", "sleeps"] {
        let row = row(&told, student);
        assert_eq!((&row["outcome"], &row["points"]), (&"refused".into(), &0.into()), "{row}");
        assert!(row["problems"][0].as_str().unwrap().contains("--allow-scripts"), "{row}");
    }
    assert_eq!(row(&told, "plain")["outcome"], "graded");
    let run = home.run(&["run", "./vault", "--submission", "class/plays"]).ends_with(2);
    assert!(run.err.contains("--allow-scripts"), "{}", run.err);
}

#[test]
fn without_bubblewrap_scripts_are_refused_before_the_work() {
    let home = Home::new();
    class(&home);
    let mut command = home.command(&["grade", "vault", "class", "--allow-scripts"]);
    let ran = Ran::of(command.env("PATH", "/nowhere").output().unwrap()).ends_with(2);
    assert!(ran.err.contains("bubblewrap") && ran.err.contains("apt-get install"), "{}", ran.err);
}

#[test]
fn a_script_plays_the_lab_and_reaches_nothing_else() {
    if !(has("bwrap") && has("kubectl") && has("etcdctl")) {
        return;
    }
    let works = Command::new("bwrap").args(["--unshare-user", "--ro-bind", "/", "/", "true"]).status();
    if !works.is_ok_and(|status| status.success()) {
        return eprintln!("SKIPPED: bubblewrap may make no namespaces on this machine");
    }
    let home = Home::new();
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    class_that_calls(&home, host.local_addr().unwrap().port());
    let words = [
        "grade",
        "vault",
        "class",
        "--allow-scripts",
        "--time-limit",
        "8",
        "--format",
        "json",
        "--jobs",
        "2",
    ];
    let told = graded(home.run(&words).ends_with(1));
    let of = |student: &str| row(&told, student).clone();
    assert_eq!(
        (&of("plays")["outcome"], &of("plays")["points"]),
        (&"graded".into(), &4.into()),
        "{}",
        of("plays")
    );
    assert_eq!(of("fails")["points"], 2, "what was done before it failed counts: {}", of("fails"));
    assert_eq!(of("forges")["points"], 2, "{}", of("forges"));
    for student in ["steals", "calls", "sleeps", "plain"] {
        assert_eq!(of(student)["points"], 0, "{}", of(student));
    }
    assert_eq!(of("sleeps")["outcome"], "overLimit", "{}", of("sleeps"));
    assert_eq!(of("steals")["outcome"], "refused", "it has killed its own lab: {}", of("steals"));
    let secret = home.path().join("secret");
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "a secret of the machine");
    assert!(!told.to_string().contains("a secret of the machine") && !told.to_string().contains("root:x:0"));
    assert!(std::path::Path::new("/usr/bin/env").exists());
}
