//! The API over HTTPS with keep-alive: writes, reads, lists, watches, memory. Printed, never asserted.
//!
//! The server is a process of its own, and so is the load; on a machine with two cores each has one.
//! `LABKIT_BENCH_SECONDS` says how long each figure is measured (3), `LABKIT_BENCH_ONLY` which rows: those whose
//! title contains it. With the argument `serve FILE` this program is the server, whose kubeconfig goes to the file.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use labkit_api::Status;
use labkit_apiserver::{
    Access, Backends, KubeletError, Kubelets, LogRequest, Server, ServerConfig, SessionRequest, edge,
};
use labkit_client::{Body, PortRequest, Request, Response, Session};
use labkit_etcd::{Etcd, EtcdConfig};
use labkit_pki::{Authority, ClientAuth, LeafSpec, kubeconfig, server_config};
use labkit_sim::{Pace, run};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

use https::{Endpoint, Https};

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../../tests/https.rs"]
mod https;

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
    println!(
        "API over HTTPS, HTTP/1.1 keep-alive, JSON; server and load are two processes, a server for each figure"
    );
    println!("store: one member, log and data in memory (nothing is synced to a disk)");
    println!("{:<36}{:>26}{:>26}{:>16}", "", "1 client", "32 clients", "now, at most");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

/// A server in a process of its own, which ends with its input.
struct Served {
    process: Child,
    endpoint: Endpoint,
}

impl Served {
    fn start() -> Served {
        let folder = TempDir::new().expect("a folder for the kubeconfig");
        let file = folder.path().join("kubeconfig");
        let own = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(own)
            .args([SERVE.as_ref(), file.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let mut ready = String::new();
        BufReader::new(process.stdout.take().expect("it is piped"))
            .read_line(&mut ready)
            .expect("it says so");
        let endpoint = Endpoint::of(&std::fs::read_to_string(&file).expect("it was written"));
        Served { process, endpoint }
    }

    /// A line of the table, with what the server's memory came to.
    fn row(&self, title: &str, one: &str, many: &str) {
        println!("{title:<36}{one:>26}{many:>26}{:>16}", memory(self.process.id()));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It may have ended by itself.
        let _ = self.process.wait();
    }
}

/// How many records the world keeps, as under `labkit up`.
const RECORDS_KEPT: usize = 20_000;

/// Boots a store and an API server in wall pace, and serves until its input ends.
fn serve(file: &str) {
    run(Pace::Wall, 1, |world| async move {
        world.trace().keep(RECORDS_KEPT);
        let etcd = Etcd::boot(&world, EtcdConfig::default()).await;
        let component = world.component("apiServer/0");
        let config = ServerConfig {
            etcd: etcd.client("apiServer/0").into(),
            kubelets: Arc::new(NoCluster),
            backends: Arc::new(NoCluster),
            service_cluster_ip_range: "10.96.0.0/12".to_owned(),
            event_ttl: Duration::from_secs(3600),
            etcd_compaction_interval: Duration::from_secs(300),
            public_address: None,
            access: Access::default(),
        };
        let server = component.run(Server::start(&world, config)).await.expect("the store is up");
        let authority = Authority::new(&world, "kubernetes");
        let leaf = authority.issue(&LeafSpec {
            common_name: "kube-apiserver".to_owned(),
            names: vec!["127.0.0.1".to_owned()],
            ..LeafSpec::default()
        });
        let admin = authority.issue(&LeafSpec {
            common_name: "kubernetes-admin".to_owned(),
            organizations: vec!["system:masters".to_owned()],
            ..LeafSpec::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("https://{}", listener.local_addr().expect("it is bound"));
        let tls = server_config(&authority, &leaf, ClientAuth::Optional, &["h2", "http/1.1"]);
        component.spawn(edge::serve(world.clone(), server.transport(), listener, tls));
        let admin = kubeconfig("labkit", &url, authority.cert_pem(), "kubernetes-admin", &admin);
        std::fs::write(file, admin).expect("the file is ours");
        println!("ready");
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.expect("it only reads").expect("it is piped");
        std::process::exit(0);
    });
}

/// There are no nodes here, and no pods that answer.
#[derive(Debug)]
struct NoCluster;

fn no_kubelet(node: &str) -> KubeletError {
    KubeletError::Dial { address: format!("{node}:10250"), why: "connect: connection refused" }
}

impl Kubelets for NoCluster {
    fn container_logs(&self, node: &str, _: LogRequest) -> BoxFuture<'static, Result<Body, Status>> {
        let error = Status::internal(format!("no kubelet on {node}"));
        Box::pin(async move { Err(error) })
    }

    fn open_session(
        &self,
        node: &str,
        _: SessionRequest,
    ) -> BoxFuture<'static, Result<Session, KubeletError>> {
        let error = no_kubelet(node);
        Box::pin(async move { Err(error) })
    }

    fn pod_ports(
        &self,
        node: &str,
        _: &str,
        _: &str,
    ) -> BoxFuture<'static, Result<mpsc::Sender<PortRequest>, KubeletError>> {
        let error = no_kubelet(node);
        Box::pin(async move { Err(error) })
    }
}

impl Backends for NoCluster {
    fn request(
        &self,
        address: IpAddr,
        port: u16,
        _: Request,
    ) -> BoxFuture<'static, Result<Response, String>> {
        Box::pin(async move { Err(format!("dial tcp {address}:{port}: connect: no route to host")) })
    }

