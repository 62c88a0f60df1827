//! Whom a member takes for the leader, and how it knows.

use std::time::Duration;

use labkit_sim::Rng;
use tokio::sync::watch;

use super::{Member, State};
use crate::election::Timer;
use crate::error::EtcdError;
use crate::payload::Message;

/// Whom a member takes for the leader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Leader {
    pub id: Option<u64>,
    /// When the present leader, or the last one, became known.
    pub since: Duration,
}

/// The error of a request that the member gave up on.
pub(crate) fn timed_out(started: Duration, leader: Leader, election_timeout: Duration) -> EtcdError {
    // As `parseProposeCtxErr`: a leader that is newer than the request means that an older one was lost.
    let lost_at = leader.since.saturating_sub(2 * election_timeout);
    if started > lost_at && started < leader.since {
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

    pub fn leader_alive(&self) -> bool {
        self.with_timer(|timer, _| timer.leader_alive())
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

    /// One tick; true when it is time to stand for election.
    pub async fn tick(&self) -> bool {
        if self.is_elected() {
            // Fails only when Raft has ended, and then there is nothing to beat for.
            let _ = self.raft().trigger().heartbeat().await;
            let (members, now) = (self.members, self.now());
            self.with_timer(|timer, _| timer.check_quorum(members, now, self.election_timeout));
            self.refresh();
            return false;
        }
        let stands = self.with_timer(Timer::tick);
        if stands {
            self.refresh();
        }
        stands
    }

    pub fn heard_from_leader(&self) {
        self.with_timer(|timer, _| timer.heard_from_leader());
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
    }

    /// Follows what Raft says of itself, until it ends.
    pub async fn follow_raft(&self) {
        let mut server = self.raft().server_metrics();
        let mut term_led = 0;
        loop {
            let term = self.term();
            if self.is_elected() && term_led != term {
                term_led = term;
                self.world.trace().record(&self.name, &self.name, Message::BecomeLeader { term });
                let (members, now) = (self.members, self.now());
                self.with_timer(|timer, _| {
                    timer.lead(now);
                    timer.check_quorum(members, now, self.election_timeout);
                });
            }
            self.refresh();
            if server.changed().await.is_err() {
                return;
            }
        }
    }

    /// Brings the leader as this member sees it up to date, and with it the countdown of leases.
    fn refresh(&self) {
        let Some(engine) = self.raft.get() else { return };
        let named = engine.server.borrow().current_leader;
        let id = named.filter(|_| self.leader_alive());
        let now = self.now();
        let led_before = self.leader().id == Some(self.id);
        self.leader.send_if_modified(|leader| {
            let changed = leader.id != id;
            if changed {
                *leader = Leader { id, since: if id.is_some() { now } else { leader.since } };
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
