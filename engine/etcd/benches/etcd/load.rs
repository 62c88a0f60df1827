//! The loads, and what they come to.

use std::time::Duration;

use futures::future::join_all;
use labkit_etcd::grpc::{Client, Endpoints};
use labkit_etcd::{PutRequest, RangeRequest, WatchRequest};
use labkit_sim::{Component, World};

use crate::target::Target;

const VALUE_BYTES: usize = 256;
const KEYS: usize = 1000;
const CONNECTIONS_MAX: usize = 10;
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

fn connect(component: &Component, urls: &[String], count: usize) -> Vec<Client> {
    let client = |number: usize| {
        let urls = (0..urls.len()).map(|turn| urls[(number + turn) % urls.len()].clone()).collect();
        Client::new(component, &Endpoints { urls, tls: None }).expect("the URLs are well-formed")
    };
    (0..count).map(client).collect()
}

/// So many clients, each with a call at a time, spread over a few connections.
pub async fn run(world: &World, target: &Target, load: Load, clients: usize, lasts: Duration) -> Figures {
    if load == Load::Watch {
        return watched(world, target, clients, lasts).await;
    }
    let component = world.component("load");
    let connections = connect(&component, &target.urls, clients.min(CONNECTIONS_MAX));
    let value = vec![b'x'; VALUE_BYTES];
    join_all((0..KEYS).map(|key| connections[0].put(PutRequest::new(format!("bench/{key}"), value.clone()))))
        .await;
    let clock = world.clock();
    let ends = clock.elapsed() + WARM_UP + lasts;
    let lanes = (0..clients).map(|lane| {
        let (client, value) = (connections[lane % connections.len()].clone(), value.clone());
        let clock = clock.clone();
        component.spawn(async move {
            let mut latencies = Vec::new();
            for turn in 0.. {
                let began = clock.elapsed();
                if began >= ends {
                    break;
                }
                let key = format!("bench/{}", (lane * 7919 + turn) % KEYS);
                let done = match load {
                    Load::Put => client.put(PutRequest::new(key, value.clone())).await.is_ok(),
                    Load::Read => client.range(RangeRequest::key(key)).await.is_ok(),
                    Load::SerializableRead | Load::Watch => {
                        let read = RangeRequest { serializable: true, ..RangeRequest::key(key) };
                        client.range(read).await.is_ok()
                    }
                };
                let ended = clock.elapsed();
                if done && ended > ends - lasts && ended <= ends {
                    latencies.push(micros(ended - began));
                }
            }
            latencies
        })
    });
    let lanes: Vec<_> = lanes.collect();
    let count = Count::begin(world, target, lasts).await;
    let latencies = join_all(lanes).await;
    let latencies = latencies.into_iter().flat_map(|lane| lane.expect("a lane ends by itself")).collect();
    let figures = count.figures(target, latencies);
    component.kill().await;
    figures
}

/// From a put to each of many watchers.
async fn watched(world: &World, target: &Target, watchers: usize, lasts: Duration) -> Figures {
    let component = world.component("load");
    let connections = connect(&component, &target.urls, CONNECTIONS_MAX);
    let clock = world.clock();
    let watchers = join_all((0..watchers).map(|number| {
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
    let count = Count::begin(world, target, lasts).await;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / WATCHED_RATE);
    while clock.elapsed() < count.to {
        ticks.tick().await;
        let value = format!("{:<VALUE_BYTES$}", micros(clock.elapsed()));
        // One that fails is not heard of.
        let _ = connections[0].put(PutRequest::new("watched", value)).await;
    }
    connections[0].put(PutRequest::new("watched", "")).await.expect("nothing is broken");
    let latencies = join_all(heard).await;
    let latencies =
        latencies.into_iter().flat_map(|watcher| watcher.expect("it ends by itself")).collect();
    let figures = count.figures(target, latencies);
    component.kill().await;
    figures
}

/// From the leader's death to the next put that succeeds.
pub async fn failover(world: &World, target: &mut Target) -> Duration {
    let component = world.component("load");
    let client = connect(&component, &target.urls, 1).remove(0).with_deadline(FAILOVER_DEADLINE);
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
