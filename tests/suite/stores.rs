//! What an API server needs of its store, on three of them: members in process, our members behind gRPC, and a real
//! etcd behind gRPC. One table; the stores differ in nothing that it shows.

use std::time::Duration;

use http::Method;
use labkit_api::{Object, Resource};
use labkit_cluster::client::{Client, DeleteOptions, ListParams, PatchKind, WatchEventKind};
use labkit_cluster::etcd::{self, Etcd, EtcdConfig, EtcdError, KeyValue, RangeRequest, grpc};
use labkit_cluster::spec::{ApiServerSpec, EtcdSpec, ExternalEtcd};
use labkit_cluster::{BootError, Cluster, ClusterSpec, resources};
use labkit_sim::{Pace, World, run};
use labkit_tests::live::has;
use labkit_tests::real_etcd::RealEtcd;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// An API server, and its store to look into.
struct Bench {
    api: Client,
    store: Store,
    _cluster: Cluster,
}

enum Store {
    Linked(etcd::Client),
    External(grpc::Client),
}

impl Store {
    async fn range(&self, request: RangeRequest) -> Vec<KeyValue> {
        let answer = match self {
            Store::Linked(client) => client.range(request).await,
            Store::External(client) => client.range(request).await,
        };
        answer.unwrap().kvs
    }

    async fn compact(&self, revision: i64) -> Result<(), EtcdError> {
        match self {
            Store::Linked(client) => client.compact(revision).await,
            Store::External(client) => client.compact(revision).await.map(drop),
        }
    }
}

fn spec(external: Option<ExternalEtcd>) -> ClusterSpec {
    ClusterSpec {
        etcd: Some(EtcdSpec { external, ..EtcdSpec::default() }),
        api_server: Some(ApiServerSpec::default()),
        ..ClusterSpec::default()
    }
}

async fn on_links(world: &World) -> Bench {
    let cluster = Cluster::boot(world, &spec(None)).await.unwrap();
    let store = Store::Linked(cluster.etcd_client("test"));
    Bench { api: cluster.client("test").unwrap(), store, _cluster: cluster }
}

async fn external(world: &World, endpoints: Vec<String>) -> Bench {
    let external = ExternalEtcd { endpoints: endpoints.clone(), ..ExternalEtcd::default() };
    let cluster = Cluster::boot(world, &spec(Some(external))).await.unwrap();
    let endpoints = grpc::Endpoints { urls: endpoints, tls: None };
    let client = grpc::Client::new(&world.component("test"), &endpoints).unwrap();
    Bench { api: cluster.client("test").unwrap(), store: Store::External(client), _cluster: cluster }
}

/// Three members of ours behind sockets.
async fn serve(world: &World) -> (Etcd, Vec<String>) {
    let etcd = Etcd::boot(world, EtcdConfig { members: 3, ..EtcdConfig::default() }).await;
    let mut urls = Vec::new();
    for member in etcd.members() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        urls.push(format!("http://{}", listener.local_addr().unwrap()));
        grpc::serve(&etcd, &member.name, listener, None).await.unwrap();
    }
    (etcd, urls)
}

fn on_every_store(check: impl AsyncFn(&Bench)) {
    let check = &check;
    run(Pace::Wall, 1, |world| async move {
        println!("on members in process");
        check(&on_links(&world).await).await;
        assert_eq!(world.bugs(), [""; 0]);
    });
    run(Pace::Wall, 1, |world| async move {
        println!("on our members behind gRPC");
        let (_etcd, urls) = serve(&world).await;
        check(&external(&world, urls).await).await;
        assert_eq!(world.bugs(), [""; 0]);
    });
    if has("etcd") {
        run(Pace::Wall, 1, |world| async move {
            println!("on a real etcd");
            let real = RealEtcd::start(1).await;
            check(&external(&world, real.urls.clone()).await).await;
            assert_eq!(world.bugs(), [""; 0]);
        });
    }
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn config_maps() -> Resource {
    resources().into_iter().find(|resource| resource.plural == "configmaps").unwrap()
}

fn config_map(name: &str, value: &str) -> Object {
    Object::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
        "data": {"value": value},
    }))
    .unwrap()
}

fn in_default() -> ListParams {
    ListParams { namespace: "default".to_owned(), ..ListParams::default() }
}

impl Bench {
    async fn create(&self, name: &str, value: &str) -> Object {
        self.api.create(&config_maps(), &config_map(name, value)).await.unwrap()
    }

