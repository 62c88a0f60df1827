//! The members together: boot, faults, status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use labkit_sim::{ComponentState, World};
use rand::Rng;
use rand::RngCore;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::election;
use crate::error::UnknownMember;
use crate::member::Member;
use crate::payload::Message;
use crate::peer::Peers;
use crate::raft::log::{Found, Log};
use crate::raft::machine::Machine;
use crate::raft::network::Links;
use crate::raft::{self, Node, Raft};
use crate::server;
use crate::wal::{Disk, Identity, SEGMENTS, Torn, WalError};

/// How the store is run. The defaults are etcd's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// 1, 3 or 5.
    pub members: u8,
    /// `--heartbeat-interval`: 100 ms.
    pub heartbeat_interval: Duration,
    /// `--election-timeout`: 1000 ms.
    pub election_timeout: Duration,
    /// `--snapshot-count`: 100,000, as in etcd 3.5.
    pub snapshot_count: u64,
    /// `--quota-backend-bytes`: 2 GiB. A store that has grown to it raises the alarm NOSPACE.
    pub quota_backend_bytes: i64,
    /// `--auto-compaction-mode` and `--auto-compaction-retention`: off.
    pub auto_compaction: Option<AutoCompaction>,
    /// The leader sends entries to the others while its own disk still writes them, as etcd does: on where each member
    /// is a process of its own. In a world, members do one thing after the other.
    pub syncs_in_parallel: bool,
}

/// What of its history a store forgets by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoCompaction {
    /// What is older.
    Periodic(Duration),
    /// All but the newest so many revisions.
    Revision(i64),
}

impl Default for EtcdConfig {
    fn default() -> EtcdConfig {
        EtcdConfig {
            members: 1,
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_millis(1000),
            snapshot_count: 100_000,
            quota_backend_bytes: 2 * 1024 * 1024 * 1024,
            auto_compaction: None,
            syncs_in_parallel: false,
        }
    }
}

/// What a member would say of itself. Of one that was killed, only name, id and state are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    pub name: String,
    pub id: u64,
    pub state: ComponentState,
    /// It leads, and a quorum answers it.
    pub is_leader: bool,
    /// The name of the leader that it knows.
    pub leader: Option<String>,
    /// What Raft has it for: `leader`, `follower`, `candidate` or `learner`; `down` when it was killed.
    pub role: &'static str,
    pub term: u64,
    /// The last index of its log.
    pub raft_index: u64,
    /// Up to where it knows the log to be committed.
    pub commit_index: u64,
    pub applied_index: u64,
    pub revision: i64,
    pub db_size: i64,
}

/// What the members share: the names of all, and the way to those that run.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub world: World,
    pub config: EtcdConfig,
    pub id: u64,
    peers: Mutex<Vec<Peer>>,
    running: Mutex<BTreeMap<u64, Arc<Member>>>,
    client_urls: Mutex<BTreeMap<u64, Vec<String>>>,
    /// Why members did not start the last time.
    failures: Mutex<BTreeMap<u64, String>>,
    exits: mpsc::UnboundedSender<Exit>,
    /// Set where every member is a process of its own.
    pub peers_elsewhere: Option<Box<dyn Peers>>,
}

/// How a member is found: its host's name, under which its links and its disk go.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub id: u64,
    pub name: Arc<str>,
    /// It was there when the cluster was founded.
    founder: bool,
    removed: bool,
}

/// A member's process ends by itself.
#[derive(Debug)]
pub(crate) struct Exit {
    pub id: u64,
    pub why: ExitReason,
}

#[derive(Debug)]
pub(crate) enum ExitReason {
    /// It is no member any more.
    Removed,
    /// What it must write it cannot: the disk's error.
    Failed(String),
}

/// Why a member did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error(transparent)]
    Raft(#[from] openraft::error::Fatal<u64>),
}

/// etcd's own part of a request's time-out; two elections come on top (`Config.ReqTimeout`).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

impl Cluster {
    fn new(world: &World, config: EtcdConfig, exits: mpsc::UnboundedSender<Exit>) -> Cluster {
        let mut ids = world.seed().stream("etcd/ids");
        let id = ids.next_u64();
        let founder =
            |n| Peer { id: ids.next_u64(), name: format!("etcd{n}").into(), founder: true, removed: false };
        let peers = Mutex::new((1..=config.members).map(founder).collect());
        let (running, client_urls) = (Mutex::default(), Mutex::default());
        Cluster {
            world: world.clone(),
            config,
            id,
            peers,
            running,
            client_urls,
            failures: Mutex::default(),
            exits,
            peers_elsewhere: None,
        }
    }

