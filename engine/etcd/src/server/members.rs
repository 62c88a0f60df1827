//! Changes of the membership, and of who leads. Counterpart of `etcdserver/server.go` from `AddMember` on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use labkit_sim::caused_by;
use openraft::ChangeMembers;
use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};

use super::{Patience, Server};
use crate::admin::{MemberChange, MemberChangeResponse};
use crate::api::{Answer, MemberInfo, Request, Response, ResponseHeader};
use crate::cluster::Cluster;
use crate::error::EtcdError;
use crate::ids;
use crate::member::Member;
use crate::payload::{self, Message, deliver};
use crate::peer::{Call, Reply};
use crate::raft::{Command, Node};

/// Every voter must have been connected for so long before the membership grows (`HealthInterval`).
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// A learner that has that part of the leader's log is in sync with it (`readyPercent`).
const READY: f64 = 0.9;
/// `maxLearners`.
const LEARNERS_MAX: usize = 1;

impl Server {
    pub(super) fn member_infos(&self) -> Vec<MemberInfo> {
        let mut members = self.member.members();
        let unpublished = |member: &&mut MemberInfo| !member.name.is_empty() && member.client_urls.is_empty();
        for member in members.iter_mut().filter(unpublished) {
            member.client_urls = self.cluster.client_urls_of(member.id);
        }
        members
    }

    /// Has the leader change the membership, and waits until this member has heard of it.
    pub(super) async fn change_members(&self, change: MemberChange) -> Answer {
        let change = match change {
            MemberChange::Add { peer_urls, .. } | MemberChange::Update { peer_urls, .. }
                if !peer_urls.iter().all(|url| is_url(url)) || peer_urls.is_empty() =>
            {
                return Err(EtcdError::MemberBadUrls);
            }
            change => change,
        };
        let id = self.in_time(self.change_in_the_end(&change)).await?;
        let members = self.member_infos();
        Ok(Response::Member(MemberChangeResponse { header: ResponseHeader::default(), id, members }))
    }

    /// Asks until a leader answers. Returns the id of the member that it was about.
    async fn change_in_the_end(&self, change: &MemberChange) -> Result<u64, EtcdError> {
        let mut unanswered = false;
        loop {
            let leader = self.leader().await?;
            let changed = self.ask_change_of(leader, change).await;
            match (changed, change) {
                // A leader that is removed takes its answer along.
                (Some(Err(EtcdError::MemberNotFound)), MemberChange::Remove { id }) if unanswered => {
                    return Ok(*id);
                }
                (Some(Ok((id, _))), MemberChange::Remove { .. }) if id == self.member.id => return Ok(id),
                (Some(Ok((id, index))), _) => {
                    self.member.wait_applied(index).await;
                    return Ok(id);
                }
                (Some(Err(error)), _) => return Err(error),
                (None, _) => unanswered = true,
            }
            tokio::time::sleep(self.cluster.config.heartbeat_interval / 2).await;
        }
    }

    /// The leader's answer: whom it was about, and where in the log the change is. `None` when it could not be
    /// asked or does not lead.
    async fn ask_change_of(
        &self,
        leader: u64,
        change: &MemberChange,
    ) -> Option<Result<(u64, u64), EtcdError>> {
        if leader == self.member.id {
            return change_as_leader(&self.cluster, &self.member, change.clone()).await;
        }
        if self.cluster.is_distributed() {
            return match self.cluster.ask(&self.member, leader, Call::Change(change.clone())).await? {
                Reply::Change(changed) => changed,
                _ => None,
            };
        }
        let network = self.cluster.world.network();
        let name = self.cluster.name_of(leader);
        let request = Request::Member(change.clone());
        let (_, response) = payload::names(&request);
        let sent = deliver(network, &self.member.name, &name, &payload::request(&request)).await.ok()?;
        let leader = self.cluster.running(leader)?;
        let (cluster, at_leader, change) = (self.cluster.clone(), leader.clone(), change.clone());
        let changed = leader.component.spawn(caused_by(Some(sent), async move {
            change_as_leader(&cluster, &at_leader, change).await
        }));
        let changed = changed.await.ok()??;
        let done = changed.clone().map(|_| Response::Done(ResponseHeader::default()));
        let message = payload::answer(response, &done);
        caused_by(Some(sent), deliver(network, &name, &self.member.name, &message)).await.ok()?;
        Some(changed)
    }