    async fn get(&self, target: &str) -> (u16, Value) {
        let (code, body) = self.api.raw(Method::GET, target, None).await.unwrap();
        (code, serde_json::from_slice(&body).unwrap())
    }
}

fn revision_of(object: &Object) -> i64 {
    object.metadata.resource_version.parse().unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[test]
fn an_object_comes_changes_and_goes() {
    on_every_store(async |bench| {
        let created = bench.create("a", "1").await;
        let again = bench.api.create(&config_maps(), &config_map("a", "1")).await.unwrap_err();
        assert!(again.is_already_exists(), "{again}");
        assert_eq!(bench.api.get(&config_maps(), "default", "a").await.unwrap(), created);
        let kvs = bench.store.range(RangeRequest::key("/registry/configmaps/default/a")).await;
        assert_eq!(kvs[0].mod_revision, revision_of(&created), "the revision is the version");
        let mut changed = created.clone();
        changed.set_at(&["data", "value"], json!("2"));
        let changed = bench.api.replace(&config_maps(), &changed).await.unwrap();
        assert!(revision_of(&changed) > revision_of(&created));
        let late = bench.api.replace(&config_maps(), &created).await.unwrap_err();
        assert!(late.is_conflict(), "{late}");
        let only = DeleteOptions {
            resource_version: Some(created.metadata.resource_version.clone()),
            ..DeleteOptions::default()
        };
        let late = bench.api.delete(&config_maps(), "default", "a", &only).await.unwrap_err();
        assert!(late.is_conflict(), "{late}");
        bench.api.delete(&config_maps(), "default", "a", &DeleteOptions::default()).await.unwrap();
        let gone = bench.api.get(&config_maps(), "default", "a").await.unwrap_err();
        assert!(gone.is_not_found(), "{gone}");
        assert!(bench.store.range(RangeRequest::prefix("/registry/configmaps/default/a")).await.is_empty());
    });
}

#[test]
fn a_list_in_pages_shows_one_moment() {
    on_every_store(async |bench| {
        for name in ["a", "b", "c", "d", "e"] {
            bench.create(name, "x").await;
        }
        let (_, first) = bench.get(&format!("{CONFIG_MAPS}?limit=2")).await;
        assert_eq!(names(&first), ["a", "b"]);
        assert_eq!(first["metadata"]["remainingItemCount"], 3);
        bench.create("b2", "x").await;
        let token = first["metadata"]["continue"].as_str().unwrap();
        let (_, rest) = bench.get(&format!("{CONFIG_MAPS}?limit=9&continue={token}")).await;
        assert_eq!(names(&rest), ["c", "d", "e"]);
        assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        assert_eq!(names(&bench.get(CONFIG_MAPS).await.1), ["a", "b", "b2", "c", "d", "e"]);
    });
}

#[test]
fn a_list_goes_on_after_a_compaction_only_from_anew() {
    on_every_store(async |bench| {
        bench.create("a", "x").await;
        bench.create("b", "x").await;
        let (_, first) = bench.get(&format!("{CONFIG_MAPS}?limit=1")).await;
        let last = bench.create("c", "x").await;
        bench.store.compact(revision_of(&last)).await.unwrap();
        assert_eq!(bench.store.compact(revision_of(&last)).await, Err(EtcdError::Compacted));
        let token = first["metadata"]["continue"].as_str().unwrap();
        let (code, status) = bench.get(&format!("{CONFIG_MAPS}?limit=1&continue={token}")).await;
        assert_eq!((code, status["reason"].as_str()), (410, Some("Expired")), "{status}");
        assert_eq!(names(&bench.get(CONFIG_MAPS).await.1), ["a", "b", "c"]);
    });
}

#[test]
fn a_watch_tells_every_change_once_and_in_order() {
    on_every_store(async |bench| {
        let before = bench.create("w0", "x").await;
        let version = before.metadata.resource_version.as_str();
        let mut watch = bench.api.watch(&config_maps(), &in_default(), version).await.unwrap();
        let mut expected = Vec::new();
        for number in 1..=20 {
            let name = format!("w{number}");
            bench.create(&name, "x").await;
            let patch = json!({"data": {"value": "y"}});
            let kind = PatchKind::Merge;
            bench.api.patch(&config_maps(), "default", &name, None, kind, patch).await.unwrap();
            bench.api.delete(&config_maps(), "default", &name, &DeleteOptions::default()).await.unwrap();
            for kind in [WatchEventKind::Added, WatchEventKind::Modified, WatchEventKind::Deleted] {
                expected.push((kind, name.clone()));
            }
        }
        let mut seen = Vec::new();
        let mut last = revision_of(&before);
        while seen.len() < expected.len() {
            let event = watch.next().await.unwrap().unwrap();
            if event.kind == WatchEventKind::Bookmark {
                continue;
            }
            assert!(revision_of(&event.object) > last, "{event:?}");
            last = revision_of(&event.object);
            seen.push((event.kind, event.object.metadata.name));
        }
        assert_eq!(seen, expected);
    });
}

#[test]
fn writers_that_meet_lose_no_change() {
    on_every_store(async |bench| {
        bench.create("counter", "0").await;
        let adds = (0..8).map(|_| async move {
            for _ in 0..5 {
                loop {
                    let mut counter = bench.api.get(&config_maps(), "default", "counter").await.unwrap();
                    let value: u32 = counter.str_at(&["data", "value"]).unwrap().parse().unwrap();
                    counter.set_at(&["data", "value"], json!((value + 1).to_string()));
                    match bench.api.replace(&config_maps(), &counter).await {
                        Ok(_) => break,
                        Err(error) => assert!(error.is_conflict(), "{error}"),
                    }
                }
            }
        });
        futures::future::join_all(adds).await;
        let counter = bench.api.get(&config_maps(), "default", "counter").await.unwrap();
        assert_eq!(counter.str_at(&["data", "value"]), Some("40"));
    });
}

#[test]
fn events_go_with_their_lease() {
    on_every_store(async |bench| {
        let events =
            resources().into_iter().find(|r| r.plural == "events" && r.gvk.group.is_empty()).unwrap();
        let event = json!({
            "apiVersion": events.gvk.api_version(), "kind": "Event",
            "metadata": {"name": "e", "namespace": "default"},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        });
        let event = Object::from_value(event).unwrap();
        bench.api.create(&events, &event).await.unwrap();
        let kvs = bench.store.range(RangeRequest::prefix("/registry/events/default/e")).await;
        assert_ne!(kvs[0].lease, 0);
        let kvs = bench.store.range(RangeRequest::prefix("/registry/namespaces/")).await;
        assert!(kvs.len() >= 4 && kvs.iter().all(|kv| kv.lease == 0), "{kvs:?}");
    });
}

#[test]
fn the_api_server_says_whether_its_store_answers() {
    on_every_store(async |bench| {
        let (code, body) = bench.api.raw(Method::GET, "/readyz/etcd", None).await.unwrap();
        assert_eq!((code, &body[..]), (200, &b"ok"[..]));
    });
}

#[test]
fn a_store_elsewhere_that_loses_its_leader_is_found_again() {
    run(Pace::Wall, 1, |world| async move {
        let (etcd, urls) = serve(&world).await;
        let bench = external(&world, urls).await;
        let before = bench.create("a", "1").await;
        let version = before.metadata.resource_version.as_str();
        let mut watch = bench.api.watch(&config_maps(), &in_default(), version).await.unwrap();
        let leader = etcd.leader().unwrap();
        etcd.kill(&leader).await.unwrap();
        let mut changed = before.clone();
        changed.set_at(&["data", "value"], json!("2"));
        let written = async {
            // What failed may have been done all the same; then the next try is a conflict.
            while bench.api.replace(&config_maps(), &changed).await.is_err_and(|error| !error.is_conflict()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), written).await.expect("the other two go on");
        let event = loop {
            let event = watch.next().await.unwrap().unwrap();
            if event.kind != WatchEventKind::Bookmark {
                break event;
            }
        };
        assert_eq!(event.object.str_at(&["data", "value"]), Some("2"));
        assert_eq!(world.bugs(), [""; 0]);
    });
}

#[test]
fn virtual_time_and_a_store_elsewhere_do_not_go_together() {
    run(Pace::Virtual, 1, |world| async move {
        let external =
            ExternalEtcd { endpoints: vec!["http://127.0.0.1:1".to_owned()], ..ExternalEtcd::default() };
        let error = Cluster::boot(&world, &spec(Some(external))).await.unwrap_err();
        assert!(matches!(error, BootError::Spec(_)));
        let told = "the cluster's spec: /etcd/external: an etcd elsewhere keeps real time: it goes with a live \
                    cluster only";
        assert_eq!(error.to_string(), told);
    });
}
