//! The labs played as their pages say, with the real clients, and handed in: what was played is graded to the same
//! marks, check by check.

use base64::Engine as _;
use serde_json::Value;

use crate::home::{Home, wait_for};
use crate::live::{client, has, start};

/// A lab that runs in a home of its own.
struct Play {
    home: Home,
    lab: &'static str,
    ready: Value,
}

impl Play {
    fn of(lab: &'static str) -> Play {
        let home = Home::new();
        let (ready, _) = start(&home, lab);
        Play { home, lab, ready }
    }

    #[track_caller]
    fn labkit(&self, line: &str) {
        self.home.run(&line.split(' ').collect::<Vec<_>>()).ends_with(0);
    }

    #[track_caller]
    fn answer(&self, id: &str, value: &str) {
        self.home.run(&["answer", id, value]).ends_with(0);
    }

    #[track_caller]
    fn kubectl(&self, line: &str) -> String {
        client(&self.ready, "kubectl", line).unwrap_or_else(|error| panic!("kubectl {line}: {error}"))
    }

    /// Every write to a key so far: its revision and the object.
    fn history(&self, key: &str) -> Vec<(u64, Value)> {
        let last = client(&self.ready, "etcdctl", &format!("get {key} -w json")).unwrap();
        let last: Value = serde_json::from_str(&last).unwrap();
        let (first, last) = (&last["kvs"][0]["create_revision"], &last["kvs"][0]["mod_revision"]);
        let get = |revision: u64| {
            let line = format!("get {key} --rev={revision} -w json");
            let got: Value = serde_json::from_str(&client(&self.ready, "etcdctl", &line).unwrap()).unwrap();
            let bytes = base64::prelude::BASE64_STANDARD.decode(got["kvs"][0]["value"].as_str().unwrap());
            (
                got["kvs"][0]["mod_revision"].as_u64().unwrap(),
                serde_json::from_slice(&bytes.unwrap()).unwrap(),
            )
        };
        let mut writes: Vec<(u64, Value)> =
            (first.as_u64().unwrap()..=last.as_u64().unwrap()).map(get).collect();
        writes.dedup_by_key(|write| write.0);
        writes
    }

    /// Checks until the points are full, hands in, and grades what was handed in: each check says what it said live.
    #[track_caller]
    fn hands_in(&self) {
        let mut live = Value::Null;
        wait_for("the lab is solved", || {
            live = self.home.json(&["check"]);
            live["points"] == live["pointsMax"]
        });
        let out = self.home.path().join("handin");
        let out = out.to_str().unwrap();
        self.home.run(&["submit", "--out", out]).ends_with(0);
        let marks = |report: &Value| -> Vec<(String, Value)> {
            let tasks = report["tasks"].as_array().unwrap().iter();
            let checks = tasks.flat_map(|task| task["checks"].as_array().unwrap());
            checks.map(|check| (check["id"].to_string(), check["points"].clone())).collect()
        };
        let handed_in = || std::fs::read_to_string(format!("{out}/submission.yaml")).unwrap();
        // Whoever's name draws the chance of the run.
        for seed in ["1", "2", "3"] {
            let graded = self.home.json(&["run", self.lab, "--submission", out, "--seed", seed]);
            assert!(!marks(&graded).is_empty());
            assert_eq!(marks(&graded), marks(&live), "seed {seed}: {}\n{}", graded["tasks"], handed_in());
        }
    }
}

fn clients() -> bool {
    has("kubectl") && has("etcdctl")
}

#[test]
fn follow_one_pod() {
    if !clients() {
        return;
    }
    let play = Play::of("follow-one-pod");
    play.kubectl("run web --image=nginx");
    play.kubectl("wait --for=condition=Ready pod/web --timeout=30s");
    // Whoever reads slowly still finds the history.
    play.labkit("clock +20m");
    let writes = play.history("/registry/pods/default/web");
    let revision = |holds: &dyn Fn(&Value) -> bool| writes.iter().find(|write| holds(&write.1)).unwrap().0;
    let bound = revision(&|pod| pod["spec"]["nodeName"].is_string());
    let running = revision(&|pod| pod["status"]["phase"] == "Running");
    let puts = writes.iter().filter(|write| write.0 <= running).count();
    play.answer("order", "[kubectl, scheduler, kubelet]");
    play.answer("bound", &bound.to_string());
    play.answer("running", &running.to_string());
    play.answer("puts", &puts.to_string());
    play.hands_in();
}

#[test]
fn remove_one_organ() {
    if !clients() {
        return;
    }
    let play = Play::of("remove-one-organ");
    // A wrong turn: too early, with every organ in its place.
    play.kubectl("create deployment without-controller-manager --image=nginx");
    play.kubectl("rollout status deployment without-controller-manager --timeout=30s");
    play.answer("without-controller-manager", "running");
    play.kubectl("delete deployment without-controller-manager");
    play.labkit("clock +40s");
    let organs = [
        ("controllerManager", "without-controller-manager", "deployment"),
        ("scheduler", "without-scheduler", "pending"),
        ("kubelet/worker1", "without-kubelet", "assigned"),
        ("apiServer", "without-api-server", "nothing"),
        ("etcd1", "without-etcd", "nothing"),
    ];
    for (organ, name, stuck) in organs {
        play.labkit(&format!("fault stop {organ}"));
        let line = format!("create deployment {name} --image=nginx --request-timeout=2s");
        let created = client(&play.ready, "kubectl", &line);
        assert_eq!(created.is_ok(), stuck != "nothing", "{organ}: {created:?}");
        play.labkit("clock +10s");
        play.answer(name, stuck);
        play.labkit(&format!("fault start {organ}"));
        play.labkit("clock +30s");
    }
    play.kubectl("create deployment whole --image=nginx --replicas=3");
    play.kubectl("rollout status deployment whole --timeout=30s");
    play.hands_in();
}

#[test]
fn a_node_dies() {
    if !clients() {
        return;
    }
    let play = Play::of("a-node-dies");
    let seconds = |path: &str, line: &str| -> i64 {
        let shown = play.kubectl(&format!("get {line} -o jsonpath={path}"));
        shown
            .parse::<jiff::Timestamp>()
            .unwrap_or_else(|error| panic!("{line} {path}: {error}: {shown:?}"))
            .as_second()
    };
    // A wrong turn, and time that passes.
    play.labkit("fault kill etcd1");
    play.labkit("fault heal");
    play.labkit("clock +7s");
    play.labkit("fault power-off node/worker2");
    play.labkit("clock +45s");
    let ready = seconds("{.status.conditions[?(@.type==\"Ready\")].lastTransitionTime}", "node worker2");
    let beat = seconds("{.spec.renewTime}", "lease worker2 -n kube-node-lease");
    play.answer("not-ready-after", &(ready - beat).to_string());
    play.home.json(&["check"]);
    play.labkit("clock +5m");
    let tainted = seconds("{.spec.taints[?(@.effect==\"NoExecute\")].timeAdded}", "node worker2");
    let marked = seconds(
        "{.items[0].status.conditions[?(@.type==\"DisruptionTarget\")].lastTransitionTime}",
        "pods --field-selector=spec.nodeName=worker2",
    );
    play.answer("evicted-after", &(marked - tainted).to_string());
    wait_for("the eviction is seen", || {
        let report = play.home.json(&["check"]);
        let checks = report["tasks"][1]["checks"].as_array().unwrap().clone();
        checks.iter().all(|check| check["points"] == check["pointsMax"])
    });
    play.labkit("fault heal");
    play.hands_in();
}
