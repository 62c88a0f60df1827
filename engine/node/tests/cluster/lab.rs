//! A cluster for tests: etcd, API server, scheduler, nodes.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use labkit_api::{Object, ObjectKey, UserInfo};
use labkit_apiserver::testing::{self, Backbone};
use labkit_client::{Client, DeleteOptions, Kind, ListParams};
use labkit_node::{Catalogue, Image, Machine, NodeConfig};
use labkit_scheduler::{Decisions, SchedulerConfig};
use labkit_sim::{Payload, Record, World};
use serde_json::{Value, json};

#[derive(Clone)]
pub struct Lab {
    pub world: World,
    pub client: Client,
    pub decisions: Decisions,
    backbone: Backbone,
    machines: Arc<Mutex<BTreeMap<String, Machine>>>,
}

/// Boots etcd, API server, scheduler and `nodes` nodes, and runs the test.
pub fn run<F: Future>(seed: u64, nodes: u8, test: impl FnOnce(Lab) -> F) -> F::Output {
    run_with(seed, nodes, BTreeMap::new(), test)
}

/// The same with images of the test's own.
pub fn run_with<F: Future>(
    seed: u64,
    nodes: u8,
    images: BTreeMap<String, Image>,
    test: impl FnOnce(Lab) -> F,
) -> F::Output {
    testing::run(seed, |backbone| async move {
        let (world, client) = (backbone.world.clone(), backbone.client.clone());
        let lab = Lab { world, client, decisions: Decisions::default(), backbone, machines: Arc::default() };
        lab.start_scheduler();
        for number in 1..=nodes {
            lab.add_machine(number, &images);
            lab.start_kubelet(&format!("worker{number}"));
        }
        lab.until("the nodes are registered", async |lab| lab.list("Node").await.len() == usize::from(nodes))
            .await;
        test(lab).await
    })
}

impl Lab {
    fn start_scheduler(&self) {
        let component = self.world.component("scheduler/0");
        let user = UserInfo::new("system:kube-scheduler", &[]);
        let client = self.backbone.client_of("scheduler/0", user, "kube-scheduler");
        let config = SchedulerConfig { leader_elect: false, ..SchedulerConfig::default() };
        component.spawn(labkit_scheduler::run(client, config, self.decisions.clone()));
    }

    fn add_machine(&self, number: u8, images: &BTreeMap<String, Image>) {
        let mut catalogue = Catalogue::builtin();
        catalogue.0.extend(images.clone());
        let config = NodeConfig {
            name: format!("worker{number}"),
            internal_ip: Ipv4Addr::new(10, 0, 0, 10 + number),
            pod_cidr: format!("10.244.{number}.0/24"),
            ..NodeConfig::default()
        };
        let machine = Machine::new(&self.world, config, catalogue);
        self.machines.lock().unwrap().insert(format!("worker{number}"), machine);
    }

    pub fn machine(&self, node: &str) -> Machine {
        self.machines.lock().unwrap()[node].clone()
    }

    pub fn start_kubelet(&self, node: &str) {
        let name = format!("kubelet/{node}");
        let component = self.world.component(&name);
        let user = UserInfo::new(&format!("system:node:{node}"), &["system:nodes"]);
        component.spawn(labkit_node::run_kubelet(
            self.backbone.client_of(&name, user, "kubelet"),
            self.machine(node),
        ));
    }

    pub async fn kill_kubelet(&self, node: &str) {
        self.world.find(&format!("kubelet/{node}")).unwrap().kill().await;
    }

    /// Creates the pod default/`name` with that spec.
    pub async fn pod(&self, name: &str, spec: Value) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec});
        self.client.create(&Pod::resource(), &Object::from_value(pod).unwrap()).await.unwrap();
    }

    /// A pod of one container named `c`, changed by the JSON that is laid over the container.
    pub async fn container(&self, name: &str, image: &str, over: Value) {
        let mut container = json!({"name": "c", "image": image});
        labkit_api::patch::merge_patch(&mut container, &over);
        self.pod(name, json!({"containers": [container]})).await;
    }

    /// The pod as JSON; null when there is none.
    pub async fn get(&self, name: &str) -> Value {
        match self.client.get(&Pod::resource(), "default", name).await {
            Ok(pod) => pod.to_value(),
            Err(error) if error.is_not_found() => Value::Null,
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn list(&self, kind: &str) -> Vec<Value> {
        let resource = match kind {
            "Node" => k8s_openapi::api::core::v1::Node::resource(),
            "Lease" => k8s_openapi::api::coordination::v1::Lease::resource(),
            "Event" => Event::resource(),
            _ => Pod::resource(),
        };
        let list = self.client.list(&resource, &ListParams::default()).await.unwrap();
        list.items.iter().map(Object::to_value).collect()
    }

    pub async fn node(&self, name: &str) -> Value {
        let resource = k8s_openapi::api::core::v1::Node::resource();
        self.client.get(&resource, "", name).await.unwrap().to_value()
    }

    pub async fn delete(&self, name: &str, grace: Option<i64>) {
        let options = DeleteOptions { grace_period_seconds: grace, ..DeleteOptions::default() };
        self.client.delete(&Pod::resource(), "default", name, &options).await.unwrap();
    }

    /// The events about an object, oldest first, as `reason: message`.
    pub async fn events(&self, about: &str) -> Vec<String> {
        let mut events = self.list("Event").await;
        events.retain(|event| event["involvedObject"]["name"] == about);
        let version = |event: &Value| -> u64 {
            let name = event["metadata"]["name"].as_str().unwrap();
            u64::from_str_radix(name.rsplit('.').next().unwrap(), 16).unwrap()
        };
        events.sort_by_key(|event| (event["firstTimestamp"].to_string(), version(event)));
        let text = |event: &Value| {
            format!("{}: {}", event["reason"].as_str().unwrap(), event["message"].as_str().unwrap())
        };
        events.iter().map(text).collect()
    }

    /// Waits for a condition, at most an hour of virtual time.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Lab) -> bool) {
        for _ in 0..72_000 {
            if holds(self).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("an hour has passed, and still not: {what}");
    }

    /// Waits until the pod's only container is ready.
    pub async fn until_ready(&self, name: &str) {
        self.until(&format!("{name} is ready"), async |lab| {
            lab.get(name).await["status"]["containerStatuses"][0]["ready"] == true
        })
        .await;
    }

    /// The records of that kind, oldest first.
    pub fn records(&self, kind: &str) -> Vec<Record> {
        self.world.trace().records().into_iter().filter(|record| record.payload.kind() == kind).collect()
    }

    /// The last decision on default/`name`.
    pub fn decision(&self, name: &str) -> Option<labkit_scheduler::Decision> {
        self.decisions.of(&ObjectKey::new("default", name))
    }
}

/// A field of a record's payload.
pub fn field(record: &Record, name: &str) -> Value {
    let payload: &dyn Payload = &*record.payload;
    payload.fields()[name].clone()
}

/// The status of a condition of a pod or a node.
pub fn condition(object: &Value, type_: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default()
}

impl Lab {
    /// Adds an ephemeral container to a pod.
    pub async fn add_ephemeral(&self, name: &str, container: Value) {
        let patch = json!({"spec": {"ephemeralContainers": [container]}});
        let pods = self.client.api::<Pod>();
        pods.patch("default", name, Some("ephemeralcontainers"), patch).await.unwrap();
    }

    pub async fn patch_node(&self, name: &str, patch: Value) {
        self.client.api::<k8s_openapi::api::core::v1::Node>().patch("", name, None, patch).await.unwrap();
    }
}
