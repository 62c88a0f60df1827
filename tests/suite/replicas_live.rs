//! Three API servers behind the built-in load balancer, over TLS: a kill of any of them is felt by nobody for long.

use std::collections::VecDeque;

use labkit_cluster::spec::{ApiServerSpec, EtcdSpec};
use labkit_cluster::{ClusterSpec, Fault};
use labkit_tests::https::{Endpoint, Https};
use labkit_tests::live::live;
use serde_json::Value;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A watcher as clients are: where its server dies it goes on elsewhere from the last version it saw, and where that
/// server has forgotten it, it lists.
struct Watcher {
    connection: Https,
    last: i64,
    listed: VecDeque<String>,
}

impl Watcher {
    async fn new(endpoint: &Endpoint) -> Watcher {
        let connection = endpoint.connect().await.unwrap();
        let mut watcher = Watcher { connection, last: 0, listed: VecDeque::new() };
        watcher.list().await;
        watcher
    }

    async fn list(&mut self) {
        let list = self.connection.send("GET", CONFIG_MAPS, &[], b"").await.unwrap().json();
        let new = list["items"].as_array().unwrap().iter().filter(|item| version(item) > self.last);
        self.listed.extend(new.map(name));
        self.last = version(&list);
        self.watch().await;
    }

    async fn watch(&mut self) {
        let target = format!("{CONFIG_MAPS}?watch=true&resourceVersion={}", self.last);
        self.connection.watch(&target).await.unwrap();
    }

    /// The name of the next object.
    async fn next(&mut self, endpoint: &Endpoint) -> String {
        loop {
            if let Some(name) = self.listed.pop_front() {
                return name;
            }
            let line = self.connection.line().await;
            let event = line.map(|line| serde_json::from_slice::<Value>(&line).unwrap());
            match event {
                Ok(event) if event["type"] == "ADDED" => {
                    self.last = version(&event["object"]);
                    return name(&event["object"]);
                }
                Ok(event) => {
                    assert_eq!(event["object"]["reason"], "Expired", "{event}");
                    self.connection = endpoint.connect().await.unwrap();
                    self.list().await;
                }
                Err(_broken_off) => {
                    self.connection = endpoint.connect().await.unwrap();
                    self.watch().await;
                }
            }
        }
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

fn version(object: &Value) -> i64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[test]
fn the_load_balancer_leads_to_whoever_lives() {
    let spec = ClusterSpec {
        etcd: Some(EtcdSpec::default()),
        api_server: Some(ApiServerSpec { replicas: 3, ..ApiServerSpec::default() }),
        ..ClusterSpec::default()
    };
    live(spec, |live| async move {
        let endpoint = Endpoint::of(live.served.kubeconfig.as_deref().unwrap());
        let mut watcher = Watcher::new(&endpoint).await;
        for number in 0..9 {
            let victim = format!("apiServer/{}", number % 3);
            let injected = live.cluster.inject(&Fault::Kill(victim)).await.unwrap();
            let body = format!(r#"{{"metadata":{{"name":"c{number}"}}}}"#);
            // A connection that is made now leads to a server that lives.
            let mut client = endpoint.connect().await.unwrap();
            let created = client.send("POST", CONFIG_MAPS, &[], body.as_bytes()).await.unwrap();
            assert_eq!(created.code, 201, "{:?}", created.json());
            injected.heal().await.unwrap();
            assert_eq!(watcher.next(&endpoint).await, format!("c{number}"));
        }
        // With nobody there, a connection is closed; it is as if the port refused.
        let mut down = Vec::new();
        for index in 0..3 {
            down.push(live.cluster.inject(&Fault::Kill(format!("apiServer/{index}"))).await.unwrap());
        }
        assert!(endpoint.connect().await.is_err());
        for fault in down {
            fault.heal().await.unwrap();
        }
        let mut client = endpoint.connect().await.unwrap();
        let list = client.send("GET", CONFIG_MAPS, &[], b"").await.unwrap().json();
        assert_eq!(list["items"].as_array().unwrap().len(), 9);
    });
}
