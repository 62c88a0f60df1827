//! What reaches pods, and what pods reach, over links of the world: API servers that pass requests on, and programs in
//! containers that ask API servers and kubelets.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use labkit_api::UserInfo;
use labkit_apiserver::Backends;
use labkit_client::{Client, Request, Response};
use labkit_node::{Outside, ResourceMetrics};
use labkit_sim::ComponentState;
use tokio::sync::oneshot;

use crate::cluster::Inner;
use crate::kubelet_ports::KubeletPorts;
use crate::target::Target;

/// How long a dial may take: Go's transport of the API server.
const DIAL_MAX: Duration = Duration::from_secs(30);

/// The network of a cluster's pods.
#[derive(Debug)]
pub(crate) struct PodNetwork {
    /// Weak: the cluster owns what owns this.
    pub cluster: Weak<Inner>,
}

impl Backends for PodNetwork {
    fn request(
        &self,
        address: IpAddr,
        port: u16,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, String>> {
        let cluster = self.cluster.upgrade();
        Box::pin(async move {
            let failed = |why: &str| format!("dial tcp {address}:{port}: {why}");
            let unreachable = || failed("connect: no route to host");
            let IpAddr::V4(own) = address else { return Err(unreachable()) };
            let inner = cluster.ok_or_else(unreachable)?;
            let server = labkit_sim::current_component().ok_or_else(unreachable)?;
            let mut machines = inner.machines.values();
            let machine = machines.find(|machine| machine.has_pod_at(own)).ok_or_else(unreachable)?.clone();
            let node = inner.world.find(&Target::Node(machine.config().name.clone()).component());
            let node = node.filter(|node| node.state() != ComponentState::Killed).ok_or_else(unreachable)?;
            let (answer, answered) = oneshot::channel();
            let (world, there) = (inner.world.clone(), node.clone());
            node.spawn(async move {
                let network = world.network();
                if network.pass(server.name(), there.name()).await.is_err() {
                    return;
                }
                let found = machine.http(own, port, request).await;
                if network.pass(there.name(), server.name()).await.is_ok() {
                    let _the_server_may_be_gone = answer.send(found);
                }
            });
            match tokio::time::timeout(DIAL_MAX, answered).await {
                Ok(Ok(Some(response))) => Ok(response),
                Ok(Ok(None)) => Err(failed("connect: connection refused")),
                Ok(Err(_)) => Err(unreachable()),
                Err(_) => Err(failed("i/o timeout")),
            }
        })
    }

    fn healthz(&self, component: &str) -> BoxFuture<'static, Result<(), String>> {
        let is_scheduler = component == "scheduler";
        let port = if is_scheduler { SCHEDULER } else { CONTROLLER_MANAGER };
        let states: Vec<ComponentState> = self.cluster.upgrade().map_or_else(Vec::new, |inner| {
            let own = inner.booted.iter().filter(|target| match target {
                Target::Scheduler(_) => is_scheduler,
                Target::ControllerManager(_) => !is_scheduler,
                _ => false,
            });
            own.filter_map(|target| Some(inner.world.find(&target.component())?.state())).collect()
        });
        let failed = |why: &str| Err(format!("Get \"https://127.0.0.1:{port}/healthz\": {why}"));
        let health = if states.contains(&ComponentState::Running) {
            Ok(())
        } else if states.contains(&ComponentState::Paused) {
            failed("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
        } else {
            failed(&format!("dial tcp 127.0.0.1:{port}: connect: connection refused"))
        };
        Box::pin(async move { health })
    }
}

const SCHEDULER: u16 = 10259;
const CONTROLLER_MANAGER: u16 = 10257;

impl Outside for PodNetwork {
    fn client(&self, from: &str, user: UserInfo) -> Option<Client> {
        let inner = self.cluster.upgrade()?;
        Some(Client::new(&inner.world, from, user, from, Arc::new(inner.balancer.clone())))
    }

    fn resource_metrics(&self, node: &str) -> BoxFuture<'static, Result<ResourceMetrics, String>> {
        KubeletPorts { cluster: self.cluster.clone() }.resource_metrics(node)
    }
}