    /// A cluster of processes, of which this one is the member `own`: its id and its name.
    #[cfg(feature = "grpc")]
    pub fn of_process(
        world: &World,
        config: EtcdConfig,
        id: u64,
        own: (u64, &str),
        peers_elsewhere: Box<dyn Peers>,
        exits: mpsc::UnboundedSender<Exit>,
    ) -> Cluster {
        let own = Peer { id: own.0, name: own.1.into(), founder: false, removed: false };
        let cluster = Cluster::new(world, config, exits);
        Cluster { id, peers: Mutex::new(vec![own]), peers_elsewhere: Some(peers_elsewhere), ..cluster }
    }

    /// 7 s at the default election timeout.
    pub fn request_timeout(&self) -> Duration {
        REQUEST_TIMEOUT + 2 * self.config.election_timeout
    }

    fn all_peers(&self) -> MutexGuard<'_, Vec<Peer>> {
        self.peers.lock().expect("no panic happens under this lock")
    }

    /// The members that were not removed, in the order of their coming.
    pub fn peers(&self) -> Vec<Peer> {
        self.all_peers().iter().filter(|peer| !peer.removed).cloned().collect()
    }

    pub fn name_of(&self, id: u64) -> Arc<str> {
        let peers = self.all_peers();
        peers.iter().find(|peer| peer.id == id).map(|peer| peer.name.clone()).expect("ids are the members'")
    }

    /// A member, or one that was removed: that one cannot be started any more, and else nothing happens to it.
    pub fn peer(&self, name: &str) -> Result<Peer, UnknownMember> {
        let peers = self.all_peers();
        let named = || peers.iter().filter(|peer| *peer.name == *name);
        let found = named().find(|peer| !peer.removed).or_else(|| named().next());
        found.cloned().ok_or_else(|| UnknownMember(name.to_owned()))
    }

    /// Makes the host of a member that is added known. It is named as its first peer URL has it, or by its id
    /// where that name is taken.
    pub fn expect_peer(&self, id: u64, peer_urls: &[String]) {
        let host = peer_urls.first().map_or("", |url| host_of(url));
        let mut peers = self.all_peers();
        let taken = host.is_empty() || peers.iter().any(|peer| !peer.removed && *peer.name == *host);
        let name: Arc<str> = if taken { format!("{id:x}").into() } else { host.into() };
        if !self.is_distributed() {
            // A new member begins on an empty disk, also under the name of one that was removed.
            let disk = self.world.disk(&name);
            disk.files("").iter().for_each(|file| disk.remove(file));
        }
        peers.push(Peer { id, name, founder: false, removed: false });
    }

    pub fn forget_peer(&self, id: u64) {
        self.all_peers().iter_mut().filter(|peer| peer.id == id).for_each(|peer| peer.removed = true);
    }

    /// The member's present run, unless it was killed.
    pub fn running(&self, id: u64) -> Option<Arc<Member>> {
        self.running.lock().expect("no panic happens under this lock").get(&id).cloned()
    }

    fn all_running(&self) -> Vec<Arc<Member>> {
        self.running.lock().expect("no panic happens under this lock").values().cloned().collect()
    }

    pub fn set_client_urls(&self, id: u64, urls: Vec<String>) {
        self.client_urls.lock().expect("no panic happens under this lock").insert(id, urls);
    }

    pub fn client_urls_of(&self, id: u64) -> Vec<String> {
        let urls = self.client_urls.lock().expect("no panic happens under this lock");
        urls.get(&id).cloned().unwrap_or_default()
    }

    /// Starts a member from its disk. One that cannot use what it finds there ends again, and says why.
    async fn start(self: &Arc<Self>, peer: &Peer) {
        let disk = Disk::Simulated(self.world.disk(&peer.name));
        let founders = peer.founder.then(|| self.founders());
        self.locked_failures().remove(&peer.id);
        let identity = Identity { member_id: peer.id, cluster_id: self.id };
        let started = async {
            let found = Log::open(disk.clone(), identity, founders).await?;
            self.try_start(peer, disk.clone(), found).await
        };
        if let Err(error) = started.await {
            let reason = error.to_string();
            self.locked_failures().insert(peer.id, reason.clone());
            self.world.trace().record(&peer.name, &peer.name, Message::Exit { reason });
        }
    }

    fn locked_failures(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.failures.lock().expect("no panic happens under this lock")
    }

    /// Starts a member with the log that was found on its disk.
    pub async fn try_start(
        self: &Arc<Self>,
        peer: &Peer,
        disk: Disk,
        found: Found,
    ) -> Result<(), StartError> {
        let component = self.world.component(&peer.name);
        let exits = self.exits.clone();
        let member =
            Arc::new(Member::new(&self.world, component.clone(), peer.id, self.id, &self.config, exits));
        if let Some(torn) = found.torn {
            let Torn { file, offset, bytes } = torn;
            self.world.trace().record(&peer.name, &peer.name, Message::Repair { file, offset, bytes });
        }
        let machine = Machine::open(member.clone(), disk).await?;
        let log = found.log.gauges();
        if self.config.syncs_in_parallel {
            found.log.sync_in_parallel(&member.applied_state().membership);
        }
        let raft = component.run(async {
            let links = Links { cluster: self.clone(), member: member.clone() };
            Raft::new(peer.id, Arc::new(raft::config(&self.config)), links, found.log, machine).await
        });
        member.set_raft(raft.await?, log);
        let handle = member.clone();
        component.spawn(async move { handle.follow_raft().await });
        component.spawn(election::run(self.clone(), member.clone()));
        component.spawn(server::expire_leases(self.clone(), member.clone()));
        component.spawn(server::notify_progress(member.clone()));
        if self.config.auto_compaction.is_some() {
            component.spawn(server::compact_by_itself(self.clone(), member.clone()));
        }
        if !self.is_distributed() {
            component.spawn(server::compare_clocks(self.clone(), member.clone()));
        }
        if !peer.founder && !self.is_distributed() {
            component.spawn(server::publish(self.clone(), member.clone()));
        }
        self.running.lock().expect("no panic happens under this lock").insert(peer.id, member);
        self.world.network().set_down(&peer.name, false);
        Ok(())
    }

    fn founders(&self) -> BTreeMap<u64, Node> {
        let node = |peer: &Peer| Node {
            name: peer.name.to_string(),
            peer_urls: vec![format!("https://{}:2380", peer.name)],
        };
        self.all_peers().iter().filter(|peer| peer.founder).map(|peer| (peer.id, node(peer))).collect()
    }

    /// Ends a member's run as SIGKILL does.
    async fn kill(&self, peer: &Peer) {
        let Some(running) = self.running(peer.id) else { return };
        self.world.network().set_down(&peer.name, true);
        self.running.lock().expect("no panic happens under this lock").remove(&peer.id);
        running.component.kill().await;
    }
}

