//! A running control plane.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Node;
use labkit_api::UserInfo;
use labkit_api::duration::parse_duration;
use labkit_api::quantity::Quantity;
use labkit_client::{Client, Informer, ListParams};
use labkit_etcd::{Etcd, EtcdConfig};
use labkit_node::{Catalogue, Machine, NodeConfig};
use labkit_scheduler::Decisions;
use labkit_sim::{ComponentState, Pace, World};

use crate::balancer::Balancer;
use crate::metrics_server;
use crate::pod_network::PodNetwork;
use crate::process;
use crate::serve::Serving;
use crate::spec::{ClusterSpec, NodesSpec, SpecProblem};
use crate::target::Target;

/// How long a boot may take, in the world's time.
const BOOT_MAX: Duration = Duration::from_secs(60);

/// Why a cluster did not come up.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("the cluster's spec: {}", .0.iter().map(|problem| format!("{}: {}", problem.pointer, problem.message)).collect::<Vec<_>>().join("; "))]
    Spec(Vec<SpecProblem>),
    #[error("the API server did not start: {0}")]
    ApiServer(#[from] labkit_apiserver::StartError),
    #[error("not ready within {BOOT_MAX:?}: {0}")]
    NotReady(String),
    #[error("listen on port {port}: {error}")]
    Listen { port: u16, error: std::io::Error },
}

/// A component with its state, for `labkit status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentInfo {
    pub target: Target,
    pub state: ComponentState,
    /// `leader`, where one of several acts.
    pub role: Option<&'static str>,
}

/// A running control plane. Clones share it.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub world: World,
    pub spec: ClusterSpec,
    /// `None`: the store is elsewhere.
    pub etcd: Option<Etcd>,
    pub balancer: Balancer,
    pub machines: BTreeMap<String, Machine>,
    pub decisions: Decisions,
    /// Those of the boot.
    pub booted: Vec<Target>,
    pub serving: Mutex<Option<Serving>>,
    /// Set while the messages between the store's members are held.
    pub held: Mutex<Option<labkit_sim::RuleId>>,
}

impl Cluster {
    /// Boots what `spec` names and waits until it is ready: a leader elected, API servers serving, nodes Ready.
    pub fn boot<'a>(world: &'a World, spec: &'a ClusterSpec) -> BoxFuture<'a, Result<Cluster, BootError>> {
        Box::pin(async move {
            let mut problems = spec.problems();
            let external = spec.etcd.as_ref().and_then(|etcd| etcd.external.as_ref());
            if external.is_some() && world.clock().pace() == Pace::Virtual {
                problems.push(SpecProblem::new(
                    "/etcd/external",
                    "an etcd elsewhere keeps real time: it goes with a live cluster only",
                    "다른 곳의 etcd에서는 실제 시간이 흐릅니다: 실행 중인 클러스터에서만 쓸 수 있습니다",
                ));
            }
            if !problems.is_empty() {
                return Err(BootError::Spec(problems));
            }
            let etcd = match external {
                Some(_) => None,
                None => Some(Etcd::boot(world, etcd_config(spec)).await),
            };
            let machines = machines(world, spec);
            let booted = targets(spec, etcd.as_ref());
            let inner = Inner {
                world: world.clone(),
                spec: spec.clone(),
                etcd,
                balancer: Balancer::default(),
                machines,
                decisions: Decisions::default(),
                booted,
                serving: Mutex::default(),
                held: Mutex::default(),
            };
            let cluster = Cluster { inner: Arc::new(inner) };
            for machine in cluster.inner.machines.values() {
                machine.set_outside(Arc::new(PodNetwork { cluster: Arc::downgrade(&cluster.inner) }));
            }
            for target in &cluster.inner.booted {
                // Members are up already; a machine's power is on, and its kubelet is a target of its own.
                if !matches!(target, Target::Etcd(_) | Target::Node(_)) {
                    process::start(&cluster, target).await?;
                }
            }
            if spec.api_server.as_ref().is_some_and(|spec| spec.replicas > 1) {
                let checks = cluster.inner.balancer.clone().check_health();
                world.component("loadBalancerHealth").spawn(checks);
            }
            let ready = tokio::time::timeout(BOOT_MAX, cluster.nodes_ready()).await;
            ready.map_err(|_| BootError::NotReady("the nodes".to_owned()))?;
            if spec.metrics_server.is_some() {
                let client = cluster.client("cluster").expect("a spec without problems has an API server");
                let installer = world.component(client.from());
                let installed = installer.run(metrics_server::install(&client)).await;
                installer.kill().await;
                installed.map_err(|error| BootError::NotReady(format!("the metrics server: {error}")))?;
            }
            Ok(cluster)
        })
    }

    pub fn world(&self) -> &World {
        &self.inner.world
    }

    pub fn spec(&self) -> &ClusterSpec {
        &self.inner.spec
    }

    /// The store's members.
    ///
    /// # Panics
    /// When the store is elsewhere ([`crate::spec::ExternalEtcd`]), which no lab's is.
    pub fn etcd(&self) -> &Etcd {
        self.inner.etcd.as_ref().expect("the store is in this world")
    }

    /// A client of the store; `from` is its name in the trace. Panics as [`Cluster::etcd`] does.
    pub fn etcd_client(&self, from: &str) -> labkit_etcd::Client {
        self.etcd().client(from)
    }

