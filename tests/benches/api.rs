//! The API over HTTPS with keep-alive: writes, reads, lists, watches, memory. Printed, never asserted.
//!
//! The server is a process of its own, and so is the load; on a machine with two cores each has one.
//! `LABKIT_BENCH_SECONDS` says how long each figure is measured (3).

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use labkit_cluster::spec::{ApiServerSpec, EtcdSpec};
use labkit_cluster::{Cluster, ClusterSpec, ServeOptions};
use labkit_sim::{Pace, run};
use labkit_tests::https::{Endpoint, Https};
use tempfile::TempDir;
use tokio::time::Instant;

/// As in the `labkit` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The word with which this program, run by itself, is the server.
const SERVE: &str = "serve";

/// The clients of the two columns.
const CLIENTS: [usize; 2] = [1, 32];
const WATCHERS: usize = 1000;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const MERGE: [(&str, &str); 1] = [("content-type", "application/merge-patch+json")];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, file] = arguments.as_slice()
        && word == SERVE
    {
        return serve(file);
    }
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    if !filters.is_empty() && !filters.iter().any(|filter| "api".contains(filter.as_str())) {
        return;
    }
    let folder = TempDir::new().expect("a folder for the kubeconfig");
    let file = folder.path().join("kubeconfig");
    let own = std::env::current_exe().expect("this program has a path");
    let mut server = Command::new(own)
        .args([SERVE.as_ref(), file.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut ready = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut ready).expect("it says so");
    let endpoint = Endpoint::of(&std::fs::read_to_string(&file).expect("it was written"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(&endpoint, &server));
    drop(server.stdin.take());
    server.wait().expect("it ends with its input");
}

/// Boots a store and an API server in wall pace, and serves until its input ends.
fn serve(file: &str) {
    let spec = ClusterSpec {
        etcd: Some(EtcdSpec::default()),
        api_server: Some(ApiServerSpec::default()),
        ..ClusterSpec::default()
    };
    run(Pace::Wall, 1, |world| async move {
        let cluster = Cluster::boot(&world, &spec).await.expect("it boots");
        let served = cluster.serve(&ServeOptions::default()).await.expect("it listens");
        std::fs::write(file, served.kubeconfig.expect("there is an API server")).expect("the file is ours");
        println!("ready");
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.expect("it only reads").expect("it is piped");
        std::process::exit(0);
    });
}

async fn measure(endpoint: &Endpoint, server: &Child) {
    let resident = || format!("{} MB", resident_mb(server.id()));
    println!("API over HTTPS, HTTP/1.1 keep-alive, JSON; server and load on a core each");
    println!("store: one member, log and data in memory (nothing is synced to a disk)");
    println!("{:<34}{:>14}{:>14}{:>12}", "", "1 client", "32 clients", "resident");
    println!("{:<34}{:>14}{:>14}{:>12}", "idle", "", "", resident());
    let names = AtomicU64::new(0);
    let rows: [(&str, Call); 4] = [
        ("creates of ConfigMaps per second", Call::Create("configmaps")),
        ("creates of Pods per second", Call::Create("pods")),
        ("gets of ConfigMaps per second", Call::Get),
        ("patches of ConfigMaps per second", Call::Patch),
    ];
    for (title, call) in rows {
        let mut cells = Vec::new();
        for clients in CLIENTS {
            cells.push(format!("{:.0}", rate(endpoint, call, clients, &names).await));
        }
        println!("{title:<34}{:>14}{:>14}{:>12}", cells[0], cells[1], resident());
    }
    for pods in [5_000, 50_000] {
        let namespace = format!("list-{pods}");
        fill(endpoint, &namespace, pods).await;
        let mut cells = Vec::new();
        for query in ["", "?resourceVersion=0"] {
            cells.push(format!("{:.1} ms", list(endpoint, &namespace, query).await.as_secs_f64() * 1e3));
        }
        let title = format!("list of {pods} Pods; of the cache");
        println!("{title:<34}{:>14}{:>14}{:>12}", cells[0], cells[1], resident());
    }
    let (median, slow) = fan_out(endpoint).await;
    let ms = |latency: Duration| format!("{:.1} ms", latency.as_secs_f64() * 1e3);
    let title = format!("an event to {WATCHERS} watches p50; p99");
    println!("{title:<34}{:>14}{:>14}{:>12}", ms(median), ms(slow), resident());
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Create(&'static str),
    Get,
    Patch,
}

/// How many calls are answered in a second, by so many clients with a connection each.
async fn rate(endpoint: &Endpoint, call: Call, clients: usize, names: &AtomicU64) -> f64 {
    let mut connections = Vec::new();
    for client in 0..clients {
        let mut connection = endpoint.connect().await.expect("it listens");
        let _it_may_be_there = post(&mut connection, "configmaps", &format!("own-{client}"), "default").await;
        connections.push(connection);
    }
    let start = Instant::now();
    let end = start + seconds();
    let lanes = connections.into_iter().enumerate().map(|(client, mut connection)| async move {
        let own = format!("/api/v1/namespaces/default/configmaps/own-{client}");
        let mut count = 0_u32;
        while Instant::now() < end {
            let code = match call {
                Call::Create(kind) => {
                    let name = format!("bench-{}", names.fetch_add(1, Ordering::Relaxed));
                    post(&mut connection, kind, &name, "default").await
                }
                Call::Get => connection.send("GET", &own, &[], b"").await.expect("it answers").code,
                Call::Patch => {
                    let patch = format!(r#"{{"metadata":{{"labels":{{"n":"{count}"}}}}}}"#);
                    connection.send("PATCH", &own, &MERGE, patch.as_bytes()).await.expect("it answers").code
                }
            };
            assert!(matches!(code, 200 | 201), "{code}");
            count += 1;
        }
        count
    });
    let count: u32 = join_all(lanes).await.into_iter().sum();
    f64::from(count) / start.elapsed().as_secs_f64()
}

async fn post(connection: &mut Https, kind: &str, name: &str, namespace: &str) -> u16 {
    let body = match kind {
        "pods" => format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","labels":{{"app":"bench"}}}},"spec":{{"containers":[{{"name":"c","image":"nginx:1.27","resources":{{"requests":{{"cpu":"10m","memory":"16Mi"}}}},"ports":[{{"containerPort":80}}],"env":[{{"name":"A","value":"b"}}]}}]}}}}"#
        ),
        _ => format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"value":"{}"}}}}"#,
            "x".repeat(256)
        ),
    };
    let target = format!("/api/v1/namespaces/{namespace}/{kind}");
    connection.send("POST", &target, &JSON, body.as_bytes()).await.expect("it answers").code
}

