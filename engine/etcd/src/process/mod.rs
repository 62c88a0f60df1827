//! One member as a process of its own: its files in a data directory, its peers and clients on sockets. Counterpart
//! of `embed/etcd.go`. Ids are etcd's: SHA-1 over peer URLs and the cluster's token.
//!
//! - [`transport`]: what members ask of each other, over TCP.
//! - [`tls`], [`url`]: what the flags name.

pub mod tls;
mod transport;
pub mod url;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_sim::World;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::cluster::{Cluster, Etcd, EtcdConfig, Exit, ExitReason, Peer, StartError};
use crate::grpc;
use crate::ids::{self, urls_text};
use crate::raft::Node;
use crate::raft::log::Log;
use crate::server;
use crate::wal::directory::Directory;
use crate::wal::{Disk, Identity, Torn, Wal, WalError};
use transport::Transport;

/// How a member is run.
#[derive(Debug, Clone)]
pub struct MemberConfig {
    pub name: String,
    pub data_dir: PathBuf,
    pub advertise_client_urls: Vec<String>,
    pub initial_advertise_peer_urls: Vec<String>,
    /// The peer URLs of each founder, or of the members there are, by name. Not read once there is data.
    pub initial_cluster: BTreeMap<String, Vec<String>>,
    pub initial_cluster_token: String,
    /// It joins a cluster that exists; else it founds one.
    pub joins: bool,
    /// Its number of members is taken from `initial_cluster`.
    pub etcd: EtcdConfig,
    pub peer_tls: tls::TlsFiles,
}

/// Sockets that were opened for a member.
#[derive(Debug)]
pub struct Listeners {
    pub peers: Vec<(TcpListener, bool)>,
    pub clients: Vec<(TcpListener, bool)>,
    pub client_tls: tls::TlsFiles,
}

/// Why a member did not start.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("couldn't find local name {0:?} in the initial cluster configuration")]
    NotInInitialCluster(String),
    #[error(
        "{name} has different advertised URLs in the cluster and advertised peer URLs list: {advertised} is not {initial}"
    )]
    OtherPeerUrls { name: String, advertised: String, initial: String },
    #[error("no member of the cluster answered at {0}")]
    NobodyToJoin(String),
    #[error(
        "the cluster has no member with the peer URLs {0}: it must be added first, with `etcdctl member add`"
    )]
    NotAdded(String),
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error("{0}")]
    Raft(String),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

impl From<StartError> for ProcessError {
    fn from(error: StartError) -> ProcessError {
        match error {
            StartError::Wal(error) => ProcessError::Wal(error),
            StartError::Raft(error) => ProcessError::Raft(error.to_string()),
        }
    }
}

/// How a member's run ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was removed from the cluster.
    Removed,
    /// It cannot go on: its disk's error.
    Failed(String),
}

/// A member that runs.
#[derive(Debug)]
pub struct Process {
    cluster: Arc<Cluster>,
    id: u64,
    exits: mpsc::UnboundedReceiver<Exit>,
    /// The last record of the log, if it was cut short: the file, from where on, and how many bytes.
    pub repaired: Option<(String, u64, u64)>,
}

/// A member's ids, and who founds the cluster with it.
struct Identified {
    id: u64,
    cluster_id: u64,
    founders: BTreeMap<u64, Node>,
}

