//! Members as processes: stock etcdctl against them, kill -9 at any moment, damaged files.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::home::{Home, Ran, wait_for};
use crate::linearizability::{Call, Operation, Outcome, check};
use crate::live::has;

/// How many rounds of kills: twenty in CI, a thousand in a soak.
fn rounds() -> u64 {
    let seeds = std::env::var("LABKIT_SEEDS").ok().and_then(|text| text.parse().ok());
    seeds.map_or(6, |seeds: u64| (2 * seeds).min(1000))
}

/// Members on loopback, each a process; they end with the test.
struct Members {
    home: Home,
    flags: BTreeMap<String, Vec<String>>,
    endpoints: BTreeMap<String, String>,
    running: BTreeMap<String, Child>,
}

impl Members {
    fn new(count: usize) -> Members {
        let home = Home::new();
        let names: Vec<String> = (1..=count).map(|n| format!("etcd{n}")).collect();
        // Held together, so that no two are the same.
        let sockets: Vec<_> =
            (0..2 * count).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let url = |n: usize| format!("http://{}", sockets[n].local_addr().unwrap());
        let founders: Vec<String> =
            names.iter().enumerate().map(|(n, name)| format!("{name}={}", url(2 * n))).collect();
        let (mut flags, mut endpoints) = (BTreeMap::new(), BTreeMap::new());
        for (n, name) in names.iter().enumerate() {
            let (peer, client) = (url(2 * n), url(2 * n + 1));
            let own = [
                ("name", name.as_str()),
                ("data-dir", name),
                ("listen-peer-urls", &peer),
                ("initial-advertise-peer-urls", &peer),
                ("listen-client-urls", &client),
                ("advertise-client-urls", &client),
                ("initial-cluster", &founders.join(",")),
                ("heartbeat-interval", "50"),
                ("election-timeout", "500"),
                ("snapshot-count", "200"),
            ];
            let own = own.iter().map(|(flag, value)| format!("--{flag}={value}"));
            flags.insert(name.clone(), std::iter::once("etcd".to_owned()).chain(own).collect());
            endpoints.insert(name.clone(), client);
        }
        Members { home, flags, endpoints, running: BTreeMap::new() }
    }

    fn command(&self, name: &str) -> Command {
        let words: Vec<&str> = self.flags[name].iter().map(String::as_str).collect();
        self.home.command(&words)
    }

