//! Sockets for real clients: one TLS port per API server and per member of the store, on loopback unless
//! told otherwise. While a component is down nobody is served on its port.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_client::ApiServers;
use labkit_pki::{Authority, ClientAuth, LeafSpec, kubeconfig, server_config, server_config_for};
use labkit_sim::Pace;
use rustls::ServerConfig as TlsConfig;
use tokio::net::TcpListener;

use crate::cluster::{BootError, Cluster};
use crate::target::Target;

/// Where to listen.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    pub address: IpAddr,
    /// The API server's port or, where there are several, that of the load balancer; any free one without it.
    pub secure_port: Option<u16>,
    /// The members' ports, by name; any free one for those that are not named.
    pub etcd_ports: BTreeMap<String, u16>,
    /// The cluster's name in the kubeconfig.
    pub cluster_name: String,
    /// `--client-ca-file`: certificates, as PEM, whose clients the API servers know beside those of the cluster's own
    /// authority.
    pub client_ca_pem: String,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            secure_port: None,
            etcd_ports: BTreeMap::new(),
            cluster_name: "labkit".to_owned(),
            client_ca_pem: String::new(),
        }
    }
}

/// What a real client needs.
#[derive(Debug, Clone)]
pub struct Served {
    /// For `kubectl`; `None` without an API server.
    pub kubeconfig: Option<String>,
    pub api_server_url: Option<String>,
    /// Member and URL, for `etcdctl --endpoints`.
    pub etcd_endpoints: Vec<(String, String)>,
    pub etcd_ca_pem: String,
    pub etcd_cert_pem: String,
    pub etcd_key_pem: String,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("sockets need wall pace")]
    VirtualPace,
    #[error("the authorities of clients: {0}")]
    ClientCa(String),
    #[error(transparent)]
    Listen(#[from] BootError),
}

/// What was opened, so that it can be opened again.
#[derive(Debug)]
pub(crate) struct Serving {
    address: IpAddr,
    etcd_tls: Arc<TlsConfig>,
    etcd_ports: BTreeMap<String, u16>,
    api_tls: Arc<TlsConfig>,
    api_ports: BTreeMap<u8, u16>,
}

impl Cluster {
    /// Opens the ports of every component that has one.
    pub fn serve<'a>(&'a self, options: &'a ServeOptions) -> BoxFuture<'a, Result<Served, ServeError>> {
        Box::pin(async move {
            if self.world().clock().pace() != Pace::Wall {
                return Err(ServeError::VirtualPace);
            }
            let world = self.world();
            let names = |more: &[&str]| -> Vec<String> {
                let host = [options.address.to_string(), "127.0.0.1".to_owned(), "localhost".to_owned()];
                host.into_iter().chain(more.iter().map(|name| (*name).to_owned())).collect()
            };
            let etcd_ca = Authority::new(world, "etcd-ca");
            let etcd_leaf = etcd_ca.issue(&LeafSpec {
                common_name: "etcd".to_owned(),
                names: names(&[]),
                ..LeafSpec::default()
            });
            let etcd_client =
                etcd_ca.issue(&LeafSpec { common_name: "root".to_owned(), ..LeafSpec::default() });
            let ca = Authority::new(world, "kubernetes");
            let kubernetes = [
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
                &self.kubernetes_service_ip(),
            ];
            let leaf = ca.issue(&LeafSpec {
                common_name: "kube-apiserver".to_owned(),
                names: names(&kubernetes),
                ..LeafSpec::default()
            });
            let admin = ca.issue(&LeafSpec {
                common_name: "kubernetes-admin".to_owned(),
                organizations: vec!["kubeadm:cluster-admins".to_owned(), "system:masters".to_owned()],
                ..LeafSpec::default()
            });
            let serving = Serving {
                address: options.address,
                etcd_tls: server_config(&etcd_ca, &etcd_leaf, ClientAuth::Required, &["h2"]),
                etcd_ports: BTreeMap::new(),
                api_tls: server_config_for(
                    &ca,
                    &options.client_ca_pem,
                    &leaf,
                    ClientAuth::Optional,
                    &["h2", "http/1.1"],
                )
                .map_err(ServeError::ClientCa)?,
                api_ports: BTreeMap::new(),
            };
            *self.serving() = Some(serving);
            let replicas = self.spec().api_server.as_ref().map_or(0, |spec| spec.replicas);
            let front = match replicas {
                0 | 1 => None,
                _ => Some(self.open_balancer(options.secure_port.unwrap_or(0)).await?),
            };
            for target in &self.targets() {
                match target {
                    Target::Etcd(member) => {
                        let wanted = options.etcd_ports.get(member).copied().unwrap_or(0);
                        self.open_etcd(member, wanted).await?;
                    }
                    Target::ApiServer(index) => {
                        let wanted = options.secure_port.filter(|_| replicas == 1).unwrap_or(0);
                        self.open_api_server(*index, wanted).await?;
                    }
                    Target::ControllerManager(_)
                    | Target::Scheduler(_)
                    | Target::Kubelet(_)
                    | Target::Node(_) => {}
                }
            }
            let serving = self.serving();
            let serving = serving.as_ref().expect("set just above");
            let url = |port: &u16| format!("https://{}", SocketAddr::new(options.address, *port));
            let api_server_url = front.as_ref().or(serving.api_ports.get(&0)).map(url);
            Ok(Served {
                kubeconfig: api_server_url.as_ref().map(|server| {
                    kubeconfig(&options.cluster_name, server, ca.cert_pem(), "kubernetes-admin", &admin)
                }),
                api_server_url,
                etcd_endpoints: serving
                    .etcd_ports
                    .iter()
                    .map(|(member, port)| (member.clone(), url(port)))
                    .collect(),
                etcd_ca_pem: etcd_ca.cert_pem().to_owned(),
                etcd_cert_pem: etcd_client.cert_pem,
                etcd_key_pem: etcd_client.key_pem,
            })
        })
    }