    fn healthz(&self, component: &str) -> BoxFuture<'static, Result<(), String>> {
        let error = format!("no {component}");
        Box::pin(async move { Err(error) })
    }
}

async fn measure() {
    let only = std::env::var("LABKIT_BENCH_ONLY").unwrap_or_default();
    let is_wanted = |title: &str| title.contains(&only);
    let names = AtomicU64::new(0);
    let rows: [(&str, Call); 5] = [
        ("creates of ConfigMaps", Call::Create("configmaps")),
        ("creates of Pods", Call::Create("pods")),
        ("gets of ConfigMaps", Call::Get),
        ("gets of ConfigMaps, of the cache", Call::GetCached),
        ("patches of ConfigMaps", Call::Patch),
    ];
    for (title, call) in rows.into_iter().filter(|(title, _)| is_wanted(title)) {
        let served = Served::start();
        let mut cells = Vec::new();
        for clients in CLIENTS {
            cells.push(rate(&served.endpoint, call, clients, &names).await);
        }
        served.row(title, &cells[0], &cells[1]);
    }
    if is_wanted("memory") {
        let served = Served::start();
        served.row("memory, idle", "", "");
        fill(&served.endpoint, "memory", "configmaps", 16_000).await;
        served.row("memory with 16000 ConfigMaps", "", "");
    }
    for pods in [5_000, 50_000] {
        let title = format!("list of {pods} Pods; of the cache");
        if !is_wanted(&title) {
            continue;
        }
        let served = Served::start();
        fill(&served.endpoint, "list", "pods", pods).await;
        served.row(&format!("memory with {pods} Pods"), "", "");
        let mut cells = Vec::new();
        for query in ["", "?resourceVersion=0"] {
            cells.push(ms(list(&served.endpoint, "list", query).await));
        }
        served.row(&title, &cells[0], &cells[1]);
    }
    let title = format!("an event to {WATCHERS} watches p50; p99");
    if is_wanted(&title) {
        let served = Served::start();
        let (median, slow) = fan_out(&served.endpoint).await;
        served.row(&title, &ms(median), &ms(slow));
    }
}

fn ms(latency: Duration) -> String {
    format!("{:.2} ms", latency.as_secs_f64() * 1e3)
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Create(&'static str),
    Get,
    /// With `resourceVersion=0`.
    GetCached,
    Patch,
}

/// How many calls are answered in a second, by so many clients with a connection each, and how long they take: at
/// the median, and at the 99th percentile.
async fn rate(endpoint: &Endpoint, call: Call, clients: usize, names: &AtomicU64) -> String {
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
        let cached = format!("{own}?resourceVersion=0");
        let mut latencies = Vec::new();
        loop {
            let began = Instant::now();
            if began >= end {
                return latencies;
            }
            let code = match call {
                Call::Create(kind) => {
                    let name = format!("bench-{}", names.fetch_add(1, Ordering::Relaxed));
                    post(&mut connection, kind, &name, "default").await
                }
                Call::Get => connection.send("GET", &own, &[], b"").await.expect("it answers").code,
                Call::GetCached => connection.send("GET", &cached, &[], b"").await.expect("it answers").code,
                Call::Patch => {
                    let patch = format!(r#"{{"metadata":{{"labels":{{"n":"{}"}}}}}}"#, latencies.len());
                    connection.send("PATCH", &own, &MERGE, patch.as_bytes()).await.expect("it answers").code
                }
            };
            assert!(matches!(code, 200 | 201), "{code}");
            latencies.push(began.elapsed());
        }
    });
    let mut latencies: Vec<Duration> = join_all(lanes).await.into_iter().flatten().collect();
    let per_second = latencies.len() as f64 / start.elapsed().as_secs_f64();
    latencies.sort();
    let at = |percent: usize| latencies[latencies.len() * percent / 100].as_secs_f64() * 1e3;
    format!("{per_second:.0}/s {:.2} {:.2} ms", at(50), at(99))
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

/// Makes a namespace with so many objects.
async fn fill(endpoint: &Endpoint, namespace: &str, kind: &str, count: u64) {
    let mut connection = endpoint.connect().await.expect("it listens");
    let body = format!(r#"{{"metadata":{{"name":"{namespace}"}}}}"#);
    connection.send("POST", "/api/v1/namespaces", &JSON, body.as_bytes()).await.expect("it answers");
    let next = &AtomicU64::new(0);
    let lanes = (0..32).map(|_| async move {
        let mut connection = endpoint.connect().await.expect("it listens");
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            assert_eq!(post(&mut connection, kind, &format!("a-{number}"), namespace).await, 201);
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
    let sent = &RefCell::new(Vec::new());
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

/// Resident set of a process, now and at most so far, in MB, as Linux tells it.
fn memory(process: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mb = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() / 1024
    };
    format!("{} {} MB", mb("VmRSS:"), mb("VmHWM:"))
}
