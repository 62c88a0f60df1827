//! etcd and one API server, for the tests of the crates that are its clients, and what fuzzing wants to reach
//! (feature `testing`).

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use labkit_api::{Status, UserInfo};
use labkit_client::{ApiServers, Body, Client, PortRequest, Request, Response, Session, Transport};
use labkit_etcd::{Etcd, EtcdConfig};
use labkit_sim::{Component, Pace, World};
use tokio::sync::mpsc;

use crate::custom::Served;
use crate::query::Query;
use crate::request_info::{self, Target};
use crate::{Backends, KubeletError, Kubelets, LogRequest, Server, ServerConfig, SessionRequest};

/// A world with a store and an API server, and the administrator's client. Clones share it.
#[derive(Debug, Clone)]
pub struct Backbone {
    pub world: World,
    pub client: Client,
    servers: Arc<OneServer>,
}

#[derive(Debug)]
struct OneServer(Component, Transport);

impl ApiServers for OneServer {
    fn pick(&self) -> Option<(Component, Transport)> {
        Some((self.0.clone(), self.1.clone()))
    }
}

#[derive(Debug)]
struct NoLogs;

impl Kubelets for NoLogs {
    fn container_logs(&self, node: &str, _: LogRequest) -> BoxFuture<'static, Result<Body, Status>> {
        let error = Status::internal(format!("no kubelet on {node}"));
        Box::pin(async move { Err(error) })
    }

    fn open_session(
        &self,
        node: &str,
        _: SessionRequest,
    ) -> BoxFuture<'static, Result<Session, KubeletError>> {
        let error = no_kubelet(node);
        Box::pin(async move { Err(error) })
    }

    fn pod_ports(
        &self,
        node: &str,
        _: &str,
        _: &str,
    ) -> BoxFuture<'static, Result<mpsc::Sender<PortRequest>, KubeletError>> {
        let error = no_kubelet(node);
        Box::pin(async move { Err(error) })
    }
}

impl Backends for NoLogs {
    fn request(
        &self,
        address: IpAddr,
        port: u16,
        _: Request,
    ) -> BoxFuture<'static, Result<Response, String>> {
        Box::pin(async move { Err(format!("dial tcp {address}:{port}: connect: no route to host")) })
    }

    fn healthz(&self, component: &str) -> BoxFuture<'static, Result<(), String>> {
        let error = format!("no {component}");
        Box::pin(async move { Err(error) })
    }
}

fn no_kubelet(node: &str) -> KubeletError {
    KubeletError::Dial { address: format!("{node}:10250"), why: "connect: connection refused" }
}

/// Boots both in virtual time, runs the test, and sees that no component had a bug.
pub fn run<F: Future>(seed: u64, test: impl FnOnce(Backbone) -> F) -> F::Output {
    labkit_sim::run(Pace::Virtual, seed, |world| async move {
        let output = test(Backbone::boot(&world).await).await;
        assert_eq!(world.bugs(), [""; 0]);
        output
    })
}

impl Backbone {
    async fn boot(world: &World) -> Backbone {
        let etcd = Etcd::boot(world, EtcdConfig { members: 1, ..EtcdConfig::default() }).await;
        let component = world.component("apiServer/0");
        let config = ServerConfig {
            etcd: etcd.client("apiServer/0").into(),
            kubelets: Arc::new(NoLogs),
            backends: Arc::new(NoLogs),
            service_cluster_ip_range: "10.96.0.0/12".to_owned(),
            event_ttl: Duration::from_secs(3600),
            etcd_compaction_interval: Duration::from_secs(300),
            public_address: None,
            access: crate::Access::default(),
        };
        let server = component.run(Server::start(world, config)).await.expect("the store is up");
        let servers = Arc::new(OneServer(component, server.transport()));
        let admin = UserInfo::new("kubernetes-admin", &["system:masters"]);
        let client = Client::new(world, "kubectl", admin, "kubectl", servers.clone());
        Backbone { world: world.clone(), client, servers }
    }

    /// A client of its own for a component.
    pub fn client_of(&self, component: &str, user: UserInfo, agent: &str) -> Client {
        Client::new(&self.world, component, user, agent, self.servers.clone())
    }
}

/// Where a request's line leads in the API.
#[derive(Debug)]
pub struct Route {
    pub verb: &'static str,
    pub resource: &'static str,
    pub namespace: String,
    pub name: String,
}

/// Reads a request's line; `None` where it is refused or leads to no resource.
pub fn route(method: &str, target: &str) -> Option<Route> {
    let method = http::Method::from_bytes(method.as_bytes()).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match request_info::parse(&method, path, &Query::parse(Some(query)), &Served::default()).ok()? {
        Target::Path(_) => None,
        Target::Resource(info) => Some(Route {
            verb: info.verb.as_str(),
            resource: info.kind.plural,
            namespace: info.namespace,
            name: info.name,
        }),
    }
}
