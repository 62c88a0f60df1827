//! When to stand for election: etcd's own rules (`raft/raft.go`) over openraft's elections. Time is counted
//! in ticks of one heartbeat; a leader that a quorum does not answer is none (CheckQuorum); who stands first
//! asks whether it could win (PreVote), so that a member that was cut off does not raise the term.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use labkit_sim::{Rng, caused_by};
use rand::Rng as _;

use crate::cluster::Cluster;
use crate::member::Member;
use crate::payload::{Message, index_of};
use crate::peer::{Call, Reply};
use crate::raft::LogId;

/// What a member knows of who is alive.
#[derive(Debug)]
pub(crate) struct Timer {
    /// How many ticks an election takes (`--election-timeout / --heartbeat-interval`).
    election_ticks: u32,
    /// Ticks since the leader was heard, or a vote was given.
    elapsed: u32,
    /// The member stands for election after that many; drawn anew each time.
    timeout: u32,
    /// The leader that was heard and is believed to be there still.
    leader: Option<u64>,
    /// While Raft has this member for the leader: since when, and what it knows of its followers.
    led_since: Option<Duration>,
    followers: BTreeMap<u64, Follower>,
}

#[derive(Debug, Default)]
struct Follower {
    answered_at: Duration,
    commit_told: Option<u64>,
}

impl Timer {
    pub fn new(election_ticks: u32, members: usize, rng: &mut Rng) -> Timer {
        let (leader, led_since, followers) = (None, None, BTreeMap::new());
        let mut timer = Timer { election_ticks, elapsed: 0, timeout: 0, leader, led_since, followers };
        timer.restart(rng);
        if members == 1 {
            // As `advanceTicks` in `etcdserver/raft.go`: there is no leader to be heard of.
            timer.elapsed = election_ticks;
        }
        timer
    }

    /// etcd draws from one to two election timeouts, less a tick. Its ticks run out late and its packets
    /// travel; ours do neither, so two ticks are added, which puts the time from the leader's death to the next
    /// leader where it is measured on the real one: between one and two seconds at the defaults.
    fn restart(&mut self, rng: &mut Rng) {
        self.elapsed = 0;
        self.timeout =
            self.election_ticks + 2 + rng.gen_range(0..self.election_ticks.saturating_sub(1).max(1));
    }

    /// One tick off the leader. True when it is time to stand for election.
    pub fn tick(&mut self, rng: &mut Rng) -> bool {
        self.elapsed += 1;
        if self.elapsed < self.timeout {
            return false;
        }
        self.restart(rng);
        self.leader = None;
        true
    }

    pub fn leader(&self) -> Option<u64> {
        self.leader
    }

    pub fn heard_from_leader(&mut self, leader: u64) {
        self.elapsed = 0;
        self.leader = Some(leader);
    }

    pub fn granted_a_vote(&mut self) {
        self.elapsed = 0;
        self.leader = None;
    }

    /// Whether the leader was heard so lately that no other is wanted.
    fn in_lease(&self) -> bool {
        self.leader.is_some() && self.elapsed < self.election_ticks
    }

    /// Raft has elected this member, `id`.
    pub fn lead(&mut self, id: u64, now: Duration) {
        self.leader = Some(id);
        self.led_since = Some(now);
        self.followers.clear();
    }

    /// Raft has this member for a leader no longer, if it ever had.
    pub fn step_down(&mut self) {
        if self.led_since.take().is_some() {
            self.leader = None;
            self.elapsed = 0;
        }
    }

    pub fn heard_from_follower(&mut self, follower: u64, now: Duration, commit: Option<u64>) {
        let follower = self.followers.entry(follower).or_default();
        follower.answered_at = now;
        follower.commit_told = commit.or(follower.commit_told);
    }

    pub fn commit_told(&self, follower: u64) -> Option<u64> {
        self.followers.get(&follower)?.commit_told
    }

