//! A lab followed: watched, reset, paused and stepped, told afterwards.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::home::{Home, wait_for};
use crate::live::{client, has, start};

const LAB: &str = "kill-the-leader";

/// A lab of one member, one key and one question.
fn tiny(home: &Home) {
    let head = "apiVersion: labkit.dev/v1alpha1\n";
    let lab = "kind: Lab\nmetadata: {name: tiny}\ntitle: {en: Tiny, ko: 작은 실습}\nminutes: 1\n\
        cluster: {etcd: {members: 1}}\nsubmission: {allow: [etcdctl]}\ntasks:\n\
        \x20 - id: put\n    title: {en: Put it, ko: 넣기}\n    checks:\n\
        \x20     - {id: there, title: {en: The key is there, ko: 키가 있다}, points: 2, etcd: {keys: [{key: a, value: b}]}}\n\
        \x20 - id: name\n    title: {en: Name it, ko: 이름}\n    checks:\n\
        \x20     - {id: leader, title: {en: The leader, ko: 리더}, points: 1, answer: {id: leader, equals: etcd.leader.name}}\n";
    home.write("tiny/lab.yaml", format!("{head}{lab}"));
    home.write("tiny/README.md", "# Tiny\n\n{{task put}}\n\nPut it.\n\n{{task name}}\n\nName it.\n");
    home.write("tiny/README.ko.md", "# 작은 실습\n\n{{task put}}\n\n넣으세요.\n\n{{task name}}\n\n이름은?\n");
    let submission = format!("{head}kind: Submission\nlab: tiny\n");
    home.write("tiny/start/submission.yaml", &submission);
    let solution = format!("{submission}steps: [{{etcdctl: put a b}}]\nanswers: {{leader: etcd1}}\n");
    home.write("tiny/solution/submission.yaml", solution);
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_watch_tells_each_change_as_it_happens_and_ends_when_all_is_done() {
    let home = Home::new();
    tiny(&home);
    let ready = home.json(&["start", "./tiny"]);
    let mut child = home.command(&["watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "task 1 of 2: Put it");
    assert!(lines.next().unwrap().starts_with("0/3 not right: put/there: The key is there (expected"));
    if !has("etcdctl") {
        interrupt(&child);
        child.wait().unwrap();
        return;
    }
    client(&ready, "etcdctl", "put a b").unwrap();
    assert_eq!(lines.next().unwrap(), "2/3 done: put/there: The key is there");
    assert_eq!(lines.next().unwrap(), "task 2 of 2: Name it");
    assert_eq!(lines.next().unwrap(), "2/3 not yet: name/leader: The leader");
    // What passed stays passed, and the next task has begun without a check by hand.
    client(&ready, "etcdctl", "del a").unwrap();
    home.run(&["answer", "leader", "etcd1"]).ends_with(0);
    let rest: Vec<String> = lines.collect();
    assert_eq!(rest[0], "3/3 done: name/leader: The leader");
    assert!(rest.last().unwrap().contains("All done"), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let status = home.run(&["status"]).ends_with(0);
    assert!(status.out.contains("3 points in 1 lab "), "{}", status.out);
    assert!(home.path().join(".local/share/labkit/progress.json").exists());
}

#[test]
fn a_watch_is_left_with_ctrl_c_and_survives_a_reset() {
    let home = Home::new();
    let (before, _) = start(&home, LAB);
    let mut child = home.command(&["watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert_eq!((&first["lab"], &first["currentTask"]), (&json!(LAB), &json!(0)));
    if has("etcdctl") {
        client(&before, "etcdctl", "put mine 1").unwrap();
    }
    home.run(&["answer", "leader", "nobody"]).ends_with(0);
    let asked = |line: &str| serde_json::from_str::<Value>(line).unwrap()["questions"].to_string();
    assert!(lines.any(|line| asked(&line).contains("nobody")));

    let after = home.json(&["reset"]);
    assert_eq!((&before["env"], &before["pid"]), (&after["env"], &after["pid"]));
    if has("etcdctl") {
        assert_eq!(client(&before, "etcdctl", "get mine").unwrap(), "", "the cluster is a fresh one");
    }
    assert!(home.json(&["status"])["elapsedMs"].as_u64().unwrap() < 60_000);
    assert!(lines.any(|line| !asked(&line).contains("nobody")), "the watch has found the new lab");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(1), "left before all was done");
    home.run(&["status"]).ends_with(0);
    let told = home.json(&["timeline", "--last", "--object", "key/mine"]);
    assert!(!has("etcdctl") || !told["timeline"].as_array().unwrap().is_empty(), "{told}");

    let mut child = home.command(&["watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    home.run(&["stop"]).ends_with(0);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("The lab has ended") && child.wait().unwrap().code() == Some(1), "{rest}");
    home.run(&["watch"]).ends_with(2);
    home.run(&["reset"]).ends_with(2);
}

#[test]
fn time_is_paused_and_stepped_while_clients_are_served() {
    let home = Home::new();
    let (ready, _) = start(&home, "follow-one-pod");
    let refused = home.run(&["step"]).ends_with(2);
    assert!(refused.err.contains("labkit pause"), "{}", refused.err);
    let refused = home.run(&["step", "--lang", "ko"]).ends_with(2);
    assert!(refused.err.contains("시간이 흐르고 있습니다"), "{}", refused.err);
    home.run(&["step", "soon"]).ends_with(2);
    let paused = home.json(&["pause"]);
    assert_eq!(paused["paused"], true);
    assert_eq!(home.json(&["pause"])["elapsedMs"], paused["elapsedMs"]);
    if has("kubectl") {
        client(&ready, "kubectl", "create deployment web --image=nginx").unwrap();
        wait_for("the deployment is stored", || {
            client(&ready, "kubectl", "get deployments").is_ok_and(|list| list.contains("web"))
        });
    }
    home.json(&["check"]);
    assert_eq!(home.json(&["clock"])["elapsedMs"], paused["elapsedMs"], "nothing takes time");
    let stepped = |words: &[&str]| home.json(words)["elapsedMs"].as_u64().unwrap();
    let at = paused["elapsedMs"].as_u64().unwrap();
    // Timers are of whole milliseconds.
    let assert_is = |now: u64, after: u64| assert!(now - at >= after && now - at < after + 5, "{}", now - at);
    assert_is(stepped(&["step"]), 1_000);
    assert_is(stepped(&["step", "200ms"]), 1_200);
    assert_is(stepped(&["clock", "+10s"]), 11_200);
    if has("kubectl") {
        let pods = client(&ready, "kubectl", "get pods").unwrap();
        assert!(pods.contains("Running"), "{pods}");
    }
    assert!(home.run(&["status"]).ends_with(0).out.contains("time stands"));
    assert_eq!(home.json(&["resume"])["paused"], false);
    wait_for("time runs", || stepped(&["clock"]) > at + 11_300);
    // A lab whose time stands ends as well as any.
    home.json(&["pause"]);
    home.run(&["stop"]).ends_with(0);
}

#[test]
fn the_timeline_tells_objects_components_and_the_past() {
    let home = Home::new();
    let nothing = home.run(&["timeline"]).ends_with(2);
    assert!(nothing.err.contains("labkit start"), "{}", nothing.err);
    home.run(&["run", LAB, "--solution"]).ends_with(0);
    let whole = home.run(&["timeline"]).ends_with(0).out;
    assert!(whole.contains("⚡ kill etcd/etcd") && whole.contains("BecomeLeader"), "{whole}");
    let one = home.run(&["timeline", "--component", "etcd1"]).ends_with(0).out;
    assert!(one.lines().count() < whole.lines().count() && one.contains("etcd1"));
    let none = home.run(&["timeline", "--component", "nobody"]).ends_with(0).out;
    assert!(none.contains("labkit status"), "{none}");
    assert!(home.run(&["timeline", "--object", "pdo/web"]).ends_with(2).err.contains("did you mean `pod`"));
    home.run(&["timeline", "--object", "web"]).ends_with(2);
    let past = home.json(&["timeline", "--at", "5"]);
    assert_eq!((&past["revision"], past["count"].as_i64() > Some(0)), (&json!(5), true), "{past}");
    let first = home.json(&["timeline", "--object", "key/seq/1", "--at", "0"]);
    assert_eq!((&first["keys"][0]["value"], &first["keys"][0]["version"]), (&json!(1), &json!(1)), "{first}");
    assert!(home.run(&["timeline", "--at", "999999"]).ends_with(2).err.contains("has come to revision"));
    assert!(home.json(&["timeline", "--limit", "5"])["timeline"].as_array().unwrap().len() == 5);
    #[cfg(feature = "book")]
    {
        let mermaid = home.run(&["timeline", "--format", "mermaid"]).ends_with(0).out;
        assert!(mermaid.starts_with("sequenceDiagram\n"), "{mermaid}");
        let html = home.run(&["timeline", "--format", "html", "--lang", "ko"]).ends_with(0).out;
        assert!(html.contains("<html lang=\"ko\">") && html.contains("BecomeLeader"));
        assert!(
            html.contains("sequenceDiagram") && html.contains("mermaid.initialize") && html.len() > 3_000_000
        );
        assert!(!html.contains("<!-- mermaid -->") && !html.contains("src=\"http"), "it needs no other file");
    }
    if !has("kubectl") {
        return;
    }
    let (ready, _) = start(&home, "follow-one-pod");
    client(&ready, "kubectl", "run web --image=nginx").unwrap();
    wait_for("the pod runs", || {
        client(&ready, "kubectl", "get pods").is_ok_and(|list| list.contains("Running"))
    });
    let told = home.run(&["timeline", "--object", "pod/web"]).ends_with(0).out;
    assert!(told.contains("POST") && told.contains("/pods/web/binding"), "{told}");
    let now = home.json(&["timeline", "--object", "pod/web", "--at", "0"]);
    let written: Vec<i64> = serde_json::from_value(now["writtenAt"].clone()).unwrap();
    assert!(written.len() > 2, "{now}");
    let at = |revision: i64| home.json(&["timeline", "--object", "pod/web", "--at", &revision.to_string()]);
    assert_eq!(at(written[0])["keys"][0]["value"]["spec"].get("nodeName"), None);
    assert!(now["keys"][0]["value"]["spec"]["nodeName"].is_string());
    let before = (written[0] - 1).to_string();
    let absent = home.run(&["timeline", "--object", "pod/web", "--at", &before]).ends_with(1).out;
    assert!(absent.contains("there was no pod/web") && absent.contains("It was written at"), "{absent}");
    assert!(home.run(&["timeline", "--at", "2"]).ends_with(0).out.contains("/registry/"));
    let far = home.run(&["timeline", "--at", "999999"]).ends_with(2).err;
    assert!(far.contains("the store has come to revision"), "{far}");
    // It can be asked when the lab is over, too.
    home.run(&["stop"]).ends_with(0);
    let after = home.json(&["timeline", "--object", "pod/web", "--at", &written[0].to_string()]);
    assert_eq!(after["keys"][0]["value"]["spec"].get("nodeName"), None, "{after}");
    assert_eq!(after["writtenAt"], now["writtenAt"]);
}

#[test]
fn a_new_lab_proves_itself() {
    let home = Home::new();
    home.run(&["new", "lab", "my-lab"]).ends_with(0);
    let linted = home.json(&["lint", "my-lab"]);
    assert_eq!(linted[0]["problems"], json!([]), "{linted}");
    assert!(linted[0]["mutants"].as_u64().unwrap() > 3, "{linted}");
    assert_eq!(linted[0]["survivors"].as_array().unwrap().len(), 0, "{linted}");
    home.run(&["run", "./my-lab", "--solution"]).ends_with(0);
    let again = home.run(&["new", "lab", "my-lab"]).ends_with(2);
    assert!(again.err.contains("there already"), "{}", again.err);
    let bad = home.run(&["new", "lab", "My Lab"]).ends_with(2);
    assert!(bad.err.contains("my-lab"), "{}", bad.err);
    let korean = home.run(&["new", "lab", "other", "--dir", "labs/x", "--lang", "ko"]).ends_with(0);
    assert!(
        korean.out.contains("labkit lint labs/x/other") && korean.out.contains("동작하는"),
        "{}",
        korean.out
    );
    home.run(&["new"]).ends_with(2);
}

#[test]
fn a_snapshot_is_restored_in_the_running_lab_and_in_a_fresh_one() {
    let home = Home::new();
    tiny(&home);
    let ready = home.json(&["start", "./tiny"]);
    assert!(home.run(&["restore"]).ends_with(2).err.contains("labkit snapshot"));
    assert!(home.run(&["snapshot", "../x"]).ends_with(2).err.contains("is no name of a snapshot"));
    if has("etcdctl") {
        client(&ready, "etcdctl", "put a b").unwrap();
        assert_eq!(home.json(&["check"])["points"], 2);
    }
    home.json(&["clock", "+10m"]);
    home.json(&["fault", "kill", "etcd1"]);
    home.json(&["fault", "heal"]);
    assert!(home.run(&["snapshot", "here"]).ends_with(0).out.contains("labkit restore here"));
    home.json(&["fault", "kill", "etcd1"]);
    if has("etcdctl") {
        client(&ready, "etcdctl", "put a spoiled").unwrap_err();
    }
    assert!(home.run(&["restore", "there"]).ends_with(2).err.contains("it has here"));
    assert!(home.run(&["restore", "--list", "--lang", "ko"]).ends_with(0).out.contains("here: 시작 후 10m"));
    let restored = home.json(&["restore", "here"]);
    assert_eq!(
        (&restored["env"], &restored["pid"], restored.get("trouble")),
        (&ready["env"], &ready["pid"], None)
    );
    let same = |home: &Home| {
        let now = home.json(&["status"]);
        assert!(now["elapsedMs"].as_u64() >= Some(600_000), "{now}");
        assert_eq!(now["components"][0]["state"], "running");
        assert_eq!(now["faults"].as_array().unwrap().len(), 1, "{now}");
        if has("etcdctl") {
            assert_eq!(client(&ready, "etcdctl", "get a --print-value-only").unwrap(), "b\n");
            assert_eq!(home.json(&["check"])["points"], 2);
        }
    };
    same(&home);
    // What is handed in is all that was done, before and after.
    home.run(&["submit", "--out", "mine"]).ends_with(0);
    let text = std::fs::read_to_string(home.path().join("mine/submission.yaml")).unwrap();
    assert!(!has("etcdctl") || text.matches("put -- a b").count() == 1, "{text}");
    home.run(&["reset"]).ends_with(0);
    assert!(
        home.json(&["status"])["elapsedMs"].as_u64().unwrap() < 60_000,
        "a reset begins at the beginning"
    );
    home.run(&["stop"]).ends_with(0);

    let again = home.json(&["start", "./tiny", "--snapshot", "here"]);
    assert_eq!(again.get("trouble"), None);
    assert!(home.json(&["status"])["elapsedMs"].as_u64() >= Some(600_000));
    home.run(&["stop"]).ends_with(0);
    let lab = std::fs::read_to_string(home.path().join("tiny/lab.yaml")).unwrap();
    home.write("tiny/lab.yaml", lab.replace("points: 2", "points: 3"));
    let changed = home.run(&["start", "./tiny", "--snapshot", "here"]).ends_with(2);
    assert!(changed.err.contains("was taken in another tiny"), "{}", changed.err);
}

#[test]
fn a_student_gets_the_same_variants_live_and_graded() {
    let home = Home::new();
    let words = ["timeline", "--format", "json"];
    let killed = |home: &Home, how: &[&str]| {
        home.run(how);
        let told = home.json(&words);
        told["faults"][0]["atMs"].as_u64().unwrap()
    };
    let kim = killed(&home, &["run", LAB, "--solution", "--student", "kim"]);
    let lee = killed(&home, &["run", LAB, "--solution", "--student", "lee"]);
    let own = killed(&home, &["run", LAB, "--solution"]);
    assert!(kim != lee && kim != own, "{kim} {lee} {own}");
    let live = |more: &[&str], expected: u64| {
        home.run(&[&["start", LAB], more].concat()).ends_with(0);
        home.json(&["clock", "+10s"]);
        let fault = home.json(&words)["faults"][0]["atMs"].as_u64().unwrap();
        let told = home.run(&["submit", "--out", "mine", "--force"]).ends_with(0).out;
        assert_eq!(told.contains("--student kim"), more.contains(&"kim"), "{told}");
        home.run(&["stop"]).ends_with(0);
        // The setup takes its own time in each run.
        assert!(fault.abs_diff(expected) < 1000, "{fault} {expected}");
    };
    live(&["--student", "kim"], kim);
    live(&["--student", "lee"], lee);
    live(&[], own);
}

/// `tmux` with a server of its own, in a home.
fn tmux(home: &Home, words: &[&str]) -> String {
    let mut command = Command::new("tmux");
    command.arg("-S").arg(home.path().join("tmux.sock")).args(words).env_clear().env("HOME", home.path());
    command.envs([("LC_ALL", "C.UTF-8"), ("TERM", "screen-256color"), ("SHELL", "/bin/sh")]);
    let output =
        command.env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_watch_fits_a_narrow_terminal_and_leaves_it_as_it_was() {
    if Command::new("tmux").arg("-V").output().is_err() {
        return eprintln!("SKIPPED: tmux is not installed");
    }
    let home = Home::new();
    let (_, _) = start(&home, LAB);
    let labkit = env!("CARGO_BIN_EXE_labkit");
    let line = format!("trap : INT; echo BEFORE; {labkit} watch --lang ko; echo LEFT $?; sleep 60");
    tmux(&home, &["new-session", "-d", "-x", "40", "-y", "24", &line]);
    let shown = || tmux(&home, &["capture-pane", "-p", "-t", "0"]);
    wait_for("the page is drawn", || shown().contains("Ctrl-C"));
    let page = shown();
    assert!(
        page.starts_with("쓰기 도중 리더 죽이기\n") && page.contains("/15 점"),
        "the top is there:\n{page}"
    );
    tmux(&home, &["resize-window", "-t", "0", "-x", "80", "-y", "40"]);
    wait_for("it is drawn anew", || {
        shown().lines().count() > 20 && shown().contains("labkit hint. 나가기는 Ctrl-C")
    });
    tmux(&home, &["send-keys", "-t", "0", "C-c"]);
    wait_for("it is left", || shown().contains("LEFT 1"));
    let after = shown();
    assert!(after.starts_with("BEFORE\n") && after.contains("labkit stop"), "{after}");
    tmux(&home, &["kill-server"]);
}

/// Start, check, watch, hint, clock, reset, one after the other in a terminal. `LABKIT_RECORD=DIR` keeps what was seen.
#[test]
fn a_session_in_a_terminal_fits_80_and_40_columns_in_both_languages() {
    if Command::new("tmux").arg("-V").output().is_err() {
        return eprintln!("SKIPPED: tmux is not installed");
    }
    for (columns, language, done) in [(80, "en", "begins anew"), (40, "ko", "새로 시작했습니다")] {
        let home = Home::new();
        let labkit = env!("CARGO_BIN_EXE_labkit");
        let width = columns.to_string();
        let shell = ["new-session", "-d", "-x", &width, "-y", "200", "-e", "PS1=$ ", "sh"];
        tmux(&home, &shell);
        let shown = || tmux(&home, &["capture-pane", "-p", "-J", "-S", "-", "-t", "0"]);
        let type_in = |words: &str, until: &str| {
            tmux(&home, &["send-keys", "-t", "0", "-l", words]);
            tmux(&home, &["send-keys", "-t", "0", "Enter"]);
            wait_for(&format!("{words}: {until}"), || shown().contains(until));
        };
        type_in(&format!("labkit() {{ {labkit} \"$@\" --lang {language}; }}; clear"), "$ ");
        let number = std::cell::Cell::new(0);
        let run = |words: &str| {
            number.set(number.get() + 1);
            let mark = format!("END{}", number.get());
            type_in(&format!("labkit {words}; echo {mark}=$?"), &format!("{mark}="));
            wait_for(&mark, || shown().lines().any(|line| line.starts_with(&format!("{mark}="))));
            shown()
        };
        run(&format!("start {LAB}"));
        run("check");
        run("hint");
        run("clock +15s");
        let checked = run("check");
        assert!(checked.contains('✓') && checked.contains("etcdctl"), "{checked}");
        tmux(&home, &["send-keys", "-t", "0", "-l", "labkit watch; echo LEFT"]);
        tmux(&home, &["send-keys", "-t", "0", "Enter"]);
        // It has a screen of its own, without what was typed.
        let is_drawn = |page: &str| page.contains("Ctrl-C") && !page.contains("echo LEFT");
        wait_for("the page is drawn", || is_drawn(&shown()));
        let watched = tmux(&home, &["capture-pane", "-p", "-t", "0"]);
        tmux(&home, &["send-keys", "-t", "0", "C-c"]);
        wait_for("it is left", || shown().lines().any(|line| line.starts_with("LEFT")));
        let whole = run("reset");
        assert!(whole.contains(done), "{whole}");
        for line in whole.lines().chain(watched.lines()) {
            // What is typed, or to be copied, is not broken by us; a terminal does that itself.
            let copied = ["$ ", "    etcdctl", "    labkit reset &&"];
            let is_copied =
                copied.iter().any(|start| line.starts_with(start)) || line.contains(".local/state");
            let width = unicode_width::UnicodeWidthStr::width(line);
            assert!(is_copied || width <= columns, "{width} columns: {line}");
        }
        if let Some(folder) = std::env::var_os("LABKIT_RECORD") {
            std::fs::write(
                std::path::Path::new(&folder).join(format!("session-{language}.txt")),
                whole + &watched,
            )
            .unwrap();
        }
        tmux(&home, &["kill-server"]);
    }
}