    /// A client of the API server as the cluster's administrator; `from` is its name in the trace.
    /// `None` in a cluster without an API server.
    pub fn client(&self, from: &str) -> Option<Client> {
        self.inner.spec.api_server.as_ref()?;
        let admin = UserInfo::new("kubernetes-admin", &["kubeadm:cluster-admins", "system:masters"]);
        Some(self.client_as(from, admin))
    }

    /// A client of the API server as any user.
    pub(crate) fn client_as(&self, from: &str, user: UserInfo) -> Client {
        Client::new(&self.inner.world, from, user, from, Arc::new(self.inner.balancer.clone()))
    }

    /// What the scheduler decided, plugin by plugin.
    pub fn decisions(&self) -> &Decisions {
        &self.inner.decisions
    }

    pub fn machine(&self, node: &str) -> Option<&Machine> {
        self.inner.machines.get(node)
    }

    /// Every component: the store's members as of now, and whatever else was booted, in the order of the boot.
    pub fn targets(&self) -> Vec<Target> {
        let members = self.inner.etcd.as_ref().map_or_else(Vec::new, Etcd::members);
        let members = members.into_iter().map(|member| Target::Etcd(member.name));
        let others = self.inner.booted.iter().filter(|target| !matches!(target, Target::Etcd(_)));
        members.chain(others.cloned()).collect()
    }

    /// Every component with its present state.
    pub fn components(&self) -> Vec<ComponentInfo> {
        let members = self.inner.etcd.as_ref().map_or_else(Vec::new, Etcd::members);
        let info = |target: &Target| {
            let member = members.iter().find(|member| Target::Etcd(member.name.clone()) == *target);
            let found = self.inner.world.find(&target.component());
            ComponentInfo {
                target: target.clone(),
                state: member.map_or_else(
                    || found.map_or(ComponentState::Killed, |component| component.state()),
                    |member| member.state,
                ),
                role: member.filter(|member| member.is_leader).map(|_| "leader"),
            }
        };
        self.targets().iter().map(info).collect()
    }

    /// Waits until every node is Ready and, if there is somebody to say so, fit for pods.
    async fn nodes_ready(&self) {
        if self.inner.machines.is_empty() {
            return;
        }
        let watcher = self.inner.world.component("cluster");
        let client = self.client(watcher.name()).expect("nodes have an API server");
        watcher
            .run(async {
                let nodes = Informer::<Node>::start(&client, ListParams::default());
                let mut changes = nodes.subscribe();
                while nodes.store().list().iter().filter(|node| self.is_fit(node)).count()
                    < self.inner.machines.len()
                {
                    changes.recv().await.expect("the informer lives as long as its handle");
                }
            })
            .await;
        watcher.kill().await;
    }

    fn is_fit(&self, node: &Node) -> bool {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        let ready = conditions.is_some_and(|conditions| {
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        });
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        let tainted = taints
            .is_some_and(|taints| taints.iter().any(|taint| taint.key == "node.kubernetes.io/not-ready"));
        ready && (!tainted || self.inner.spec.controller_manager.is_none())
    }
}

fn etcd_config(spec: &ClusterSpec) -> EtcdConfig {
    let etcd = spec.etcd.as_ref().expect("a spec without problems names etcd");
    let duration =
        |text: &str| parse_duration(text).expect("a spec without problems has durations that parse");
    EtcdConfig {
        members: etcd.members,
        heartbeat_interval: duration(&etcd.heartbeat_interval),
        election_timeout: duration(&etcd.election_timeout),
        ..EtcdConfig::default()
    }
}

fn machines(world: &World, spec: &ClusterSpec) -> BTreeMap<String, Machine> {
    let Some(nodes) = &spec.nodes else { return BTreeMap::new() };
    let mut catalogue = Catalogue::builtin();
    catalogue.0.extend(spec.images.clone());
    let machine = |number: u8| {
        let config = node_config(nodes, number);
        (config.name.clone(), Machine::new(world, config, catalogue.clone()))
    };
    (1..=nodes.count).map(machine).collect()
}

fn node_config(nodes: &NodesSpec, number: u8) -> NodeConfig {
    let canonical =
        |text: &str| Quantity::parse(text).expect("a spec without problems has quantities").to_string();
    NodeConfig {
        name: format!("worker{number}"),
        cpu: canonical(&nodes.cpu),
        memory: canonical(&nodes.memory),
        internal_ip: Ipv4Addr::new(10, 0, 0, 10 + number),
        pod_cidr: format!("10.244.{number}.0/24"),
        ..NodeConfig::default()
    }
}

fn targets(spec: &ClusterSpec, etcd: Option<&Etcd>) -> Vec<Target> {
    let members = etcd.map_or_else(Vec::new, Etcd::members);
    let members = members.into_iter().map(|member| Target::Etcd(member.name));
    let servers = (0..spec.api_server.as_ref().map_or(0, |spec| spec.replicas)).map(Target::ApiServer);
    let managers =
        (0..spec.controller_manager.as_ref().map_or(0, |spec| spec.replicas)).map(Target::ControllerManager);
    let schedulers = (0..spec.scheduler.as_ref().map_or(0, |spec| spec.replicas)).map(Target::Scheduler);
    let nodes =
        (1..=spec.nodes.as_ref().map_or(0, |spec| spec.count)).map(|number| format!("worker{number}"));
    let nodes = nodes.flat_map(|node| [Target::Node(node.clone()), Target::Kubelet(node)]);
    members.chain(servers).chain(managers).chain(schedulers).chain(nodes).collect()
}