/// `etcd4` of `https://etcd4:2380`.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.rsplit_once(':').map_or(rest, |(host, _)| host)
}

/// Ends the members that end by themselves: nothing can end its own component.
async fn end_members(cluster: Weak<Cluster>, mut exits: mpsc::UnboundedReceiver<Exit>) {
    while let Some(Exit { id, why }) = exits.recv().await {
        let Some(cluster) = cluster.upgrade() else { return };
        let Some(peer) = cluster.peers().into_iter().find(|peer| peer.id == id) else { continue };
        match why {
            ExitReason::Removed => cluster.forget_peer(id),
            // Perhaps somebody has killed it meanwhile, and started it again.
            ExitReason::Failed(_) if cluster.running(id).is_none_or(|member| !member.has_ended()) => continue,
            ExitReason::Failed(reason) => {
                cluster.world.trace().record(&peer.name, &peer.name, Message::Exit { reason });
            }
        }
        cluster.kill(&peer).await;
    }
}

/// The store's members, at first etcd1 to etcdN, which are also the names of their components and disks. Clones
/// share it.
#[derive(Debug, Clone)]
pub struct Etcd {
    pub(crate) cluster: Arc<Cluster>,
}

impl Etcd {
    /// Starts the members. Returns when each of them knows the first leader.
    pub fn boot(world: &World, config: EtcdConfig) -> BoxFuture<'_, Etcd> {
        Box::pin(async move {
            let (exits, exited) = mpsc::unbounded_channel();
            let cluster = Arc::new(Cluster::new(world, config, exits));
            labkit_sim::spawn(end_members(Arc::downgrade(&cluster), exited));
            let peers = cluster.peers();
            for peer in &peers {
                cluster.start(peer).await;
            }
            // A founder stands for election at once; which one, the seed says.
            let founder = world.seed().stream("etcd/founder").gen_range(0..peers.len());
            if let Some(founder) = cluster.running(peers[founder].id) {
                let raft = founder.raft().clone();
                // A member that cannot stand has ended, and is found to be killed.
                let _ = founder.component.run(async move { raft.trigger().elect().await }).await;
            }
            for member in cluster.all_running() {
                member.wait_leader().await;
            }
            Etcd { cluster }
        })
    }

    /// Every member's status, sorted by name.
    pub fn members(&self) -> Vec<MemberStatus> {
        self.cluster.peers().iter().map(|peer| self.status_of(peer)).collect()
    }

    fn status_of(&self, peer: &Peer) -> MemberStatus {
        let (name, id) = (peer.name.to_string(), peer.id);
        let Some(member) = self.cluster.running(id) else {
            return MemberStatus {
                name,
                id,
                state: ComponentState::Killed,
                is_leader: false,
                leader: None,
                role: "down",
                term: 0,
                raft_index: 0,
                commit_index: 0,
                applied_index: 0,
                revision: 0,
                db_size: 0,
            };
        };
        let status = server::status(&member);
        MemberStatus {
            name,
            id,
            state: member.component.state(),
            is_leader: status.leader == id,
            leader: member.leader().id.map(|leader| self.cluster.name_of(leader).to_string()),
            role: member.role(),
            term: status.raft_term,
            raft_index: status.raft_index,
            commit_index: member.commit_index(),
            applied_index: status.raft_applied_index,
            revision: status.header.revision,
            db_size: status.db_size,
        }
    }

    /// The leader of the newest term among the members that run and are not paused.
    pub fn leader(&self) -> Option<String> {
        let leaders =
            self.members().into_iter().filter(|m| m.is_leader && m.state == ComponentState::Running);
        leaders.max_by_key(|member| member.term).map(|member| member.name)
    }

    /// Ends a member as SIGKILL does. Its disk survives.
    pub fn kill<'a>(&'a self, member: &'a str) -> BoxFuture<'a, Result<(), UnknownMember>> {
        Box::pin(async move {
            let peer = self.cluster.peer(member)?;
            self.cluster.kill(&peer).await;
            Ok(())
        })
    }

    /// Cuts a member's power: a kill, and what was not synced to its disk is gone.
    pub async fn power_off(&self, member: &str) -> Result<(), UnknownMember> {
        self.kill(member).await?;
        self.cluster.world.disk(member).power_loss();
        Ok(())
    }

    /// Flips a byte in the midst of a member's log on its disk, and says in which file and where. The member notices
    /// when it reads the log, at its next start, and does not come up.
    pub fn corrupt_log(&self, member: &str) -> Result<(String, usize), UnknownMember> {
        let peer = self.cluster.peer(member)?;
        let disk = self.cluster.world.disk(&peer.name);
        let file = disk.files(SEGMENTS).pop().unwrap_or_default();
        let offset = disk.read(&file).len() / 2;
        disk.corrupt(&file, offset);
        Ok((file, offset))
    }

    /// Starts a member that was killed, from its disk; or one that was added, which begins with an empty one.
    pub fn start<'a>(&'a self, member: &'a str) -> BoxFuture<'a, Result<(), UnknownMember>> {
        Box::pin(async move {
            let peer = self.cluster.peer(member)?;
            if !peer.removed && self.cluster.running(peer.id).is_none() {
                self.cluster.start(&peer).await;
            }
            Ok(())
        })
    }

    /// Why a member did not come up when it was started, if it did not: its log or its snapshot cannot be read.
    pub fn why_not_started(&self, member: &str) -> Option<String> {
        let peer = self.cluster.peer(member).ok()?;
        self.cluster.locked_failures().get(&peer.id).cloned()
    }

    /// Stops a member as SIGSTOP does.
    pub fn pause(&self, member: &str) -> Result<(), UnknownMember> {
        self.with_component(member, |component| component.pause())
    }

    /// Lets a paused member go on.
    pub fn resume(&self, member: &str) -> Result<(), UnknownMember> {
        self.with_component(member, |component| component.resume())
    }

    fn with_component(
        &self,
        member: &str,
        act: impl FnOnce(&labkit_sim::Component),
    ) -> Result<(), UnknownMember> {
        let peer = self.cluster.peer(member)?;
        if let Some(running) = self.cluster.running(peer.id) {
            act(&running.component);
        }
        Ok(())
    }

    /// A client, called `from` in the trace. It stays with one member, and goes on to the next when that one
    /// refuses, breaks off or does not answer.
    pub fn client(&self, from: &str) -> Client {
        Client::new(self.cluster.clone(), from, self.cluster.peers().iter().map(|peer| peer.id).collect())
    }

    /// A client of one member only.
    ///
    /// # Panics
    /// When there is no such member.
    pub fn client_of_member(&self, from: &str, member: &str) -> Client {
        let peer = self.cluster.peer(member).expect("the member is one of etcd1 to etcdN");
        Client::new(self.cluster.clone(), from, vec![peer.id])
    }

    /// Says at which URLs clients outside reach a member; `member list` shows them.
    pub fn set_client_urls(&self, member: &str, urls: Vec<String>) -> Result<(), UnknownMember> {
        let peer = self.cluster.peer(member)?;
        self.cluster.set_client_urls(peer.id, urls);
        Ok(())
    }
}
