//! Starting and ending one component's process.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use labkit_api::UserInfo;
use labkit_apiserver::{AuthorizationMode, EtcdClient, Flags, Server, ServerConfig};
use labkit_controllers::ControllerManagerConfig;
use labkit_etcd::grpc;
use labkit_node::Machine;
use labkit_scheduler::SchedulerConfig;
use labkit_sim::{Component, ComponentState, World};
use rand::RngCore;

use crate::cluster::{BootError, Cluster, Inner};
use crate::kubelet_ports::KubeletPorts;
use crate::pod_network::PodNetwork;
use crate::spec::ClusterSpec;
use crate::target::Target;

/// Starts a component's process; of a machine, its power and its kubelet.
pub(crate) async fn start(cluster: &Cluster, target: &Target) -> Result<(), BootError> {
    match target {
        Target::Etcd(member) => {
            cluster.etcd().start(member).await.expect("targets are members");
            cluster.open_added_member(member).await
        }
        Target::ApiServer(index) => start_api_server(cluster, *index).await,
        Target::ControllerManager(index) => {
            let spec = cluster.inner.spec.controller_manager.as_ref().expect("targets are in the spec");
            let mut config =
                ControllerManagerConfig::from_flags(&spec.flags).expect("the spec has no problems");
            let component = arise(&cluster.inner.world, target);
            config.identity = identity(&component, *index);
            config.has_rbac = has_rbac(&cluster.inner.spec);
            // As kubeadm sets it, where it makes a difference.
            let is_said = spec.flags.contains_key("use-service-account-credentials");
            config.use_service_account_credentials |= config.has_rbac && !is_said;
            let user = UserInfo::new("system:kube-controller-manager", &[]);
            component.spawn(labkit_controllers::run(cluster.client_as(component.name(), user), config));
            Ok(())
        }
        Target::Scheduler(index) => {
            let spec = cluster.inner.spec.scheduler.as_ref().expect("targets are in the spec");
            let mut config = SchedulerConfig::from_flags(&spec.flags).expect("the spec has no problems");
            let component = arise(&cluster.inner.world, target);
            config.identity = identity(&component, *index);
            let user = UserInfo::new("system:kube-scheduler", &[]);
            let client = cluster.client_as(component.name(), user);
            component.spawn(labkit_scheduler::run(client, config, cluster.inner.decisions.clone()));
            Ok(())
        }
        Target::Kubelet(node) => {
            let component = arise(&cluster.inner.world, target);
            let user = UserInfo::new(&format!("system:node:{node}"), &["system:nodes"]);
            let client = cluster.client_as(component.name(), user).with_user_agent("kubelet");
            component.spawn(labkit_node::run_kubelet(client, machine(cluster, node).clone()));
            Ok(())
        }
        Target::Node(node) => {
            machine(cluster, node).power_on();
            Box::pin(start(cluster, &Target::Kubelet(node.clone()))).await
        }
    }
}

/// Ends a component's process at once; of a machine, its power.
pub(crate) async fn end(cluster: &Cluster, target: &Target) {
    match target {
        Target::Etcd(member) => cluster.etcd().kill(member).await.expect("targets are members"),
        Target::Node(node) => {
            end_component(&cluster.inner.world, &Target::Kubelet(node.clone())).await;
            machine(cluster, node).power_off().await;
        }
        Target::ApiServer(index) => {
            cluster.inner.balancer.leave(*index);
            end_component(&cluster.inner.world, target).await;
        }
        Target::ControllerManager(_) | Target::Scheduler(_) | Target::Kubelet(_) => {
            end_component(&cluster.inner.world, target).await;
        }
    }
}

/// Whether the component's process runs or is paused.
pub(crate) fn is_up(cluster: &Cluster, target: &Target) -> bool {
    let killed = |state: ComponentState| state == ComponentState::Killed;
    match target {
        Target::Etcd(name) => {
            cluster.etcd().members().iter().any(|member| member.name == *name && !killed(member.state))
        }
        other => {
            cluster.inner.world.find(&other.component()).is_some_and(|component| !killed(component.state()))
        }
    }
}

async fn start_api_server(cluster: &Cluster, index: u8) -> Result<(), BootError> {
    let inner = &cluster.inner;
    let component = arise(&inner.world, &Target::ApiServer(index));
    let spec = inner.spec.api_server.as_ref().expect("targets are in the spec");
    let mut flags = Flags::parse(&spec.flags).expect("the spec has no problems");
    flags.access.static_tokens = spec.static_tokens.clone();
    let config = ServerConfig {
        etcd: etcd_client(inner, &component),
        kubelets: Arc::new(KubeletPorts { cluster: Arc::downgrade(&cluster.inner) }),
        backends: Arc::new(PodNetwork { cluster: Arc::downgrade(&cluster.inner) }),
        service_cluster_ip_range: flags.service_cluster_ip_range,
        event_ttl: flags.event_ttl,
        etcd_compaction_interval: flags.etcd_compaction_interval,
        public_address: address(&inner.spec, index),
        access: flags.access,
    };
    let server = component.run(Server::start(&inner.world, config)).await?;
    inner.balancer.join(index, component, server.transport());
    cluster.reopen_api_server(index).await
}

/// Where an API server is found within the cluster, if there are several.
fn address(spec: &ClusterSpec, index: u8) -> Option<(IpAddr, u16)> {
    let several = spec.api_server.as_ref().is_some_and(|spec| spec.replicas > 1);
    several.then(|| (Ipv4Addr::new(10, 0, 0, 1 + index).into(), 6443))
}

fn has_rbac(spec: &ClusterSpec) -> bool {
    let flags = spec.api_server.as_ref().and_then(|spec| Flags::parse(&spec.flags).ok());
    flags.is_some_and(|flags| flags.access.authorization_modes.contains(&AuthorizationMode::Rbac))
}

fn etcd_client(inner: &Inner, component: &Component) -> EtcdClient {
    if let Some(etcd) = &inner.etcd {
        return etcd.client(component.name()).into();
    }
    let external = inner.spec.etcd.as_ref().and_then(|etcd| etcd.external.as_ref());
    let endpoints = external.expect("a store is here or elsewhere").endpoints();
    EtcdClient::External(grpc::Client::new(component, &endpoints).expect("the spec has no problems"))
}

/// A new process of that component; its ports accept.
fn arise(world: &World, target: &Target) -> Component {
    let component = world.component(&target.component());
    world.network().set_down(component.name(), false);
    component
}

async fn end_component(world: &World, target: &Target) {
    if let Some(component) = world.find(&target.component()) {
        world.network().set_down(component.name(), true);
        component.kill().await;
    }
}

fn machine<'a>(cluster: &'a Cluster, node: &str) -> &'a Machine {
    cluster.inner.machines.get(node).expect("targets are in the spec")
}

/// The holder identity of a leader election: host name and a unique suffix, as upstream.
fn identity(component: &Component, index: u8) -> String {
    let suffix = component.random(|rng| rng.next_u64());
    format!("master{}_{suffix:016x}", index + 1)
}