impl Process {
    /// Starts a member from its data directory, or as a new one, and serves its peers and clients.
    pub fn start(
        world: &World,
        config: MemberConfig,
        listeners: Listeners,
    ) -> BoxFuture<'_, Result<Process, ProcessError>> {
        Box::pin(async move {
            // Nobody reads a trace here, and it would hold what it tells of.
            world.trace().keep(0);
            let disk = Disk::Directory(Directory::open(&config.data_dir)?);
            let mut urls = config.initial_cluster.values().flatten();
            let dials_tls = config.peer_tls.trusted_ca.is_some() || urls.any(|url| url.starts_with("https:"));
            let peer_tls = dials_tls.then(|| config.peer_tls.client()).transpose()?;
            let opened = Wal::open(disk.clone()).await?;
            let identified = match opened.as_ref().map(|(wal, _)| wal.identity) {
                Some(identity) => Identified {
                    id: identity.member_id,
                    cluster_id: identity.cluster_id,
                    founders: founders(&config).map(|(founders, _)| founders).unwrap_or_default(),
                },
                None if config.joins => join(&config, peer_tls.clone()).await?,
                None => found(&config)?,
            };
            let Identified { id, cluster_id, founders } = identified;
            let (exits, exited) = mpsc::unbounded_channel();
            let members = u8::try_from(config.initial_cluster.len()).unwrap_or(u8::MAX);
            let etcd = EtcdConfig { members, syncs_in_parallel: true, ..config.etcd.clone() };
            let transport = Box::new(Transport::new(cluster_id, peer_tls));
            let cluster = Cluster::of_process(world, etcd, cluster_id, (id, &config.name), transport, exits);
            let cluster = Arc::new(cluster);
            cluster.set_client_urls(id, config.advertise_client_urls.clone());
            let peer = cluster.peer(&config.name).expect("the cluster was made with it");
            let founders = Some(founders).filter(|founders| founders.contains_key(&id));
            let identity = Identity { member_id: id, cluster_id };
            let found = Log::resume(disk.clone(), opened, identity, founders).await?;
            let repaired = found.torn.clone().map(told);
            cluster.try_start(&peer, disk, found).await?;
            let process = Process { cluster, id, exits: exited, repaired };
            process.serve(&peer, listeners, &config).await?;
            Ok(process)
        })
    }

    async fn serve(
        &self,
        peer: &Peer,
        listeners: Listeners,
        config: &MemberConfig,
    ) -> Result<(), ProcessError> {
        let member = self.cluster.running(self.id).expect("it was just started");
        server::sharing::share(&self.cluster, &member);
        for (listener, is_tls) in listeners.peers {
            let tls = is_tls.then(|| config.peer_tls.server()).transpose()?;
            transport::serve(self.cluster.clone(), member.clone(), listener, tls);
        }
        let etcd = Etcd { cluster: self.cluster.clone() };
        for (listener, is_tls) in listeners.clients {
            let tls = is_tls.then(|| listeners.client_tls.server()).transpose()?;
            grpc::serve(&etcd, &peer.name, listener, tls).await.expect("the cluster was made with it");
        }
        member.component.spawn(server::publish(self.cluster.clone(), member.clone()));
        if member.voters().iter().eq([&self.id]) {
            let raft = member.raft().clone();
            // A member that cannot stand has ended, and says so.
            let _ = member.component.run(async move { raft.trigger().elect().await }).await;
        }
        Ok(())
    }

    pub fn member_id(&self) -> u64 {
        self.id
    }

    pub fn cluster_id(&self) -> u64 {
        self.cluster.id
    }

    /// A client of this member, within the process.
    pub fn client(&self, from: &str) -> Client {
        Client::new(self.cluster.clone(), from, vec![self.id])
    }

    /// Waits until the member knows a leader.
    pub fn wait_leader(&self) -> impl Future<Output = u64> + Send + use<> {
        let member = self.cluster.running(self.id).expect("only its end ends it");
        async move { member.wait_leader().await }
    }

    /// Waits for the member's end.
    pub async fn ended(&mut self) -> Ended {
        loop {
            match self.exits.recv().await {
                Some(Exit { id, why: ExitReason::Removed }) if id == self.id => return Ended::Removed,
                // Another member.
                Some(Exit { why: ExitReason::Removed, .. }) => {}
                Some(Exit { why: ExitReason::Failed(reason), .. }) => return Ended::Failed(reason),
                None => return Ended::Failed("the world has ended".to_owned()),
            }
        }
    }
}

fn told(Torn { file, offset, bytes }: Torn) -> (String, u64, u64) {
    (file, offset, bytes)
}

/// Where a listener of that URL is opened; names are resolved, as the first address says.
pub async fn address(url: &url::Url) -> std::io::Result<SocketAddr> {
    let mut found = tokio::net::lookup_host((url.host.as_str(), url.port)).await?;
    found.next().ok_or_else(|| std::io::Error::other(format!("{} has no address", url.host)))
}

/// The founders by id, and the cluster's id.
fn founders(config: &MemberConfig) -> Option<(BTreeMap<u64, Node>, u64)> {
    if config.joins {
        return None;
    }
    let node = |(name, urls): (&String, &Vec<String>)| {
        let id = ids::member_id(urls, &config.initial_cluster_token, None);
        (id, Node { name: name.clone(), peer_urls: urls.clone() })
    };
    let founders: BTreeMap<u64, Node> = config.initial_cluster.iter().map(node).collect();
    let cluster_id = ids::cluster_id(founders.keys().copied());
    Some((founders, cluster_id))
}

fn found(config: &MemberConfig) -> Result<Identified, ProcessError> {
    let name = &config.name;
    let urls = config.initial_cluster.get(name);
    let urls = urls.ok_or_else(|| ProcessError::NotInInitialCluster(name.clone()))?;
    let (advertised, initial) = (urls_text(&config.initial_advertise_peer_urls), urls_text(urls));
    if advertised != initial {
        return Err(ProcessError::OtherPeerUrls { name: name.clone(), advertised, initial });
    }
    let (founders, cluster_id) = founders(config).unwrap_or_default();
    let id = founders.iter().find(|(_, node)| node.name == *name).map(|(id, _)| *id);
    let id = id.ok_or_else(|| ProcessError::NotInInitialCluster(name.clone()))?;
    Ok(Identified { id, cluster_id, founders })
}

/// Asks the members that there are who this one is.
async fn join(
    config: &MemberConfig,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> Result<Identified, ProcessError> {
    let own = urls_text(&config.initial_advertise_peer_urls);
    let others = config.initial_cluster.iter().filter(|(name, _)| **name != config.name);
    let others: Vec<String> = others.flat_map(|(_, urls)| urls.clone()).collect();
    for url in &others {
        let asked = Transport::members(std::slice::from_ref(url), tls.clone());
        let Some((cluster_id, members)) = asked.await else { continue };
        let found = members.iter().find(|(_, urls)| urls_text(urls) == own);
        let (id, _) = found.ok_or_else(|| ProcessError::NotAdded(own.clone()))?;
        return Ok(Identified { id: *id, cluster_id, founders: BTreeMap::new() });
    }
    Err(ProcessError::NobodyToJoin(others.join(",")))
}