    /// Hands leadership over: the leader appends nothing new until the chosen one has the whole log, then tells it to
    /// stand at once.
    pub(super) async fn move_leader(&self, target: u64) -> Answer {
        if self.member.leader().id != Some(self.member.id) {
            return Err(EtcdError::NotLeader);
        }
        if !self.member.voters().contains(&target) {
            return Err(EtcdError::BadLeaderTransferee);
        }
        if target != self.member.id {
            self.member.set_hands_over(true);
            let handed = self.in_time(self.hand_leadership_to(target)).await;
            self.member.set_hands_over(false);
            handed?;
        }
        Ok(Response::Done(ResponseHeader::default()))
    }

    async fn hand_leadership_to(&self, target: u64) -> Result<(), EtcdError> {
        // As in etcd, an attempt lasts an election timeout: then writes go on. Whoever asked waits for longer.
        let attempt = tokio::time::timeout(self.cluster.config.election_timeout, async {
            self.member.wait_caught_up(target).await;
            self.tell_to_stand(target).await;
            self.wait_handed().await
        });
        match attempt.await {
            Ok(handed) => handed,
            Err(_elapsed) => {
                self.member.set_hands_over(false);
                self.wait_handed().await
            }
        }
    }

    async fn tell_to_stand(&self, target: u64) {
        if self.cluster.is_distributed() {
            self.cluster.ask(&self.member, target, Call::TimeoutNow).await;
            return;
        }
        let name = self.cluster.name_of(target);
        let message = Message::TimeoutNow { term: self.member.term() };
        let network = self.cluster.world.network();
        if let Ok(sent) = deliver(network, &self.member.name, &name, &message).await
            && let Some(peer) = self.cluster.running(target)
        {
            let candidate = peer.clone();
            drop(peer.component.spawn(caused_by(Some(sent), async move {
                candidate.campaign_for_transfer().await;
            })));
        }
    }

    async fn wait_handed(&self) -> Result<(), EtcdError> {
        let mut leader = self.member.watch_leader();
        let taken = leader.wait_for(|leader| leader.id.is_some_and(|id| id != self.member.id));
        taken.await.expect("the member holds the sender");
        Ok(())
    }
}

fn is_url(url: &str) -> bool {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    host.is_some_and(|host| {
        host.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        })
    })
}

/// Changes the membership if it is safe. `None` from a member that does not lead.
pub(crate) async fn change_as_leader(
    cluster: &Arc<Cluster>,
    member: &Member,
    change: MemberChange,
) -> Option<Result<(u64, u64), EtcdError>> {
    if member.leader().id != Some(member.id) {
        return None;
    }
    let (id, changes) = match plan(cluster, member, change).await {
        Ok(planned) => planned,
        Err(error) => return Some(Err(error)),
    };
    loop {
        match member.raft().change_membership(changes.clone(), false).await {
            Ok(done) => return Some(Ok((id, done.log_id.index))),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_),
            ))) => tokio::time::sleep(cluster.config.heartbeat_interval).await,
            Err(_not_leader) => return None,
        }
    }
}