    /// At the leader, `id`: it leads as long as a quorum of `voters` answered within `election_timeout`.
    pub fn check_quorum(
        &mut self,
        id: u64,
        voters: &BTreeSet<u64>,
        now: Duration,
        election_timeout: Duration,
    ) {
        let Some(since) = self.led_since else { return };
        let lately = |at: Duration| now.saturating_sub(at) <= election_timeout;
        let answered = self.followers.iter().filter(|(id, _)| voters.contains(id));
        let answered = answered.filter(|(_, follower)| lately(follower.answered_at)).count();
        let own = usize::from(voters.contains(&id));
        self.leader = (lately(since) || answered + own > voters.len() / 2).then_some(id);
        self.elapsed = 0;
    }
}

/// The member's tick: heartbeats while it leads, else the wait for the next election. Who leads nobody but itself
/// looks once in an election timeout whether it still does: no follower waits for longer.
pub(crate) async fn run(cluster: Arc<Cluster>, member: Arc<Member>) {
    let heartbeat = cluster.config.heartbeat_interval;
    // Members do not tick in step.
    let phase = member.component.random(|rng| rng.gen_range(0.0..1.0));
    tokio::time::sleep(heartbeat.mul_f64(phase)).await;
    let mut last = cluster.world.clock().elapsed();
    loop {
        let tick = if member.leads_alone() { cluster.config.election_timeout } else { heartbeat };
        last = (last + tick).max(cluster.world.clock().elapsed());
        let wait = last.saturating_sub(cluster.world.clock().elapsed());
        tokio::time::sleep(wait).await;
        if member.tick().await {
            labkit_sim::spawn(stand(cluster.clone(), member.clone()));
        }
    }
}

/// Stands for election if a quorum would vote for this member.
async fn stand(cluster: Arc<Cluster>, member: Arc<Member>) {
    let term = member.term() + 1;
    let last_log_id = member.last_log_id();
    let voters = member.voters();
    if !voters.contains(&member.id) {
        return;
    }
    let mut asked: FuturesUnordered<_> = voters
        .iter()
        .filter(|peer| **peer != member.id)
        .map(|peer| {
            let peer = *peer;
            let ask = would_vote(&cluster, &member, peer, term, last_log_id);
            tokio::time::timeout(cluster.config.election_timeout, ask)
        })
        .collect();
    let mut granted = 1;
    while granted <= voters.len() / 2 {
        match asked.next().await {
            Some(Ok(true)) => granted += 1,
            Some(_) => {}
            None => return,
        }
    }
    if member.leader().id.is_none() {
        // A member whose Raft has ended cannot be elected.
        let _ = member.raft().trigger().elect().await;
    }
}

async fn would_vote(
    cluster: &Arc<Cluster>,
    member: &Member,
    peer: u64,
    term: u64,
    last_log_id: Option<LogId>,
) -> bool {
    if cluster.is_distributed() {
        let asked = cluster.ask(member, peer, Call::PreVote { term, last_log_id }).await;
        return matches!(asked, Some(Reply::PreVote(true)));
    }
    let network = cluster.world.network();
    let name = cluster.name_of(peer);
    let request = Message::PreVote { term, last_index: index_of(last_log_id) };
    let Ok(sent) = network.transmit(&member.name, &name, request).await else { return false };
    let Some(peer) = cluster.running(peer) else { return false };
    let voter = peer.clone();
    let answer = peer.component.spawn(async move { would_vote_at(&voter, term, last_log_id) });
    let Ok(granted) = answer.await else { return false };
    let response = Message::PreVoteResponse { term, granted };
    caused_by(Some(sent), network.transmit(&name, &member.name, response)).await.is_ok() && granted
}

/// Whether this member would vote for a candidate of that term and log.
pub(crate) fn would_vote_at(member: &Member, term: u64, last_log_id: Option<LogId>) -> bool {
    let in_lease = member.with_timer(|timer, _| timer.in_lease());
    !in_lease && term > member.term() && last_log_id >= member.last_log_id()
}
