//! A lab in a process of its own: started, used, stopped; and nothing of it is left.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::home::{Home, Ran, is_alive, wait_for};
use serde_json::{Value, json};

const LAB: &str = "kill-the-leader";

pub fn start(home: &Home, lab: &str) -> (Value, u64) {
    let ready = home.json(&["start", lab]);
    let pid = ready["pid"].as_u64().unwrap_or_else(|| panic!("{ready}"));
    (ready, pid)
}

#[track_caller]
fn nothing_is_left(home: &Home, lab: &str, pid: u64) {
    wait_for("the process ends", || !is_alive(pid));
    assert!(
        !home.state().join(lab).exists(),
        "{:?}",
        std::fs::read_dir(home.state().join(lab)).map(|entries| entries.count())
    );
}

/// Whether a client program is installed. In CI a missing one is a failure.
pub fn has(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|folder| folder.join(program).is_file());
    assert!(found || std::env::var_os("CI").is_none(), "{program} is not installed");
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// A program with the variables that `start` printed: what it printed, or its complaint.
pub fn client(ready: &Value, program: &str, line: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    let env = ready["env"].as_array().unwrap();
    command.args(line.split(' '));
    command.envs(env.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())));
    let output = command.stdin(Stdio::null()).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn a_lab_is_started_used_and_stopped() {
    let home = Home::new();
    let (ready, pid) = start(&home, LAB);
    assert!(is_alive(pid));
    let folder = home.state().join(LAB);
    for (path, mode) in [("", 0o700), ("control.sock", 0o600), ("etcd/client.key", 0o600), ("env", 0o600)] {
        let permissions = std::fs::metadata(folder.join(path)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{path}");
    }
    assert!(!home.path().join(".kube").exists());

    let again = home.run(&["start", LAB]).ends_with(1);
    assert!(again.err.contains("running already") && again.err.contains("labkit stop"), "{}", again.err);

    if has("etcdctl") {
        assert_eq!(client(&ready, "etcdctl", "put by-hand 1").unwrap(), "OK\n");
        assert_eq!(client(&ready, "etcdctl", "get by-hand --print-value-only").unwrap(), "1\n");
    }
    let status = home.json(&["status"]);
    assert_eq!(status["components"].as_array().unwrap().len(), 3);
    assert!(status["components"].as_array().unwrap().iter().any(|component| component["role"] == "leader"));

    let checked = home.json(&["check"]);
    assert!(checked["points"].as_u64() < checked["pointsMax"].as_u64());
    home.json(&["hint"]);

    let before = home.json(&["clock"])["elapsedMs"].as_u64().unwrap();
    let after = home.json(&["clock", "+30s"])["elapsedMs"].as_u64().unwrap();
    assert!(after >= before + 30_000, "{before} {after}");
    let live = home.json(&["check"])["points"].clone();

    home.run(&["answer", "no-such-question", "x"]).ends_with(2);
    let out = home.path().join("handin");
    home.run(&["submit", "--out", out.to_str().unwrap()]).ends_with(0);
    assert!(std::fs::read_to_string(out.join("submission.yaml")).unwrap().contains("kind: Submission"));
    home.run(&["submit", "--out", out.to_str().unwrap()]).ends_with(2);
    let graded = home.json(&["run", LAB, "--submission", out.to_str().unwrap()]);
    assert_eq!(graded["points"], live, "graded as it was played");
    let shown = home.json(&[]);
    let lab = shown["labs"].as_array().unwrap().iter().find(|lab| lab["name"] == LAB).unwrap();
    assert_eq!((&lab["points"], &lab["running"]), (&live, &json!(true)));

    home.run(&["stop"]).ends_with(0);
    nothing_is_left(&home, LAB, pid);
    home.run(&["status"]).ends_with(2);
}

#[test]
fn faults_are_injected_listed_and_healed() {
    let home = Home::new();
    let (_, _) = start(&home, LAB);
    let met = home.json(&["fault", "kill", "etcd/etcd1"]);
    assert_eq!(met["targets"], json!(["etcd/etcd1"]));
    let state = |home: &Home| {
        let listed = home.json(&["fault"]);
        let found = listed["components"]
            .as_array()
            .unwrap()
            .iter()
            .find(|component| component["target"] == "etcd/etcd1");
        found.unwrap()["state"].clone()
    };
    assert_eq!(state(&home), "down");
    assert!(home.run(&["fault"]).ends_with(0).out.contains("etcd/etcd1"));
    home.run(&["fault", "heal", met["id"].as_str().unwrap()]).ends_with(0);
    assert_eq!(state(&home), "running");
    home.run(&["fault", "stop", "etcd2"]).ends_with(0);
    home.run(&["fault", "start", "etcd2"]).ends_with(0);
    let unknown = home.run(&["fault", "kill", "etcd9"]).ends_with(2);
    assert!(unknown.err.contains("did you mean etcd/etcd1?"), "{}", unknown.err);
    let unknown = home.run(&["fault", "heal", "fault-9"]).ends_with(2);
    assert!(unknown.err.contains("there is no fault fault-9"), "{}", unknown.err);
    assert_eq!(
        home.json(&["fault"])["faults"].as_array().unwrap().len(),
        1,
        "what struck nothing is not told"
    );
    home.run(&["fault", "partition", "etcd1 | etcd2, etcd3"]).ends_with(0);
    assert!(home.run(&["fault", "heal"]).ends_with(0).out.contains("Healed"));
}

#[test]
fn two_labs_at_once_do_not_collide() {
    let home = Home::new();
    let ((one, _), (two, _)) = (start(&home, LAB), start(&home, "a-node-dies"));
    assert_ne!(one["env"], two["env"]);
    let unsure = home.run(&["check"]).ends_with(2);
    assert!(unsure.err.contains("--lab"), "{}", unsure.err);
    assert_eq!(home.json(&["status", "--lab", LAB])["lab"], LAB);
    let mut command = home.command(&["status", "--json"]);
    let told = Ran::of(command.env("LABKIT_LAB", "a-node-dies").output().unwrap()).ends_with(0);
    assert!(told.out.contains("a-node-dies"));
    home.run(&["stop", "--all"]).ends_with(0);
    home.run(&["status"]).ends_with(2);
}

#[test]
fn what_a_crash_left_behind_is_cleaned() {
    let home = Home::new();
    let (_, pid) = start(&home, LAB);
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
    wait_for("the process is gone", || !is_alive(pid));
    assert!(home.state().join(LAB).join("control.sock").exists());
    home.run(&["status"]).ends_with(2);
    assert!(!home.state().join(LAB).join("control.sock").exists());
    let (_, pid) = start(&home, LAB);
    assert!(is_alive(pid));
}

#[test]
fn a_signal_ends_everything() {
    let home = Home::new();
    let (_, pid) = start(&home, LAB);
    assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
    nothing_is_left(&home, LAB, pid);

    let mut child =
        home.command(&["start", LAB, "--foreground", "--json"]).stdout(Stdio::null()).spawn().unwrap();
    let socket = home.state().join(LAB).join("control.sock");
    wait_for("the lab listens", || socket.exists());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap();
    nothing_is_left(&home, LAB, child.id().into());
}
