//! `just bench etcd`: our store beside a real etcd, both over gRPC on loopback, under the same load from this process.
//! Printed, never asserted.
//!
//! `LABKIT_BENCH_ENDPOINTS=http://127.0.0.1:2379,...` puts another store in the place of ours, such as one of
//! `labkit etcd` processes; else ours runs in a process of its own, with its log in memory. `LABKIT_BENCH_SECONDS`
//! is how long each load lasts; 3 by default.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use futures::future::join_all;
use labkit_etcd::grpc::{Client, Endpoints, serve};
use labkit_etcd::{Etcd, EtcdConfig, PutRequest, RangeRequest, WatchRequest};
use labkit_sim::{Component, Pace, World, run};
use labkit_tests::live::has;
use labkit_tests::real_etcd::RealEtcd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The word with which this program serves our store.
const SERVE: &str = "serve-members";
/// What it is told to kill the leader.
const KILL_LEADER: &str = "kill the leader";

const VALUE_BYTES: usize = 256;
const KEYS: usize = 1000;
const CONNECTIONS_MAX: usize = 10;
const WATCHERS: usize = 1000;
/// Writes per second under the watchers.
const WATCHED_RATE: u32 = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [word, members] if word == SERVE => return serve_members(members.parse().expect("a number")),
        _ if arguments.iter().any(|word| !word.starts_with('-') && !"etcd".contains(&word[..])) => return,
        _ if !has("etcd") => return,
        _ => {}
    }
    run(Pace::Wall, 1, |world| async move {
        println!("256-byte values over gRPC, 2 processes on one machine. etcd syncs each write to its disk;");
        match elsewhere() {
            Some(urls) => println!("beside it: {}", urls.join(" ")),
            None => println!("ours keeps its log in memory here, so that puts compare two durabilities."),
        }
        for members in [1, 3] {
            compare(&world, members).await;
        }
    });
}

/// A process of its own with our store, until its input ends.
fn serve_members(members: u8) {
    run(Pace::Wall, 1, |world| async move {
        let etcd = Etcd::boot(&world, EtcdConfig { members, ..EtcdConfig::default() }).await;
        for member in etcd.members() {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
            println!("http://{}", listener.local_addr().expect("it is bound"));
            serve(&etcd, &member.name, listener, None).await.expect("it is a member");
        }
        loop {
            let read = tokio::task::spawn_blocking(|| std::io::stdin().lines().next());
            match read.await.expect("it only reads") {
                Some(Ok(line)) if line == KILL_LEADER => {
                    let leader = etcd.leader().expect("nothing else is broken");
                    etcd.kill(&leader).await.expect("it is a member");
                }
                _ => return,
            }
        }
    });
}

fn elsewhere() -> Option<Vec<String>> {
    let urls = std::env::var("LABKIT_BENCH_ENDPOINTS").ok()?;
    Some(urls.split(',').map(str::to_owned).collect())
}