async fn plan(
    cluster: &Arc<Cluster>,
    member: &Member,
    change: MemberChange,
) -> Result<(u64, ChangeMembers<u64, Node>), EtcdError> {
    let members = member.members();
    let find = |id| members.iter().find(|one| one.id == id).ok_or(EtcdError::MemberNotFound);
    let taken = |urls: &[String], but: Option<u64>| {
        members
            .iter()
            .filter(|one| Some(one.id) != but)
            .flat_map(|one| &one.peer_urls)
            .any(|url| urls.contains(url))
    };
    let (started, voters) = started_voters(&members);
    match change {
        MemberChange::Add { peer_urls, learner } => {
            // As `IsReadyToAddVotingMember`: the one member of a restored cluster may always be joined.
            let restored = started == 1 && voters == 1;
            if !learner && !restored && started < quorum(voters + 1) {
                return Err(EtcdError::MemberNotEnoughStarted);
            }
            if connected_voters(cluster, member, HEALTH_INTERVAL).await.len() < voters {
                return Err(EtcdError::Unhealthy);
            }
            if taken(&peer_urls, None) {
                return Err(EtcdError::PeerUrlExists);
            }
            if learner && members.iter().filter(|one| one.is_learner).count() >= LEARNERS_MAX {
                return Err(EtcdError::TooManyLearners);
            }
            let id = ids::member_id(&peer_urls, "", Some(cluster.world.clock().now().as_second()));
            cluster.expect_peer(id, &peer_urls);
            let nodes = BTreeMap::from([(id, Node { name: String::new(), peer_urls })]);
            Ok((id, if learner { ChangeMembers::AddNodes(nodes) } else { ChangeMembers::AddVoters(nodes) }))
        }
        MemberChange::Promote { id } => {
            if !find(id)?.is_learner {
                return Err(EtcdError::MemberNotLearner);
            }
            if !in_sync(member, id) {
                return Err(EtcdError::LearnerNotReady);
            }
            if started + usize::from(!find(id)?.name.is_empty()) < quorum(voters + 1) {
                return Err(EtcdError::MemberNotEnoughStarted);
            }
            Ok((id, ChangeMembers::AddVoterIds(BTreeSet::from([id]))))
        }
        MemberChange::Remove { id } => {
            let gone = find(id)?;
            if gone.is_learner {
                return Ok((id, ChangeMembers::RemoveNodes(BTreeSet::from([id]))));
            }
            if started - usize::from(!gone.name.is_empty()) < quorum(voters - 1) {
                return Err(EtcdError::MemberNotEnoughStarted);
            }
            // A member that is down may always go: it is no part of the quorum. Else a quorum of the rest must be
            // there.
            let connected = connected_voters(cluster, member, Duration::ZERO).await;
            if connected.contains(&id) && connected.len() - 1 < quorum(voters - 1) {
                return Err(EtcdError::Unhealthy);
            }
            Ok((id, ChangeMembers::RemoveVoters(BTreeSet::from([id]))))
        }
        MemberChange::Update { id, peer_urls } => {
            if taken(&peer_urls, Some(id)) {
                return Err(EtcdError::PeerUrlExists);
            }
            let name = find(id)?.name.clone();
            Ok((id, ChangeMembers::SetNodes(BTreeMap::from([(id, Node { name, peer_urls })]))))
        }
    }
}

fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// How many voters have ever started, and how many there are.
fn started_voters(members: &[MemberInfo]) -> (usize, usize) {
    let voters = members.iter().filter(|one| !one.is_learner);
    (voters.clone().filter(|one| !one.name.is_empty()).count(), voters.count())
}

fn in_sync(member: &Member, learner: u64) -> bool {
    let metrics = member.metrics();
    let of = |id| metrics.replication.as_ref()?.get(&id).copied().flatten().map(|log_id| log_id.index);
    let last = metrics.last_log_index.unwrap_or(0);
    // Indexes stay far below what a float can hold.
    of(learner).is_some_and(|matched| matched as f64 > last as f64 * READY)
}

/// The voters, this one too, that answer and have been running for so long.
async fn connected_voters(cluster: &Arc<Cluster>, member: &Member, long: Duration) -> BTreeSet<u64> {
    let since = |started: Duration| member.now().saturating_sub(started) >= long;
    let asked: FuturesUnordered<_> = member
        .voters()
        .into_iter()
        .filter(|peer| *peer != member.id)
        .map(|peer| {
            let answers = answers(cluster, member, peer);
            let answers = tokio::time::timeout(cluster.config.election_timeout, answers);
            async move { answers.await.ok().flatten().filter(|started| since(*started)).map(|_| peer) }
        })
        .collect();
    let mut connected: BTreeSet<u64> = asked.filter_map(|peer| async move { peer }).collect().await;
    // Alone, a member is always connected to itself; among others it has to have been up as well.
    if member.voters().contains(&member.id) {
        connected.insert(member.id);
    }
    connected
}

/// Since when a member that answers has been running.
async fn answers(cluster: &Cluster, member: &Member, peer: u64) -> Option<Duration> {
    if cluster.is_distributed() {
        return match cluster.ask(member, peer, Call::Ping).await? {
            Reply::Pong(since) => Some(member.now().saturating_sub(since)),
            _ => None,
        };
    }
    let (network, from, peer) = (cluster.world.network(), &member.name, cluster.running(peer)?);
    network.pass(from, &peer.name).await.ok()?;
    peer.component.spawn(async {}).await.ok()?;
    network.pass(&peer.name, from).await.ok()?;
    Some(peer.started_at)
}

/// Says the name of a member that was added, or of a process, as soon as it hears the others.
pub(crate) async fn publish(cluster: Arc<Cluster>, member: Arc<Member>) {
    let (id, name) = (member.id, member.name.to_string());
    let client_urls = if cluster.is_distributed() { cluster.client_urls_of(id) } else { Vec::new() };
    let published = Command::Publish { id, name, client_urls };
    let server = Server { cluster, member, patience: Patience::Endless, asker: None };
    while server.propose(published.clone()).await.is_err() {
        tokio::time::sleep(server.cluster.config.heartbeat_interval).await;
    }
}
