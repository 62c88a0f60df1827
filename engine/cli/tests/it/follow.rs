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
    home.run(&["timeline", "--at", "3"]).ends_with(2);
    assert!(home.json(&["timeline", "--limit", "5"])["timeline"].as_array().unwrap().len() == 5);
    #[cfg(feature = "book")]
    {
        let mermaid = home.run(&["timeline", "--format", "mermaid"]).ends_with(0).out;
        assert!(mermaid.starts_with("sequenceDiagram\n"), "{mermaid}");
        let html = home.run(&["timeline", "--format", "html", "--lang", "ko"]).ends_with(0).out;
        assert!(html.contains("<html lang=\"ko\">") && html.contains("BecomeLeader"));
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
