//! Whom a member takes for the leader, and how it knows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use labkit_sim::Rng;
use tokio::sync::watch;

use super::{Member, State};
use crate::cluster::{Exit, ExitReason};
use crate::election::Timer;
use crate::error::EtcdError;
use crate::payload::Message;

/// Whom a member takes for the leader. Times are since the world began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Leader {
    pub id: Option<u64>,
    /// When the present leader, or else the last one, became known.
    pub known_since: Duration,
    /// When the last leader was lost.
    pub lost_at: Duration,
}

/// The error of a request that the member gave up on.
pub(crate) fn timed_out(started: Duration, leader: Leader, election_timeout: Duration) -> EtcdError {
    // As `parseProposeCtxErr`: a leader that is newer than the request means that an older one was lost.
    let lost_at = leader.known_since.saturating_sub(2 * election_timeout);
    if started > lost_at && started < leader.known_since {
        EtcdError::TimedOutDueToLeaderFailure
    } else {
        EtcdError::TimedOut
    }
}

impl Member {
    pub fn with_timer<T>(&self, act: impl FnOnce(&mut Timer, &mut Rng) -> T) -> T {
        self.component
            .random(|rng| act(&mut self.timer.lock().expect("no panic happens under this lock"), rng))
    }

    /// The leader as this member sees it.
    pub fn leader(&self) -> Leader {
        *self.leader.borrow()
    }

    pub fn watch_leader(&self) -> watch::Receiver<Leader> {
        self.leader.subscribe()
    }

    /// Waits until a leader is known.
    pub async fn wait_leader(&self) -> u64 {
        let mut leader = self.leader.subscribe();
        let known = leader.wait_for(|leader| leader.id.is_some()).await.expect("the member holds the sender");
        known.id.expect("waited for it")
    }

    /// Waits until no leader has been known for `long`.
    pub async fn wait_leaderless(&self, long: Duration) {
        let mut leader = self.leader.subscribe();
        loop {
            let lost = leader.wait_for(|leader| leader.id.is_none()).await.map(|leader| leader.lost_at);
            let lost_at = lost.expect("the member holds the sender");
            let left = (lost_at + long).saturating_sub(self.now());
            let found = leader.wait_for(|leader| leader.id.is_some());
            let Ok(_) = tokio::time::timeout(left, found).await else { return };
        }
    }

    /// Stands for election at once: the leader hands over.
    pub async fn campaign_for_transfer(&self) {
        if self.is_elected() || !self.voters().contains(&self.id) {
            return;
        }
        self.transfer_term.store(self.term() + 1, Ordering::Relaxed);
        // A member whose Raft has ended cannot be elected.
        let _ = self.raft().trigger().elect().await;
    }

    /// Whether this member stands in that term because the leader hands over to it.
    pub fn is_transfer(&self, term: u64) -> bool {
        self.transfer_term.load(Ordering::Relaxed) == term
    }

    /// Waits until a follower has all of the leader's log.
    pub async fn wait_caught_up(&self, follower: u64) {
        let mut all = self.engine().all.clone();
        let has_all = |metrics: &openraft::RaftMetrics<u64, crate::raft::Node>| {
            let matched = metrics.replication.as_ref().and_then(|of| of.get(&follower).copied().flatten());
            metrics.replication.is_none() || matched.map(|id| id.index) >= metrics.last_log_index
        };
        // Raft that has ended hands nothing over, and who waits has a deadline.
        if all.wait_for(has_all).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Stops this leader from appending, or lets it go on.
    pub fn set_hands_over(&self, hands_over: bool) {
        self.hands_over.send_replace(hands_over);
    }

    pub fn hands_over(&self) -> bool {
        *self.hands_over.borrow()
    }

    pub async fn wait_handed_over(&self) {
        if !self.hands_over() {
            return;
        }
        let mut hands_over = self.hands_over.subscribe();
        hands_over.wait_for(|hands_over| !hands_over).await.expect("the member holds the sender");
    }

    /// Whether it is the leader, of itself.
    pub fn leads_alone(&self) -> bool {
        self.is_elected() && self.is_alone()
    }

    /// One tick; true when it is time to stand for election.
    pub async fn tick(&self) -> bool {
        let stands = if self.is_elected() {
            if !self.is_alone() {
                // Fails only when Raft has ended, and then there is nothing to beat for.
                let _ = self.raft().trigger().heartbeat().await;
            }
            let (id, voters, now) = (self.id, self.voters(), self.now());
            self.with_timer(|timer, _| timer.check_quorum(id, &voters, now, self.election_timeout));
            false
        } else {
            self.with_timer(Timer::tick)
        };
        self.refresh();
        stands
    }

    pub fn heard_from_leader(&self, leader: u64) {
        self.with_timer(|timer, _| timer.heard_from_leader(leader));
        self.refresh();
    }

    pub fn heard_from_follower(&self, follower: u64, commit: Option<u64>) {
        let now = self.now();
        self.with_timer(|timer, _| timer.heard_from_follower(follower, now, commit));
    }

    pub fn commit_told(&self, follower: u64) -> Option<u64> {
        self.with_timer(|timer, _| timer.commit_told(follower))
    }

    pub fn granted_a_vote(&self) {
        self.with_timer(|timer, _| timer.granted_a_vote());
        self.refresh();
    }

    /// Follows what Raft says of itself, until it ends.
    pub async fn follow_raft(&self) {
        let mut server = self.raft().server_metrics();
        let mut term_led = None;
        loop {
            let term = self.term();
            if !self.is_elected() {
                term_led = None;
                self.with_timer(|timer, _| timer.step_down());
            } else if term_led != Some(term) {
                term_led = Some(term);
                self.world.trace().record(&self.name, &self.name, Message::BecomeLeader { term });
                let (id, now) = (self.id, self.now());
                self.with_timer(|timer, _| timer.lead(id, now));
            }
            self.refresh();
            let failure = async {
                match self.log.get() {
                    Some(log) => log.failure().await,
                    None => std::future::pending().await,
                }
            };
            let ended = tokio::select! {
                biased;
                changed = server.changed() => changed.is_err(),
                failure = failure => {
                    // Nothing that it is told from now on could be kept.
                    let _ = self.exits.send(Exit { id: self.id, why: ExitReason::Failed(failure.to_string()) });
                    return;
                }
            };
            if ended {
                let reason = match &self.metrics().running_state {
                    Err(openraft::error::Fatal::StorageError(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                    Ok(()) => return,
                };
                // Without a receiver the world is at its end.
                let _ = self.exits.send(Exit { id: self.id, why: ExitReason::Failed(reason) });
                return;
            }
        }
    }

    /// Tells who waits for it whom the timer has for the leader now; leases count down at the leader only.
    fn refresh(&self) {
        let id = self.with_timer(|timer, _| timer.leader());
        let now = self.now();
        let led_before = self.leader().id == Some(self.id);
        self.leader.send_if_modified(|leader| {
            let changed = leader.id != id;
            match (leader.id, id) {
                (_, Some(_)) if changed => leader.known_since = now,
                (Some(_), None) => leader.lost_at = now,
                _ => {}
            }
            leader.id = id;
            if changed && id.is_some() {
                self.counters.leader_changes_seen.add();
            }
            changed
        });
        let leads = id == Some(self.id);
        if leads != led_before {
            let mut guard = self.locked();
            let State { countdown, store, .. } = &mut *guard;
            if leads {
                countdown.promote(&store.leases, now, self.election_timeout);
            } else {
                countdown.demote();
            }
        }
    }
}
