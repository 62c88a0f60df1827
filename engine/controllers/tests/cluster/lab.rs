//! A cluster for tests: etcd, API server, controller managers, and stand-ins for scheduler and kubelets.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use labkit_api::UserInfo;
use labkit_apiserver::testing::{self, Backbone};
use labkit_client::{Change, Client, DeleteOptions, Informer, Kind, ListParams};
use labkit_controllers::ControllerManagerConfig;
use labkit_sim::{Component, World};
use serde_json::{Value, json};

/// How long a container takes to start, and to stop.
const STEP: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Lab {
    pub world: World,
    pub client: Client,
    backbone: Backbone,
}

/// Boots etcd and API server in virtual time and runs the test.
pub fn run<F: Future>(seed: u64, test: impl FnOnce(Lab) -> F) -> F::Output {
    testing::run(seed, |backbone| async move {
        test(Lab { world: backbone.world.clone(), client: backbone.client.clone(), backbone }).await
    })
}

impl Lab {
    pub fn client_of(&self, component: &str, user: &str) -> Client {
        self.backbone.client_of(component, UserInfo::new(user, &[]), user)
    }

    /// Starts a controller manager as component `controllerManager/<index>`.
    pub fn manager_with(&self, index: u8, config: ControllerManagerConfig) -> Component {
        let name = format!("controllerManager/{index}");
        let config = ControllerManagerConfig { identity: format!("master{index}_uuid"), ..config };
        let component = self.world.component(&name);
        let client = self.client_of(&name, "kube-controller-manager");
        component.spawn(labkit_controllers::run(client, config));
        component
    }

    pub fn manager(&self) -> Component {
        let config = ControllerManagerConfig {
            node_monitor_grace_period: Duration::from_secs(40),
            ..Default::default()
        };
        self.manager_with(0, config)
    }

    /// Starts stand-ins for a scheduler and for kubelets on `nodes` nodes, `worker1` and so on.
    pub async fn nodes(&self, nodes: usize) -> Vec<Component> {
        let mut kubelets = Vec::new();
        for index in 1..=nodes {
            kubelets.push(self.kubelet(index).await);
        }
        let component = self.world.component("scheduler/0");
        let client = self.client_of("scheduler/0", "kube-scheduler");
        component.spawn(schedule(client));
        kubelets
    }

    pub async fn kubelet(&self, index: usize) -> Component {
        let name = format!("worker{index}");
        let component = self.world.component(&format!("kubelet/{name}"));
        let client = self.client_of(&format!("kubelet/{name}"), "kubelet");
        let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
        let created = client.api::<Node>().create(&typed(node)).await;
        assert!(created.is_ok() || created.is_err_and(|error| error.is_already_exists()));
        component.spawn(heartbeat(client.clone(), name.clone()));
        component.spawn(run_pods(client, name, index));
        component
    }

    pub async fn create<K: Kind>(&self, object: Value) -> K {
        self.client.api::<K>().create(&typed(object)).await.unwrap()
    }

