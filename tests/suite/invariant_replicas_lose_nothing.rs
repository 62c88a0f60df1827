//! Invariant: where three API servers share a store and one is killed every second under load, no acknowledged write is
//! lost, and who watches, going on from the last version it saw, sees each object come into being once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_api::{Object, Resource};
use labkit_cluster::client::{Client, Error, ListParams, PatchKind, WatchEventKind};
use labkit_cluster::spec::{ApiServerSpec, EtcdSpec};
use labkit_cluster::{Cluster, ClusterSpec, Fault};
use labkit_sim::World;
use labkit_tests::chaos::{for_each_cluster, seeds};
use rand::Rng;
use serde_json::json;

const LANES: u64 = 3;
const KILLS: u64 = 8;
/// The pause of a writer between two writes, and of whoever was refused.
const PAUSE: Duration = Duration::from_millis(50);

#[test]
fn invariant_replicas_lose_nothing() {
    let spec = ClusterSpec {
        etcd: Some(EtcdSpec::default()),
        api_server: Some(ApiServerSpec { replicas: 3, ..ApiServerSpec::default() }),
        ..ClusterSpec::default()
    };
    for_each_cluster(seeds().max(30), &spec, |world, cluster| async move {
        let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
        let writer = world.component("writer");
        for lane in 0..LANES {
            writer.spawn(write(cluster.client("writer").unwrap(), lane, acknowledged.clone()));
        }
        let watching = world.component("watcher");
        let watchers: Vec<Arc<Mutex<Seen>>> = (0..3).map(|_| Arc::default()).collect();
        for seen in &watchers {
            watching.spawn(watch(cluster.client("watcher").unwrap(), seen.clone()));
        }
        kill_one_each_second(&world, &cluster).await;
        writer.kill().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
        judge(&cluster, &acknowledged, &watchers).await;
    });
}

async fn kill_one_each_second(world: &World, cluster: &Cluster) {
    let mut rng = world.seed().stream("kills");
    for _ in 0..KILLS {
        let down = Duration::from_millis(rng.gen_range(50..900));
        let victim = format!("apiServer/{}", rng.gen_range(0..3));
        tokio::time::sleep(Duration::from_secs(1) - down).await;
        let injected = cluster.inject(&Fault::Kill(victim)).await.unwrap();
        tokio::time::sleep(down).await;
        injected.heal().await.unwrap();
    }
}

/// What the servers said yes to.
#[derive(Default)]
struct Acknowledged {
    names: Vec<String>,
    /// The last number that each lane wrote over and over.
    counters: BTreeMap<String, u64>,
}