    fn kubernetes_service_ip(&self) -> String {
        let spec = self.spec().api_server.clone().unwrap_or_default();
        let flags = labkit_apiserver::Flags::parse(&spec.flags).expect("the spec has no problems");
        flags.kubernetes_service_ip().expect("the spec has no problems").to_string()
    }

    /// Opens the port of the load balancer in front of several API servers. It is no component of the lab: no
    /// fault hits it.
    async fn open_balancer(&self, port: u16) -> Result<u16, BootError> {
        let (address, tls) = {
            let serving = self.serving();
            let serving = serving.as_ref().expect("ports are opened while serving");
            (serving.address, serving.api_tls.clone())
        };
        let (listener, port) = listen(address, port).await?;
        let (world, balancer) = (self.world().clone(), self.inner.balancer.clone());
        let balance = labkit_apiserver::edge::balance(world.clone(), move || balancer.pick(), listener, tls);
        world.component("loadBalancer").spawn(balance);
        Ok(port)
    }

    /// Opens an API server's port again, if it had one.
    pub(crate) async fn reopen_api_server(&self, index: u8) -> Result<(), BootError> {
        let port = self.serving().as_ref().and_then(|serving| serving.api_ports.get(&index).copied());
        match port {
            Some(port) => self.open_api_server(index, port).await,
            None => Ok(()),
        }
    }

    /// Opens the port of a member that was added since, if members have ports here.
    pub(crate) async fn open_added_member(&self, member: &str) -> Result<(), BootError> {
        let is_new = self.serving().as_ref().is_some_and(|serving| !serving.etcd_ports.contains_key(member));
        if is_new { self.open_etcd(member, 0).await } else { Ok(()) }
    }

    /// Opens a member's port for good: while the member is down, connections to it are closed at once.
    async fn open_etcd(&self, member: &str, port: u16) -> Result<(), BootError> {
        let (address, tls) = {
            let serving = self.serving();
            let serving = serving.as_ref().expect("ports are opened while serving");
            (serving.address, serving.etcd_tls.clone())
        };
        let (listener, port) = listen(address, port).await?;
        if let Some(serving) = self.serving().as_mut() {
            serving.etcd_ports.insert(member.to_owned(), port);
        }
        let url = format!("https://{}", SocketAddr::new(address, port));
        self.etcd().set_client_urls(member, vec![url]).expect("targets are members");
        labkit_etcd::grpc::serve(self.etcd(), member, listener, Some(tls))
            .await
            .expect("targets are members");
        Ok(())
    }

    async fn open_api_server(&self, index: u8, port: u16) -> Result<(), BootError> {
        let (address, tls) = {
            let serving = self.serving();
            let serving = serving.as_ref().expect("ports are opened while serving");
            (serving.address, serving.api_tls.clone())
        };
        let (listener, port) = listen(address, port).await?;
        if let Some(serving) = self.serving().as_mut() {
            serving.api_ports.insert(index, port);
        }
        let component =
            self.world().find(&Target::ApiServer(index).component()).expect("the server was started");
        let transport = self.inner.balancer.transport(index).expect("the server was started");
        component.spawn(labkit_apiserver::edge::serve(self.world().clone(), transport, listener, tls));
        Ok(())
    }

    fn serving(&self) -> std::sync::MutexGuard<'_, Option<Serving>> {
        self.inner.serving.lock().expect("no panic happens under this lock")
    }
}

async fn listen(address: IpAddr, port: u16) -> Result<(TcpListener, u16), BootError> {
    let failed = |error| BootError::Listen { port, error };
    let listener = TcpListener::bind(SocketAddr::new(address, port)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}
