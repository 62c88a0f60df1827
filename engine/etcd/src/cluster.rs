//! The members together: boot, faults, status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_sim::{ComponentState, World};
use rand::Rng;
use rand::RngCore;

use crate::api::MemberInfo;
use crate::client::Client;
use crate::election;
use crate::error::UnknownMember;
use crate::member::Member;
use crate::raft::log::Log;
use crate::raft::machine::Machine;
use crate::raft::network::Links;
use crate::raft::{self, Raft};
use crate::server;

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
}

impl Default for EtcdConfig {
    fn default() -> EtcdConfig {
        EtcdConfig {
            members: 1,
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_millis(1000),
            snapshot_count: 100_000,
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
    pub term: u64,
    pub raft_index: u64,
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
    /// In the order of their names.
    pub peers: Vec<Peer>,
    running: Mutex<BTreeMap<u64, Arc<Member>>>,
    client_urls: Mutex<BTreeMap<u64, Vec<String>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub id: u64,
    pub name: String,
}

/// etcd's own part of a request's time-out; two elections come on top (`Config.ReqTimeout`).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

impl Cluster {
    fn new(world: &World, config: EtcdConfig) -> Cluster {
        let mut ids = world.seed().stream("etcd/ids");
        let id = ids.next_u64();
        let peers =
            (1..=config.members).map(|n| Peer { id: ids.next_u64(), name: format!("etcd{n}") }).collect();
        let (running, client_urls) = (Mutex::default(), Mutex::default());
        Cluster { world: world.clone(), config, id, peers, running, client_urls }
    }

    /// 7 s at the default election timeout.
    pub fn request_timeout(&self) -> Duration {
        REQUEST_TIMEOUT + 2 * self.config.election_timeout
    }

    pub fn name_of(&self, id: u64) -> &str {
        self.peers
            .iter()
            .find(|peer| peer.id == id)
            .map(|peer| peer.name.as_str())
            .expect("ids are the members'")
    }

    pub fn peer(&self, name: &str) -> Result<&Peer, UnknownMember> {
        self.peers.iter().find(|peer| peer.name == name).ok_or_else(|| UnknownMember(name.to_owned()))
    }

    pub fn peers_of(&self, id: u64) -> impl Iterator<Item = u64> {
        self.peers.iter().map(|peer| peer.id).filter(move |peer| *peer != id)
    }

    /// The member's present run, unless it was killed.
    pub fn running(&self, id: u64) -> Option<Arc<Member>> {
        self.running.lock().expect("no panic happens under this lock").get(&id).cloned()
    }

    fn all_running(&self) -> Vec<Arc<Member>> {
        self.running.lock().expect("no panic happens under this lock").values().cloned().collect()
    }

    pub fn member_infos(&self) -> Vec<MemberInfo> {
        let urls = self.client_urls.lock().expect("no panic happens under this lock");
        let mut members: Vec<MemberInfo> = self
            .peers
            .iter()
            .map(|peer| MemberInfo {
                id: peer.id,
                name: peer.name.clone(),
                peer_urls: vec![format!("https://{}:2380", peer.name)],
                client_urls: urls.get(&peer.id).cloned().unwrap_or_default(),
                is_learner: false,
            })
            .collect();
        members.sort_by_key(|member| member.id);
        members
    }

    /// Starts a member from its disk.
    async fn start(self: &Arc<Self>, peer: &Peer) {
        let component = self.world.component(&peer.name);
        let member = Arc::new(Member::new(&self.world, component.clone(), peer.id, self.id, &self.config));
        let raft = component.run(async {
            let links = Links { cluster: self.clone(), member: member.clone() };
            let log = Log::open(member.disk());
            let machine = Machine::open(member.clone());
            Raft::new(peer.id, Arc::new(raft::config(&self.config)), links, log, machine).await
        });
        member.set_raft(raft.await.expect("what a member wrote to its disk it can read"));
        let handle = member.clone();
        component.spawn(async move { handle.follow_raft().await });
        component.spawn(election::run(self.clone(), member.clone()));
        component.spawn(server::expire_leases(self.clone(), member.clone()));
        component.spawn(server::notify_progress(member.clone()));
        self.running.lock().expect("no panic happens under this lock").insert(peer.id, member);
        self.world.network().set_down(&peer.name, false);
    }
}

/// The store's members, named etcd1 to etcdN, which are also the names of their components and disks. Clones
/// share it.
#[derive(Debug, Clone)]
pub struct Etcd {
    pub(crate) cluster: Arc<Cluster>,
}

impl Etcd {
    /// Starts the members. Returns when each of them knows the first leader.
    pub async fn boot(world: &World, config: EtcdConfig) -> Etcd {
        let cluster = Arc::new(Cluster::new(world, config));
        for peer in &cluster.peers {
            cluster.start(peer).await;
        }
        // A founder stands for election at once; which one, the seed says.
        let founder = world.seed().stream("etcd/founder").gen_range(0..cluster.peers.len());
        let voters: BTreeMap<u64, ()> = cluster.peers.iter().map(|peer| (peer.id, ())).collect();
        if let Some(founder) = cluster.running(cluster.peers[founder].id) {
            let founded = founder.component.clone();
            let raft = founder.raft().clone();
            let initialized = founded.run(async move { raft.initialize(voters).await }).await;
            initialized.expect("an empty log can be initialized");
        }
        for member in cluster.all_running() {
            member.wait_leader().await;
        }
        Etcd { cluster }
    }

    /// Every member's status, sorted by name.
    pub fn members(&self) -> Vec<MemberStatus> {
        self.cluster.peers.iter().map(|peer| self.status_of(peer)).collect()
    }

    fn status_of(&self, peer: &Peer) -> MemberStatus {
        let (name, id) = (peer.name.clone(), peer.id);
        let Some(member) = self.cluster.running(id) else {
            return MemberStatus {
                name,
                id,
                state: ComponentState::Killed,
                is_leader: false,
                leader: None,
                term: 0,
                raft_index: 0,
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
            leader: member.leader().id.map(|leader| self.cluster.name_of(leader).to_owned()),
            term: status.raft_term,
            raft_index: status.raft_index,
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
    pub async fn kill(&self, member: &str) -> Result<(), UnknownMember> {
        let peer = self.cluster.peer(member)?;
        let Some(running) = self.cluster.running(peer.id) else { return Ok(()) };
        self.cluster.world.network().set_down(member, true);
        self.cluster.running.lock().expect("no panic happens under this lock").remove(&peer.id);
        running.component.kill().await;
        Ok(())
    }

    /// Cuts a member's power: a kill, and what was not synced to its disk is gone.
    pub async fn power_off(&self, member: &str) -> Result<(), UnknownMember> {
        self.kill(member).await?;
        self.cluster.world.disk(member).power_loss();
        Ok(())
    }

    /// Starts a member that was killed, from its disk.
    pub async fn start(&self, member: &str) -> Result<(), UnknownMember> {
        let peer = self.cluster.peer(member)?;
        if self.cluster.running(peer.id).is_none() {
            self.cluster.start(peer).await;
        }
        Ok(())
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
        Client::new(self.cluster.clone(), from, self.cluster.peers.iter().map(|peer| peer.id).collect())
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
        self.cluster.client_urls.lock().expect("no panic happens under this lock").insert(peer.id, urls);
        Ok(())
    }
}