    fn start(&mut self, name: &str) {
        let log = self.home.path().join(format!("{name}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = self.command(name).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.running.insert(name.to_owned(), child);
    }

    fn start_all(&mut self) {
        for name in self.names() {
            self.start(&name);
        }
        self.wait_healthy();
    }

    fn names(&self) -> Vec<String> {
        self.flags.keys().cloned().collect()
    }

    /// SIGKILL, wherever it is.
    fn kill(&mut self, name: &str) {
        let mut child = self.running.remove(name).unwrap();
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{name} had ended by itself, {ended:?}:\n{}", self.log(name));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    fn all_endpoints(&self) -> String {
        self.endpoints.values().cloned().collect::<Vec<_>>().join(",")
    }

    fn wait_healthy(&self) {
        patiently("every member is healthy", || {
            etcdctl(&self.all_endpoints(), "endpoint health", "").is_ok()
        });
    }

    /// The newest file of a member's log.
    fn segment(&self, name: &str) -> std::path::PathBuf {
        let folder = self.home.path().join(name).join("member/wal");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        files.max().unwrap()
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Stock etcdctl: what it printed, or its complaint.
fn etcdctl(endpoints: &str, line: &str, input: &str) -> Result<String, String> {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args([
        "--endpoints",
        endpoints,
        "--dial-timeout=1s",
        "--command-timeout=2s",
    ]);
    command.args(line.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have failed before it read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn json(endpoints: &str, line: &str, input: &str) -> Option<Value> {
    serde_json::from_str(&etcdctl(endpoints, &format!("{line} -w json"), input).ok()?).ok()
}

#[expect(clippy::disallowed_methods, reason = "processes run on the host's clock")]
fn now() -> Instant {
    Instant::now()
}

/// Waits for what may take an election, on a machine that is busy with other tests.
#[track_caller]
fn patiently(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}: not within a minute");
}

/// A generator for the test's own choices: the kernel's timing is random anyway.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What clients saw, all together.
#[derive(Default)]
struct Seen {
    calls: Vec<Call>,
    /// When it began, when it ended, the revision it was told, and whether it wrote.
    revisions: Vec<(Duration, Duration, i64, bool)>,
    /// Keys that are put once, and were acknowledged.
    acknowledged: Vec<String>,
}

/// One client: a call at a time until it is told to stop. Keys change with the round, so that histories stay short.
fn call_at_random(
    endpoints: &str,
    number: u64,
    started: Instant,
    round: &AtomicU64,
    stop: &AtomicBool,
    seen: &Mutex<Seen>,
) {
    let mut dice = Dice(number);
    let mut known: BTreeMap<String, Option<u64>> = BTreeMap::new();
    for turn in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("register/{}/{}", round.load(Ordering::Relaxed), dice.below(2));
        let value = number * 1_000_000 + turn;
        let before = known.get(&key).copied().flatten();
        let (operation, line, input) = match dice.below(8) {
            0 | 1 => (Some(Operation::Get), format!("get {key}"), String::new()),
            2 | 3 => (Some(Operation::Put(value)), format!("put {key} {value}"), String::new()),
            4 => (Some(Operation::Delete), format!("del {key}"), String::new()),
            5 => {
                let compare = match before {
                    Some(from) => format!("value(\"{key}\") = \"{from}\""),
                    None => format!("mod(\"{key}\") = \"0\""),
                };
                let swap = Operation::Swap { from: before, to: value };
                (Some(swap), "txn".to_owned(), format!("{compare}\n\nput {key} {value}\n\n\n"))
            }
            _ => (None, format!("put log/{number}/{turn} {value}"), String::new()),
        };
        let began = started.elapsed();
        let answer = json(endpoints, &line, &input);
        let ended = started.elapsed();
        let mut seen = seen.lock().unwrap();
        let outcome = answer.as_ref().map_or(Outcome::Unknown, |answer| outcome(operation.as_ref(), answer));
        if let Some(answer) = &answer {
            let writes = match (&operation, &outcome) {
                (Some(Operation::Get), _) | (_, Outcome::Swapped(false)) => false,
                (Some(Operation::Delete), _) => answer["deleted"].as_i64().unwrap_or(0) > 0,
                _ => true,
            };
            let revision = answer["header"]["revision"].as_i64().unwrap();
            seen.revisions.push((began, ended, revision, writes));
        }
        match (operation, outcome) {
            (None, Outcome::Unknown) => {}
            (None, _) => seen.acknowledged.push(format!("log/{number}/{turn}")),
            (Some(operation), outcome) => {
                let now_known = match (&operation, &outcome) {
                    (Operation::Put(value), Outcome::Done) => Some(Some(*value)),
                    (Operation::Swap { to, .. }, Outcome::Swapped(true)) => Some(Some(*to)),
                    (_, Outcome::Read(value)) => Some(*value),
                    _ => None,
                };
                if let Some(value) = now_known {
                    known.insert(key.clone(), value);
                }
                seen.calls.push(Call { key, began, ended, operation, outcome });
            }
        }
    }
}

fn outcome(operation: Option<&Operation>, answer: &Value) -> Outcome {
    match operation {
        Some(Operation::Get) => {
            let value = answer["kvs"][0]["value"].as_str();
            let number =
                |text: &str| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap().parse().unwrap();
            Outcome::Read(value.map(number))
        }
        Some(Operation::Swap { .. }) => Outcome::Swapped(answer["succeeded"].as_bool().unwrap_or(false)),
        _ => Outcome::Done,
    }
}

fn judge(members: &Members, seen: &Seen) {
    let Seen { calls, revisions, acknowledged } = seen;
    assert!(!acknowledged.is_empty(), "the clients put keys that nobody overwrites");
    let kept = json(&members.all_endpoints(), "get log/ --prefix --keys-only", "").unwrap();
    let kept: Vec<String> =
        kept["kvs"].as_array().unwrap().iter().map(|kv| kv["key"].as_str().unwrap().to_owned()).collect();
    for key in acknowledged {
        assert!(kept.contains(&STANDARD.encode(key)), "{key} was acknowledged and is lost");
    }
    for (began, ended, revision, writes) in revisions {
        let before =
            revisions.iter().filter(|(_, ended, ..)| ended < began).map(|(_, _, revision, _)| *revision);
        let before = before.max().unwrap_or(0);
        assert!(
            *revision > before || (*revision == before && !writes),
            "revision {revision} of {began:?} to {ended:?} comes after {before}"
        );
    }
    if let Err(calls) = check(calls) {
        let line = |call: &Call| {
            format!("{:?} - {:?} {:?} -> {:?}\n", call.began, call.ended, call.operation, call.outcome)
        };
        let told: String = calls.iter().map(line).collect();
        panic!("no order explains what happened to {}:\n{told}", calls[0].key);
    }
}

/// Rounds of kills under load, each of `victims` many members of `count`.
fn kill_under_load(count: usize, victims: impl Fn(&mut Dice) -> usize) {
    if !has("etcdctl") {
        return;
    }
    let mut members = Members::new(count);
    members.start_all();
    let (started, round, stop, seen) = (now(), AtomicU64::new(0), AtomicBool::new(false), Mutex::default());
    let mut dice = Dice(u64::from(std::process::id()));
    std::thread::scope(|scope| {
        // Whatever ends the rounds ends the clients.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        let endpoints: Vec<String> = members.endpoints.values().cloned().collect();
        for number in 1..=3 {
            // Two stay with a member each, one goes where it is answered.
            let endpoint = match number {
                3 => endpoints.join(","),
                _ => endpoints[(number - 1) % endpoints.len()].clone(),
            };
            let (round, stop, seen) = (&round, &stop, &seen);
            scope.spawn(move || call_at_random(&endpoint, number as u64, started, round, stop, seen));
        }
        for _ in 0..rounds() {
            round.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(dice.below(700)));
            let mut names = members.names();
            let mut killed = Vec::new();
            for _ in 0..victims(&mut dice) {
                let victim = names.remove(usize::try_from(dice.below(names.len() as u64)).unwrap());
                members.kill(&victim);
                killed.push(victim);
            }
            std::thread::sleep(Duration::from_millis(dice.below(400)));
            for victim in killed {
                members.start(&victim);
            }
            let through = seen.lock().unwrap().revisions.len();
            patiently("the clients get through again", || {
                seen.lock().unwrap().revisions.len() >= through + 4
            });
        }
    });
    members.wait_healthy();
    judge(&members, &seen.into_inner().unwrap());
}

#[test]
fn invariant_kills_of_processes_lose_nothing() {
    kill_under_load(3, |dice| match dice.below(10) {
        0..7 => 1,
        7..9 => 2,
        _ => 3,
    });
}

#[test]
fn invariant_kills_of_a_lone_process_lose_nothing() {
    kill_under_load(1, |_| 1);
}

#[test]
fn three_terminals_form_a_cluster_for_etcdctl() {
    if !has("etcdctl") {
        return;
    }
    let mut members = Members::new(3);
    members.start_all();
    let all = members.all_endpoints();
    for (n, endpoint) in members.endpoints.values().enumerate() {
        assert_eq!(etcdctl(endpoint, &format!("put k {n}"), "").as_deref(), Ok("OK\n"));
        assert_eq!(etcdctl(&all, "get k --print-value-only", ""), Ok(format!("{n}\n")));
    }
    // A member tells the others its addresses once it serves.
    wait_for("the list has every member and its addresses", || {
        let list = etcdctl(&all, "member list", "").unwrap();
        members.endpoints.iter().all(|(name, endpoint)| {
            list.contains(&format!("started, {name}, http://127.0.0.1:")) && list.contains(endpoint)
        })
    });
    let status = json(&all, "endpoint status", "").unwrap();
    let leaders: Vec<&Value> =
        status.as_array().unwrap().iter().map(|one| &one["Status"]["leader"]).collect();
    assert!(leaders.len() == 3 && leaders.iter().all(|leader| *leader == leaders[0]), "{status}");

    // Ctrl-C and SIGTERM end a member in good order; what it has is there again.
    for signal in ["INT", "TERM"] {
        let mut child = members.running.remove("etcd2").unwrap();
        let sent =
            Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{}", members.log("etcd2"));
        members.start("etcd2");
        members.wait_healthy();
    }
    let log = members.log("etcd2");
    assert!(log.contains("etcd2 is member ") && log.contains("Ready: the leader is "), "{log}");
    for name in members.names() {
        members.kill(&name);
    }
    members.start_all();
    assert_eq!(etcdctl(&members.endpoints["etcd2"], "get k --print-value-only", ""), Ok("2\n".to_owned()));
}

#[test]
fn a_torn_record_is_cut_off_and_a_flipped_byte_is_refused() {
    if !has("etcdctl") {
        return;
    }
    let mut members = Members::new(1);
    members.start_all();
    let endpoint = members.endpoints["etcd1"].clone();
    for n in 0..20 {
        etcdctl(&endpoint, &format!("put k {n}"), "").unwrap();
    }
    members.kill("etcd1");
    let segment = members.segment("etcd1");
    // A record that was being written: a header, and no body.
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, [&whole[..], &[7; 5]].concat()).unwrap();
    members.start_all();
    assert_eq!(etcdctl(&endpoint, "get k --print-value-only", "").as_deref(), Ok("19\n"));
    let log = members.log("etcd1");
    assert!(log.contains(&format!("at byte {}: 5 bytes were cut off", whole.len())), "{log}");
    members.kill("etcd1");

    let mut flipped = std::fs::read(&segment).unwrap();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    std::fs::write(&segment, flipped).unwrap();
    let ran = Ran::of(members.command("etcd1").output().unwrap()).ends_with(1);
    let name = format!("member/wal/{}", segment.file_name().unwrap().display());
    assert!(ran.err.replace("\n ", "").contains(&name) && ran.err.contains("corrupt at byte"), "{}", ran.err);
    assert!(ran.err.contains("next:") && ran.err.contains("member remove"), "{}", ran.err);
}

#[test]
fn wrong_flags_are_refused_with_the_reason() {
    let home = Home::new();
    for (words, says) in [
        (&["--election-timeout=100"][..], "should be at least as 5 times as --heartbeat-interval[100ms]"),
        (&["--election-timeout=60000"], "is too long, and should be set less than 50000ms"),
        (&["--listen-peer-urls=127.0.0.1:2380"], "URL scheme must be http or https"),
        (&["--listen-client-urls=http://127.0.0.1:0"], "--advertise-client-urls is required when"),
        (&["--initial-cluster=etcd1"], "is not NAME=URL"),
        (&["--cert-file=a.crt"], "--key-file"),
        (&["--snapshot-count=0"], "--snapshot-count"),
        (
            &[
                "--name=a",
                "--initial-cluster=b=http://127.0.0.1:1",
                "--listen-peer-urls=http://127.0.0.1:0",
                "--listen-client-urls=http://127.0.0.1:0",
                "--advertise-client-urls=http://127.0.0.1:1",
            ],
            "couldn't find local name \"a\"",
        ),
    ] {
        let ran = home.run(&[&["etcd"], words].concat()).ends_with(2);
        assert!(ran.err.replace("\n  ", " ").replace('\n', " ").contains(says), "{says}:\n{}", ran.err);
    }
}