/// Makes a namespace with so many pods.
async fn fill(endpoint: &Endpoint, namespace: &str, pods: u64) {
    let mut connection = endpoint.connect().await.expect("it listens");
    let body = format!(r#"{{"metadata":{{"name":"{namespace}"}}}}"#);
    connection.send("POST", "/api/v1/namespaces", &JSON, body.as_bytes()).await.expect("it answers");
    let next = &AtomicU64::new(0);
    let lanes = (0..32).map(|_| async move {
        let mut connection = endpoint.connect().await.expect("it listens");
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= pods {
                return;
            }
            assert_eq!(post(&mut connection, "pods", &format!("pod-{number}"), namespace).await, 201);
        }
    });
    join_all(lanes).await;
}

/// The median of a few lists.
async fn list(endpoint: &Endpoint, namespace: &str, query: &str) -> Duration {
    let mut connection = endpoint.connect().await.expect("it listens");
    let target = format!("/api/v1/namespaces/{namespace}/pods{query}");
    let mut times = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        let answer = connection.send("GET", &target, &[], b"").await.expect("it answers");
        times.push(start.elapsed());
        assert_eq!(answer.code, 200);
    }
    times.sort();
    times[times.len() / 2]
}

/// Median and 99th percentile of the time from a create to its event, over all watches.
async fn fan_out(endpoint: &Endpoint) -> (Duration, Duration) {
    let target = "/api/v1/namespaces/fan-out/configmaps";
    let mut writer = endpoint.connect().await.expect("it listens");
    let body = br#"{"metadata":{"name":"fan-out"}}"#;
    writer.send("POST", "/api/v1/namespaces", &JSON, body).await.expect("it answers");
    let mut watches = Vec::new();
    for _ in 0..WATCHERS {
        let mut watch = endpoint.connect().await.expect("it listens");
        watch.watch(&format!("{target}?watch=true")).await.expect("it answers");
        watches.push(watch);
    }
    let writes = (seconds().as_secs() * 20).max(1);
    let sent = &std::cell::RefCell::new(Vec::new());
    let write = async {
        for number in 0..writes {
            sent.borrow_mut().push(Instant::now());
            assert_eq!(post(&mut writer, "configmaps", &format!("fan-{number}"), "fan-out").await, 201);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let read = watches.into_iter().map(|mut watch| async move {
        let mut latencies = Vec::new();
        for number in 0..writes as usize {
            watch.line().await.expect("it goes on");
            latencies.push(sent.borrow()[number].elapsed());
        }
        latencies
    });
    let (_, latencies) = futures::future::join(write, join_all(read)).await;
    let mut latencies: Vec<Duration> = latencies.into_iter().flatten().collect();
    latencies.sort();
    (latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100])
}

fn seconds() -> Duration {
    let given = std::env::var("LABKIT_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(3))
}

/// Resident set of a process, in MB, as Linux tells it.
fn resident_mb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() / 1024
}