/// A store under load.
enum Target {
    Real(RealEtcd),
    Ours { process: Child, input: ChildStdin, urls: Vec<String> },
    Elsewhere(Vec<String>),
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Target::Ours { process, .. } = self {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Target {
    fn ours(members: u8) -> Target {
        let own = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(own)
            .args([SERVE, &members.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let urls = output.lines().take(members.into()).map(|line| line.expect("it says its URLs")).collect();
        let input = process.stdin.take().expect("it is piped");
        Target::Ours { process, input, urls }
    }

    fn urls(&self) -> &[String] {
        match self {
            Target::Real(real) => &real.urls,
            Target::Ours { urls, .. } | Target::Elsewhere(urls) => urls,
        }
    }

    /// Kills the leader; `false` where that is not ours to do.
    async fn kill_leader(&mut self) -> bool {
        match self {
            Target::Real(real) => {
                for member in 0..real.urls.len() {
                    if leads(&real.urls[member]).await {
                        real.kill(member);
                        return true;
                    }
                }
                false
            }
            Target::Ours { input, .. } => writeln!(input, "{KILL_LEADER}").is_ok(),
            Target::Elsewhere(_) => false,
        }
    }
}

/// Whether a member says in its metrics that it leads.
async fn leads(url: &str) -> bool {
    let asked = async {
        let mut socket = TcpStream::connect(url.trim_start_matches("http://")).await?;
        socket.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.contains("\netcd_server_is_leader 1\n"))
    };
    asked.await.unwrap_or(false)
}

#[derive(Debug, Clone, Copy)]
enum Load {
    Put,
    /// Linearizable.
    Read,
    SerializableRead,
}

/// What a load came to. Latencies in microseconds.
#[derive(Debug, Clone, Copy)]
struct Figures {
    per_second: f64,
    p50: u64,
    p99: u64,
}

fn figures(mut latencies: Vec<u64>, lasted: Duration) -> Figures {
    latencies.sort_unstable();
    let at = |quantile: usize| latencies.get(latencies.len() * quantile / 100).copied().unwrap_or(0);
    Figures { per_second: latencies.len() as f64 / lasted.as_secs_f64(), p50: at(50), p99: at(99) }
}

async fn compare(world: &World, members: u8) {
    let seconds = std::env::var("LABKIT_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let lasts = Duration::from_secs(seconds);
    let mut real = Target::Real(RealEtcd::start(members).await);
    let mut ours = elsewhere().map_or_else(|| Target::ours(members), Target::Elsewhere);
    println!(
        "\n{members} member(s)\n{:<18}{:>8}{:>10}{:>10}{:>7}   p50 and p99, ms",
        "", "clients", "etcd/s", "ours/s", "ratio"
    );
    for load in [Load::Put, Load::Read, Load::SerializableRead] {
        for clients in [1, 100, 1000] {
            let theirs = under_load(world, real.urls(), load, clients, lasts).await;
            let own = under_load(world, ours.urls(), load, clients, lasts).await;
            print(&format!("{load:?}"), clients, theirs, own);
        }
    }
    let theirs = watched(world, real.urls(), lasts).await;
    let own = watched(world, ours.urls(), lasts).await;
    print("Watch", WATCHERS, theirs, own);
    if members > 1 {
        let theirs = failover(world, &mut real).await;
        let own = failover(world, &mut ours).await;
        println!(
            "until a put succeeds after the leader is killed: etcd {}, ours {}",
            told(theirs),
            told(own)
        );
    }
}

fn told(span: Option<Duration>) -> String {
    span.map_or("not measured".to_owned(), |span| format!("{:.2} s", span.as_secs_f64()))
}

fn print(what: &str, clients: usize, etcd: Figures, ours: Figures) {
    let ms = |micros: u64| micros as f64 / 1000.0;
    println!(
        "{what:<18}{clients:>8}{:>10.0}{:>10.0}{:>7.2}   etcd {:.2} {:.2}, ours {:.2} {:.2}",
        etcd.per_second,
        ours.per_second,
        ours.per_second / etcd.per_second,
        ms(etcd.p50),
        ms(etcd.p99),
        ms(ours.p50),
        ms(ours.p99),
    );
}

fn connect(component: &Component, urls: &[String], count: usize) -> Vec<Client> {
    let client = |number: usize| {
        let urls = (0..urls.len()).map(|turn| urls[(number + turn) % urls.len()].clone()).collect();
        Client::new(component, &Endpoints { urls, tls: None }).expect("the URLs are well-formed")
    };
    (0..count).map(client).collect()
}

/// So many clients, each with a call at a time, spread over a few connections.
async fn under_load(world: &World, urls: &[String], load: Load, clients: usize, lasts: Duration) -> Figures {
    let component = world.component("load");
    let connections = connect(&component, urls, clients.min(CONNECTIONS_MAX));
    let value = vec![b'x'; VALUE_BYTES];
    join_all((0..KEYS).map(|key| connections[0].put(PutRequest::new(format!("bench/{key}"), value.clone()))))
        .await;
    let clock = world.clock();
    let since = clock.elapsed();
    let lanes = (0..clients).map(|lane| {
        let (client, value) = (connections[lane % connections.len()].clone(), value.clone());
        let clock = clock.clone();
        component.spawn(async move {
            let mut latencies = Vec::new();
            for turn in 0.. {
                let began = clock.elapsed();
                if began - since >= lasts {
                    break;
                }
                let key = format!("bench/{}", (lane * 7919 + turn) % KEYS);
                let done = match load {
                    Load::Put => client.put(PutRequest::new(key, value.clone())).await.is_ok(),
                    Load::Read => client.range(RangeRequest::key(key)).await.is_ok(),
                    Load::SerializableRead => {
                        let read = RangeRequest { serializable: true, ..RangeRequest::key(key) };
                        client.range(read).await.is_ok()
                    }
                };
                if done {
                    latencies.push(micros(clock.elapsed() - began));
                }
            }
            latencies
        })
    });
    let latencies = join_all(lanes.collect::<Vec<_>>()).await;
    let lasted = clock.elapsed() - since;
    component.kill().await;
    figures(latencies.into_iter().flat_map(|lane| lane.expect("a lane ends by itself")).collect(), lasted)
}

/// From a put to each of many watchers.
async fn watched(world: &World, urls: &[String], lasts: Duration) -> Figures {
    let component = world.component("load");
    let connections = connect(&component, urls, CONNECTIONS_MAX);
    let clock = world.clock();
    let watchers = join_all((0..WATCHERS).map(|number| {
        let client = &connections[number % connections.len()];
        client.watch(WatchRequest::key("watched"))
    }));
    let watchers: Vec<_> = watchers.await.into_iter().map(|watcher| watcher.expect("it begins")).collect();
    let heard = watchers.into_iter().map(|mut watcher| {
        let clock = clock.clone();
        component.spawn(async move {
            let mut latencies = Vec::new();
            while let Some(Ok(response)) = watcher.next().await {
                for event in response.events {
                    if event.kv.value.is_empty() {
                        return latencies;
                    }
                    let sent =
                        std::str::from_utf8(&event.kv.value).ok().and_then(|text| text.trim().parse().ok());
                    latencies.push(micros(clock.elapsed()).saturating_sub(sent.unwrap_or(0)));
                }
            }
            latencies
        })
    });
    let heard: Vec<_> = heard.collect();
    let since = clock.elapsed();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / WATCHED_RATE);
    while clock.elapsed() - since < lasts {
        ticks.tick().await;
        let value = format!("{:<VALUE_BYTES$}", micros(clock.elapsed()));
        // One that fails is not heard of.
        let _ = connections[0].put(PutRequest::new("watched", value)).await;
    }
    let lasted = clock.elapsed() - since;
    connections[0].put(PutRequest::new("watched", "")).await.expect("nothing is broken");
    let latencies = join_all(heard).await;
    component.kill().await;
    figures(latencies.into_iter().flat_map(|watcher| watcher.expect("it ends by itself")).collect(), lasted)
}

/// From the leader's death to the next put that succeeds.
async fn failover(world: &World, target: &mut Target) -> Option<Duration> {
    let component = world.component("load");
    let client = connect(&component, target.urls(), 1).remove(0).with_deadline(Duration::from_millis(200));
    client.put(PutRequest::new("failover", "before")).await.ok()?;
    if !target.kill_leader().await {
        return None;
    }
    let clock = world.clock();
    let since = clock.elapsed();
    // The process may need a moment to do as it is told.
    tokio::time::sleep(Duration::from_millis(20)).await;
    while client.put(PutRequest::new("failover", "after")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Some(clock.elapsed() - since)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
