//! The loads, and what they come to.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use labkit_etcd::PutRequest;
use labkit_etcd::grpc::{Client, Endpoints};
use labkit_sim::{Clock, Component, World};
use tokio::sync::mpsc;

use crate::target::Target;
use crate::wire::{self, Connection, Heard};

const VALUE_BYTES: usize = 256;
const KEYS: usize = 1000;
const CONNECTIONS_MAX: usize = 10;
/// What the values that watchers hear of begin with; the time of the put follows. The last one says `STOP`.
const SENT: &str = "sent:";
const STOP: &str = "stop!";
/// `RangeRequest.serializable` in protobuf.
const SERIALIZABLE: [u8; 2] = [7 << 3, 1];
/// Writes per second under the watchers.
const WATCHED_RATE: u32 = 50;
/// What comes before this is not counted: connections are made, buffers grow.
const WARM_UP: Duration = Duration::from_millis(500);
/// The deadline of a put while there is no leader.
const FAILOVER_DEADLINE: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    Put,
    /// Linearizable.
    Read,
    SerializableRead,
    Watch,
}

/// What a load came to. Latencies in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub per_second: f64,
    pub p50: u64,
    pub p99: u64,
    /// What the members used of the processors for each, in microseconds.
    pub cpu: f64,
}

/// When a load is counted, and what for.
struct Count {
    from: Duration,
    to: Duration,
    cpu_before: Duration,
}

impl Count {
    async fn begin(world: &World, target: &Target, lasts: Duration) -> Count {
        tokio::time::sleep(WARM_UP).await;
        let from = world.clock().elapsed();
        Count { from, to: from + lasts, cpu_before: target.cpu_time() }
    }

    fn figures(&self, target: &Target, mut latencies: Vec<u64>) -> Figures {
        let cpu = target.cpu_time() - self.cpu_before;
        latencies.sort_unstable();
        let at =
            |quantile: usize| latencies.get(latencies.len() * quantile / 100).copied().unwrap_or_default();
        Figures {
            per_second: latencies.len() as f64 / (self.to - self.from).as_secs_f64(),
            p50: at(50),
            p99: at(99),
            cpu: micros(cpu) as f64 / latencies.len().max(1) as f64,
        }
    }
}

fn connect(component: &Component, urls: &[String]) -> Client {
    let endpoints = Endpoints { urls: urls.to_vec(), tls: None };
    Client::new(component, &endpoints).expect("the URLs are well-formed")
}

/// What a call of a load says.
fn message(load: Load, key: &str, value: &[u8]) -> Vec<u8> {
    let key = wire::field(1, key.as_bytes());
    match load {
        Load::Put => [key, wire::field(2, value)].concat(),
        Load::Read => key,
        Load::SerializableRead => [key, SERIALIZABLE.to_vec()].concat(),
        Load::Watch => wire::field(1, &key),
    }
}

/// So many clients, each with a call at a time, spread over a few connections.
pub async fn run(world: &World, target: &Target, load: Load, clients: usize, lasts: Duration) -> Figures {
    if load == Load::Watch {
        return watched(world, target, clients, lasts).await;
    }
    let component = world.component("load");
    let value = Bytes::from(vec![b'x'; VALUE_BYTES]);
    let client = connect(&component, &target.urls);
    join_all((0..KEYS).map(|key| client.put(PutRequest::new(format!("bench/{key}"), value.clone())))).await;
    let connections = clients.min(CONNECTIONS_MAX);
    let ends = world.clock().elapsed() + WARM_UP + lasts;
    let lanes = (0..connections).map(|number| {
        let url = target.urls[number % target.urls.len()].clone();
        let lanes = Lanes {
            clock: world.clock().clone(),
            load,
            value: value.clone(),
            number,
            count: clients / connections,
            from: ends - lasts,
            ends,
        };
        component.spawn(lanes.run(url))
    });
    let lanes: Vec<_> = lanes.collect();
    let count = Count::begin(world, target, lasts).await;
    let latencies = join_all(lanes).await;
    let latencies =
        latencies.into_iter().flat_map(|lane| lane.expect("a connection ends by itself")).collect();
    let figures = count.figures(target, latencies);
    component.kill().await;
    figures
}

/// The clients of one connection.
struct Lanes {
    clock: Clock,
    load: Load,
    value: Bytes,
    number: usize,
    count: usize,
    /// What begins and ends between these is counted.
    from: Duration,
    ends: Duration,
}

