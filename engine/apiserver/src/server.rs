//! The server: the way of a request as one list of lines.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use labkit_api::{Resource, Status, Verb};
use labkit_client::{ReadInServer, Request, Response, Transport};
use labkit_sim::World;

use crate::aggregation::{self, Aggregation};
use crate::allocate::Addresses;
use crate::authz::Attributes;
use crate::backends::Backends;
use crate::endpoint_lease::EndpointLease;
use crate::finish::Wishes;
use crate::flags::Access;
use crate::guard::Guard;
use crate::kinds::{KINDS, component_statuses};
use crate::kubelets::Kubelets;
use crate::query::Query;
use crate::registry::Registry;
use crate::request_info::{self, Target};
use crate::storage::lease::Leases;
use crate::storage::{EtcdClient, Store};
use crate::verbs::{self, Call};
use crate::{bootstrap, compaction, custom, negotiate, paths, respond};

/// What one API server is started with.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// A client that speaks as this server's component.
    pub etcd: EtcdClient,
    pub kubelets: Arc<dyn Kubelets>,
    pub backends: Arc<dyn Backends>,
    /// `--service-cluster-ip-range`; kubeadm's is `10.96.0.0/12`.
    pub service_cluster_ip_range: String,
    /// `--event-ttl`; 1 h.
    pub event_ttl: Duration,
    /// `--etcd-compaction-interval`; 5 min. Zero: never.
    pub etcd_compaction_interval: Duration,
    /// Its address among several servers, for the endpoints of `default/kubernetes`; `None` for a server that is
    /// alone, at 10.0.0.1:6443.
    pub public_address: Option<(IpAddr, u16)>,
    /// Who may come in and what they may do.
    pub access: Access,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("invalid service cluster IP range {0:?}: want an IPv4 range such as 10.96.0.0/12")]
    ServiceClusterIpRange(String),
    #[error("unable to make the default objects: {0}")]
    DefaultObjects(Status),
    #[error("a server starts within the scope of a component")]
    NoComponent,
}

/// `--request-timeout`: a request that etcd does not answer is given up then.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The address of a server that is alone.
const ALONE: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 6443);

/// One API server. Clones share it.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) registry: Arc<Registry>,
    guard: Arc<Guard>,
    kubelets: Arc<dyn Kubelets>,
}

impl Server {
    /// Starts one API server in the caller's component scope. Returns when it is ready: the caches that every
    /// control plane reads have listed, and the default namespaces are made.
    pub fn start(world: &World, config: ServerConfig) -> BoxFuture<'_, Result<Server, StartError>> {
        Box::pin(async move {
            let component = labkit_sim::current_component().ok_or(StartError::NoComponent)?;
            let range = config.service_cluster_ip_range;
            let addresses = Addresses::parse(&range).ok_or(StartError::ServiceClusterIpRange(range))?;
            let store = Store::new(config.etcd.with_deadline(REQUEST_TIMEOUT));
            let leases = Leases::new(config.event_ttl);
            let registry = Arc::new(Registry::new(
                world,
                component,
                store,
                addresses,
                leases,
                Aggregation::new(config.backends),
            ));
            registry.follow_eager_kinds().await;
            let (_, port) = config.public_address.unwrap_or(ALONE);
            let made = async {
                bootstrap::make_default_objects(&registry, port).await?;
                let Some(address) = config.public_address else {
                    return bootstrap::make_endpoints(&registry, ALONE).await;
                };
                let mut lease = EndpointLease::new(registry.clone(), address);
                lease.reconcile().await?;
                registry.component.spawn(lease.run());
                Ok(())
            };
            made.await.map_err(StartError::DefaultObjects)?;
            let guard = Arc::new(Guard::new(config.access, registry.clone()));
            if guard.has_rbac() {
                bootstrap::make_default_roles(&registry).await.map_err(StartError::DefaultObjects)?;
            }
            if !config.etcd_compaction_interval.is_zero() {
                let compaction = compaction::run(registry.store.clone(), config.etcd_compaction_interval);
                registry.component.spawn(compaction);
            }
            Ok(Server { registry, guard, kubelets: config.kubelets })
        })
    }

    /// The server as a service, to be called in its component's scope.
    pub fn transport(&self) -> Transport {
        let server = self.clone();
        Transport::new(tower::service_fn(move |request: Request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.handle(request).await) }
        }))
    }

    /// Carries a request out. Every failure is an answer: a Status.
    pub fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(async move {
            let wishes = Wishes::of(&request);
            let accepted = request.headers().get(http::header::ACCEPT).cloned();
            let answer = self.chain(request).await;
            wishes.grant(answer.unwrap_or_else(|status| {
                let headers = accepted.map(|accepted| (http::header::ACCEPT, accepted)).into_iter().collect();
                respond::status(negotiate::status_encoding(&headers), &status)
            }))
        })
    }

    async fn chain(&self, request: Request) -> Result<Response, Status> {
        let query = Query::parse(request.uri().query());
        let served = custom::served::served(&self.registry, request.uri().path()).await;
        if let Some(remote) = served.remote_at(request.uri().path()) {
            return aggregation::proxy::pass(&self.guard, remote, request, &query).await;
        }
        let target = request_info::parse(request.method(), request.uri().path(), &query, &served)?;
        let user = self.guard.authenticate(&request).await?;
        let (parts, body) = request.into_parts();
        match target {
            Target::Path(path) => {
                let attributes = || Attributes::of_path(&user, &parts.method, parts.uri.path());
                self.guard.authorize(attributes)?;
                paths::serve(&self.guard, &served, &parts, &path, &query).await
            }
            Target::Resource(info) => {
                let mut query = query;
                if info.verb == Verb::Watch && !info.name.is_empty() {
                    query.select_name(&info.name);
                }
                self.guard.authorize(|| Attributes::of_resource(&user, &info, &query))?;
                if info.verb == Verb::Create && served.is_terminating(info.kind) {
                    let why = "create not allowed while custom resource definition is terminating";
                    return Err(Status::failure(405, "MethodNotAllowed", why));
                }
                let is_deprecated = std::ptr::eq(info.kind, &component_statuses::KIND);
                let warning = match info.kind.custom {
                    Some(custom) => custom.warning.clone(),
                    None => is_deprecated.then(|| component_statuses::WARNING.to_owned()),
                };
                let guard = self.guard.clone();
                let (registry, kubelets) = (self.registry.clone(), self.kubelets.clone());
                let call = Call {
                    registry,
                    kubelets,
                    guard,
                    info: *info,
                    query,
                    headers: parts.headers,
                    body,
                    user,
                    is_read_here: parts.extensions.get::<ReadInServer>().is_some(),
                };
                let answer = verbs::dispatch(call).await?;
                Ok(respond::warn(answer, warning.as_slice()))
            }
        }
    }
}

/// Every resource whose objects are stored, from the one list of kinds.
pub fn resources() -> Vec<Resource> {
    KINDS.iter().filter(|kind| kind.is_stored()).map(|kind| kind.resource()).collect()
}