/// Creates objects, and counts in one of its own. What breaks off is tried again until it is certain.
async fn write(client: Client, lane: u64, acknowledged: Arc<Mutex<Acknowledged>>) {
    let kind = config_maps();
    let counter = format!("counter-{lane}");
    create(&client, &counter).await;
    for number in 0_u64.. {
        let name = format!("write-{lane}-{number}");
        create(&client, &name).await;
        acknowledged.lock().unwrap().names.push(name);
        let patch = json!({"data": {"number": number.to_string()}});
        while client.patch(&kind, "default", &counter, None, PatchKind::Merge, patch.clone()).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
        acknowledged.lock().unwrap().counters.insert(counter.clone(), number);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn create(client: &Client, name: &str) {
    let kind = config_maps();
    let object = Object::new(&kind.gvk, "default", name);
    loop {
        match client.create(&kind, &object).await {
            Ok(_) => return,
            Err(error) if error.is_already_exists() => return,
            Err(Error::Api(status)) => panic!("{name}: {status}"),
            Err(_broken_off) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What one watcher was told, in that order.
#[derive(Default)]
struct Seen {
    /// Name and revision of each object that came into being.
    created: Vec<(String, i64)>,
    counts: BTreeMap<String, Vec<u64>>,
    /// How often a server's window did not reach back, so that it had to list.
    lists: u64,
}

impl Seen {
    fn note(&mut self, object: &Object) {
        let name = object.metadata.name.clone();
        if name.starts_with("counter-") {
            let number = object.str_at(&["data", "number"]).map(|number| number.parse::<u64>().unwrap());
            self.counts.entry(name).or_default().extend(number);
        } else {
            self.created.push((name, version(object)));
        }
    }
}

/// Lists once, then watches, going on from the last version. Where a server has forgotten it, what came since is in
/// the next list.
async fn watch(client: Client, seen: Arc<Mutex<Seen>>) {
    let (kind, all) =
        (config_maps(), ListParams { namespace: "default".to_owned(), ..ListParams::default() });
    let mut last = 0;
    let mut knows = false;
    loop {
        if !knows && let Ok(list) = client.list(&kind, &all).await {
            let mut seen = seen.lock().unwrap();
            seen.lists += 1;
            list.items.iter().filter(|object| version(object) > last).for_each(|object| seen.note(object));
            last = list.resource_version.parse().unwrap();
            knows = true;
        }
        if knows {
            let ended = follow(&client, &kind, &all, &mut last, &seen).await;
            knows = !ended.is_err_and(|error| error.is_expired());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Watches from the last version until the stream ends.
async fn follow(
    client: &Client,
    kind: &Resource,
    all: &ListParams,
    last: &mut i64,
    seen: &Mutex<Seen>,
) -> Result<(), Error> {
    let mut stream = client.watch(kind, all, &last.to_string()).await?;
    while let Some(event) = stream.next().await {
        let event = event?;
        let at = version(&event.object);
        assert!(at > *last || event.kind == WatchEventKind::Bookmark, "{at} after {last}");
        *last = at;
        if event.kind != WatchEventKind::Bookmark {
            seen.lock().unwrap().note(&event.object);
        }
    }
    Ok(())
}

async fn judge(cluster: &Cluster, acknowledged: &Acknowledged, watchers: &[Arc<Mutex<Seen>>]) {
    assert!(acknowledged.names.len() > 100, "the writers got through: {}", acknowledged.names.len());
    let all = ListParams { namespace: "default".to_owned(), ..ListParams::default() };
    let client = cluster.client("auditor").unwrap();
    let mut lists = Vec::new();
    // One of each server: the balancer takes them in turn.
    for _ in 0..3 {
        lists.push(client.list(&config_maps(), &all).await.unwrap().items);
    }
    assert!(lists.iter().all(|list| *list == lists[0]), "every server tells the same");
    let stored: BTreeMap<String, &Object> =
        lists[0].iter().map(|object| (object.metadata.name.clone(), object)).collect();
    for name in &acknowledged.names {
        assert!(stored.contains_key(name), "{name} was acknowledged");
    }
    let count = |object: &Object| object.str_at(&["data", "number"]).unwrap_or("0").parse::<u64>().unwrap();
    for (counter, number) in &acknowledged.counters {
        assert!(count(stored[counter]) >= *number, "{counter} was {number}");
    }
    let mut created: Vec<(String, i64)> = stored
        .iter()
        .filter(|(name, _)| name.starts_with("write-"))
        .map(|(name, object)| (name.clone(), version(object)))
        .collect();
    created.sort_by_key(|(_, revision)| *revision);
    for seen in watchers {
        let seen = seen.lock().unwrap();
        let mut told = seen.created.clone();
        told.sort_by_key(|(_, revision)| *revision);
        assert_eq!(told, created, "each once, after {} lists", seen.lists);
        for (counter, counts) in &seen.counts {
            assert!(counts.is_sorted_by(|a, b| a < b), "{counter} only grows: {counts:?}");
            assert_eq!(counts.last(), Some(&count(stored[counter])), "{counter}");
        }
    }
}

fn config_maps() -> Resource {
    let mut all = labkit_cluster::resources().into_iter();
    all.find(|resource| resource.plural == "configmaps").expect("it is a kind")
}

fn version(object: &Object) -> i64 {
    object.metadata.resource_version.parse().unwrap()
}