    pub async fn get<K: Kind>(&self, name: &str) -> Option<K> {
        let namespace = match K::resource().scope {
            labkit_api::Scope::Namespaced => "default",
            labkit_api::Scope::Cluster => "",
        };
        match self.client.api::<K>().get(namespace, name).await {
            Ok(object) => Some(object),
            Err(error) if error.is_not_found() => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn patch<K: Kind>(&self, name: &str, patch: Value) -> K {
        let namespace = match K::resource().scope {
            labkit_api::Scope::Namespaced => "default",
            labkit_api::Scope::Cluster => "",
        };
        self.client.api::<K>().patch(namespace, name, None, patch).await.unwrap()
    }

    pub async fn delete<K: Kind>(&self, name: &str, propagation: Option<&str>) {
        let options =
            DeleteOptions { propagation_policy: propagation.map(str::to_owned), ..DeleteOptions::default() };
        self.client.api::<K>().delete("default", name, &options).await.unwrap();
    }

    pub async fn list<K: Kind>(&self) -> Vec<K> {
        self.list_in("default").await
    }

    pub async fn list_in<K: Kind>(&self, namespace: &str) -> Vec<K> {
        let params = ListParams { namespace: namespace.to_owned(), ..ListParams::default() };
        let list = self.client.list(&K::resource(), &params).await.unwrap();
        list.items.into_iter().map(|object| K::from_value(&object.to_value()).unwrap()).collect()
    }

    pub async fn deployment(&self, name: &str, replicas: i32) -> Deployment {
        self.create(deployment(name, replicas)).await
    }

    pub async fn pods(&self) -> Vec<Pod> {
        self.list().await
    }

    /// Pods that are ready and not on their way out.
    pub async fn ready_pods(&self) -> usize {
        self.pods().await.iter().filter(|pod| is_ready(pod)).count()
    }

    pub async fn replica_sets(&self) -> Vec<ReplicaSet> {
        self.list().await
    }

    /// The messages of events with that reason, in the order in which they were written last.
    pub async fn events(&self, reason: &str) -> Vec<String> {
        let mut events: Vec<Event> = self.list_in("default").await;
        events.extend(self.list_in::<Event>("kube-system").await);
        events.sort_by_key(|event| {
            event.metadata.resource_version.as_ref().and_then(|version| version.parse::<u64>().ok())
        });
        let wanted = events.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
        wanted.filter_map(|event| event.message).collect()
    }

    /// Waits in virtual time until `holds`; returns when that was, since the world began.
    pub async fn until<F: Future<Output = bool>>(
        &self,
        within: Duration,
        what: &str,
        holds: impl Fn() -> F,
    ) -> Duration {
        let deadline = self.world.clock().elapsed() + within;
        loop {
            if holds().await {
                return self.world.clock().elapsed();
            }
            if self.world.clock().elapsed() > deadline {
                let pods: Vec<String> = self.pods().await.iter().map(summary).collect();
                let sets: Vec<String> =
                    self.replica_sets().await.iter().map(|set| set.metadata.name.clone().unwrap()).collect();
                panic!("not within {within:?}: {what}\npods {pods:#?}\nreplica sets {sets:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn available(&self, name: &str, replicas: i32) -> Duration {
        self.until(Duration::from_secs(60), &format!("{name} has {replicas} available"), || async {
            let Some(deployment) = self.get::<Deployment>(name).await else { return false };
            let status = deployment.status.unwrap_or_default();
            let counts = [status.replicas, status.updated_replicas, status.available_replicas];
            status.observed_generation == deployment.metadata.generation
                && counts.iter().all(|count| count.unwrap_or_default() == replicas)
        })
        .await
    }
}

pub fn typed<K: Kind>(value: Value) -> K {
    K::from_value(&value).unwrap()
}

pub fn deployment(name: &str, replicas: i32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
            },
        },
    })
}

pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub fn name<K: Kind>(object: &K) -> String {
    object.metadata().name.clone().unwrap()
}

pub fn image(pod: &Pod) -> String {
    pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap()
}

fn summary(pod: &Pod) -> String {
    let deleting = if pod.metadata.deletion_timestamp.is_some() { ", deleting" } else { "" };
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    format!("{} on {node:?} {} ready {}{deleting}", name(pod), image(pod), is_ready(pod))
}

/// Binds each pod to the next node that is ready and has no taint.
async fn schedule(client: Client) {
    let nodes = Informer::<Node>::start(&client, ListParams::default());
    nodes.synced().await;
    let waiting = ListParams { field_selector: "spec.nodeName=".to_owned(), ..ListParams::default() };
    let pods = Informer::<Pod>::start(&client, waiting);
    let mut changes = pods.subscribe();
    let mut turn = 0;
    while let Some(change) = changes.recv().await {
        let (Some(pod), None) = (&change.new, &change.old) else { continue };
        if pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let node = loop {
            let free: Vec<Arc<Node>> =
                nodes.store().list().into_iter().filter(|node| is_schedulable(node)).collect();
            if !free.is_empty() {
                turn += 1;
                break name(&*free[turn % free.len()]);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let body = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": change.key.name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
        let (namespace, name, resource) = (&change.key.namespace, &change.key.name, Pod::resource());
        let bind = client.create_subresource(&resource, namespace, name, "binding", body);
        let _the_pod_may_be_gone = labkit_sim::caused_by(change.cause, bind).await;
    }
}

fn is_schedulable(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && node.spec.as_ref().is_none_or(|spec| spec.taints.is_none())
}

/// Says that the node is ready and renews its lease every ten seconds.
async fn heartbeat(client: Client, node: String) {
    let now = || client.world().clock().now();
    let conditions: Vec<Value> =
        [("Ready", "True"), ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False")]
            .map(|(type_, status)| {
                let now = labkit_api::Time(now());
                json!({"type": type_, "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now})
            })
            .into();
    let status = json!({"status": {"conditions": conditions}});
    client.api::<Node>().patch("", &node, Some("status"), status).await.unwrap();
    loop {
        let leases = client.api::<Lease>();
        let renewed = now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let spec = json!({"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": renewed});
        let patch = leases.patch("kube-node-lease", &node, None, json!({"spec": spec})).await;
        if patch.is_err_and(|error| error.is_not_found()) {
            let lease = json!({"metadata": {"name": node, "namespace": "kube-node-lease"}, "spec": spec});
            leases.create(&typed(lease)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

/// Starts the node's pods and ends those that are to be deleted. Image `bad` never starts.
async fn run_pods(client: Client, node: String, index: usize) {
    let own = ListParams { field_selector: format!("spec.nodeName={node}"), ..ListParams::default() };
    let pods = Informer::<Pod>::start(&client, own);
    let mut changes = pods.subscribe();
    let mut addresses = 0;
    while let Some(change) = changes.recv().await {
        let Some(pod) = change.new.clone() else { continue };
        let was_deleting = change.old.as_ref().is_some_and(|old| old.metadata.deletion_timestamp.is_some());
        if pod.metadata.deletion_timestamp.is_some() {
            if !was_deleting {
                labkit_sim::spawn(stop(client.clone(), change));
            }
        } else if change.old.is_none() && image(&pod) != "bad" {
            addresses += 1;
            let ip = format!("10.244.{index}.{addresses}");
            labkit_sim::spawn(start(client.clone(), change, ip));
        }
    }
}

async fn start(client: Client, change: Change<Pod>, ip: String) {
    tokio::time::sleep(STEP).await;
    let now = labkit_api::Time(client.world().clock().now());
    let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": now});
    let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [ready]});
    let patch = json!({"status": status});
    let api = client.api::<Pod>();
    let patched = api.patch(&change.key.namespace, &change.key.name, Some("status"), patch);
    let _the_pod_may_be_gone = labkit_sim::caused_by(change.cause, patched).await;
}

async fn stop(client: Client, change: Change<Pod>) {
    tokio::time::sleep(STEP).await;
    let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    let api = client.api::<Pod>();
    let deleted = api.delete(&change.key.namespace, &change.key.name, &options);
    let _the_pod_may_be_gone = labkit_sim::caused_by(change.cause, deleted).await;
}
