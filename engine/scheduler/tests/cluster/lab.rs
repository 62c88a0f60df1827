//! A control plane for tests: etcd, API server, schedulers, and nodes that are only objects.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use labkit_api::{ObjectKey, UserInfo};
use labkit_apiserver::testing::{self, Backbone};
use labkit_client::{Client, Decode, Kind, ListParams};
use labkit_scheduler::{Decision, Decisions, SchedulerConfig};
use labkit_sim::{Component, Record, World};
use serde_json::{Value, json};

#[derive(Clone)]
pub struct Lab {
    pub world: World,
    pub client: Client,
    decisions: Decisions,
    backbone: Backbone,
}

/// Boots etcd and API server and runs the test.
pub fn run<F: Future>(seed: u64, test: impl FnOnce(Lab) -> F) -> F::Output {
    testing::run(seed, |backbone| async move {
        let (world, client) = (backbone.world.clone(), backbone.client.clone());
        test(Lab { world, client, decisions: Decisions::default(), backbone }).await
    })
}

impl Lab {
    /// A scheduler without a rival.
    pub fn alone(&self) -> SchedulerConfig {
        SchedulerConfig { leader_elect: false, ..SchedulerConfig::default() }
    }

    pub fn scheduler(&self, index: u8, config: SchedulerConfig) -> Component {
        let name = format!("scheduler/{index}");
        let component = self.world.component(&name);
        let user = UserInfo::new("system:kube-scheduler", &[]);
        let client = self.backbone.client_of(&name, user, "kube-scheduler");
        component.spawn(labkit_scheduler::run(client, config, self.decisions.clone()));
        component
    }

    /// A node of 4 CPUs and 8 GiB, changed by the JSON that is laid over it.
    pub async fn node(&self, name: &str, over: Value) {
        let mut node = json!({"metadata": {"name": name},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}});
        labkit_api::patch::merge_patch(&mut node, &over);
        self.client.api::<Node>().create(&Node::from_value(&node).unwrap()).await.unwrap();
    }

    /// The pod default/`name`; what is given is laid over its container.
    pub async fn pod(&self, name: &str, over: Value) {
        let mut container = json!({"name": "c", "image": "nginx"});
        labkit_api::patch::merge_patch(&mut container, &over);
        let pod =
            json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}});
        self.client.api::<Pod>().create(&Pod::from_value(&pod).unwrap()).await.unwrap();
    }

    pub async fn bound_to(&self, name: &str) -> Option<String> {
        self.client.api::<Pod>().get("default", name).await.unwrap().spec?.node_name
    }

    pub async fn until_bound(&self, name: &str) {
        for _ in 0..6000 {
            if self.bound_to(name).await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} has no node after five minutes");
    }

    pub async fn events(&self, about: &str) -> Vec<String> {
        let list = self.client.list(&Event::resource(), &ListParams::default()).await.unwrap();
        let about = |event: &&labkit_api::Object| event.str_at(&["involvedObject", "name"]) == Some(about);
        let text = |event: &labkit_api::Object| {
            format!("{}: {}", event.str_at(&["reason"]).unwrap(), event.str_at(&["message"]).unwrap())
        };
        list.items.iter().filter(about).map(text).collect()
    }

    /// Who holds the lease.
    pub async fn leader(&self) -> String {
        let lease = self.client.api::<Lease>().get("kube-system", "kube-scheduler").await.unwrap();
        lease.spec.unwrap().holder_identity.unwrap()
    }

    pub fn decision(&self, name: &str) -> Option<Decision> {
        self.decisions.of(&ObjectKey::new("default", name))
    }

    pub fn records(&self, kind: &str) -> Vec<Record> {
        self.world.trace().records().into_iter().filter(|record| record.payload.kind() == kind).collect()
    }
}

/// Whether a record is about a pod's binding.
pub fn is_binding(record: &Record) -> bool {
    record.payload.fields()["target"].as_str().is_some_and(|target| target.ends_with("/binding"))
}