impl Lanes {
    async fn run(self, url: String) -> Vec<u64> {
        let path = if self.load == Load::Put { "/etcdserverpb.KV/Put" } else { "/etcdserverpb.KV/Range" };
        let mut connection = Connection::open(&url, path).await.expect("the member listens");
        let (mut turn, mut under_way, mut latencies) = (0, 0, Vec::new());
        // When each call began, and whether it was answered.
        let mut calls: Vec<(Duration, bool)> = Vec::new();
        let mut heard = Vec::new();
        let mut free = self.count;
        loop {
            let now = self.clock.elapsed();
            while free > 0 && now < self.ends {
                let key = format!("bench/{}", (self.number * 7919 + turn) % KEYS);
                connection.call(&message(self.load, &key, &self.value), true);
                calls.push((now, false));
                (turn, free, under_way) = (turn + 1, free - 1, under_way + 1);
            }
            if under_way == 0 {
                return latencies;
            }
            connection.exchange(&mut heard).await.expect("the member goes on");
            let now = self.clock.elapsed();
            for heard in heard.drain(..) {
                match heard {
                    Heard::Data(stream, _) => calls[stream as usize / 2].1 = true,
                    Heard::End(stream) => {
                        let (began, is_answered) = calls[stream as usize / 2];
                        if is_answered && now > self.from && now <= self.ends {
                            latencies.push(micros(now - began));
                        }
                        (free, under_way) = (free + 1, under_way - 1);
                    }
                }
            }
        }
    }
}

/// From a put to each of many watchers.
async fn watched(world: &World, target: &Target, watchers: usize, lasts: Duration) -> Figures {
    let component = world.component("load");
    let client = connect(&component, &target.urls);
    let clock = world.clock();
    let (created, mut all_created) = mpsc::unbounded_channel();
    let heard = (0..CONNECTIONS_MAX).map(|number| {
        let url = target.urls[number % target.urls.len()].clone();
        component.spawn(watch(clock.clone(), url, watchers / CONNECTIONS_MAX, created.clone()))
    });
    let heard: Vec<_> = heard.collect();
    for _ in 0..CONNECTIONS_MAX {
        all_created.recv().await;
    }
    let count = Count::begin(world, target, lasts).await;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / WATCHED_RATE);
    while clock.elapsed() < count.to {
        ticks.tick().await;
        let value = format!("{:<VALUE_BYTES$}", format!("{SENT}{}", micros(clock.elapsed())));
        // One that fails is not heard of.
        let _ = client.put(PutRequest::new("watched", value)).await;
    }
    client.put(PutRequest::new("watched", STOP)).await.expect("nothing is broken");
    let latencies = join_all(heard).await;
    let latencies = latencies.into_iter().flat_map(|watch| watch.expect("it ends by itself")).collect();
    let figures = count.figures(target, latencies);
    component.kill().await;
    figures
}

/// So many watches on one connection, each on a stream of its own. Says when all have begun.
async fn watch(clock: Clock, url: String, watchers: usize, created: mpsc::UnboundedSender<()>) -> Vec<u64> {
    let path = "/etcdserverpb.Watch/Watch";
    let mut connection = Connection::open(&url, path).await.expect("the member listens");
    for _ in 0..watchers {
        connection.call(&message(Load::Watch, "watched", &[]), false);
    }
    let (mut begun, mut stopped) = (BTreeSet::new(), 0);
    let (mut heard, mut latencies) = (Vec::new(), Vec::new());
    while stopped < watchers {
        connection.exchange(&mut heard).await.expect("the member goes on");
        let now = micros(clock.elapsed());
        for heard in heard.drain(..) {
            let Heard::Data(stream, bytes) = heard else { panic!("a watch ended") };
            if begun.len() < watchers && begun.insert(stream) && begun.len() == watchers {
                created.send(()).expect("it is waited for");
            }
            // The value is the last field of a message.
            let value = &bytes[bytes.len().saturating_sub(VALUE_BYTES)..];
            if let Some(sent) = value.strip_prefix(SENT.as_bytes()) {
                let digits = sent.iter().take_while(|byte| byte.is_ascii_digit());
                let sent = digits.fold(0, |sent, digit| sent * 10 + u64::from(digit - b'0'));
                latencies.push(now - sent);
            }
            stopped += usize::from(bytes.ends_with(STOP.as_bytes()));
        }
    }
    latencies
}

/// From the leader's death to the next put that succeeds.
pub async fn failover(world: &World, target: &mut Target) -> Duration {
    let component = world.component("load");
    let client = connect(&component, &target.urls).with_deadline(FAILOVER_DEADLINE);
    client.put(PutRequest::new("failover", "before")).await.expect("nothing is broken");
    target.kill_leader().await;
    let clock = world.clock();
    let since = clock.elapsed();
    while client.put(PutRequest::new("failover", "after")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lasted = clock.elapsed() - since;
    component.kill().await;
    lasted
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
