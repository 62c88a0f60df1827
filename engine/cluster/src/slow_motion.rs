//! Raft in slow motion: the messages between the store's members stay on the way, and arrive one at a time. Nothing is
//! changed in the members. Whoever holds messages sees to it that no time passes, as long as none shall: in virtual
//! pace none does by itself, a live lab's clock is stopped.

use labkit_etcd::MemberStatus;
use labkit_sim::{Held, Rule};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cluster::Cluster;

/// Why the messages did not do as they were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlowMotionError {
    #[error("the messages between the members are held already")]
    HeldAlready,
    #[error("the messages between the members are not held")]
    NotHeld,
    #[error("no message is on the way: the members wait for a request, or for time to pass")]
    NothingOnTheWay,
    #[error("the store is elsewhere, and so are its messages")]
    Elsewhere,
}

/// A message between two members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RaftMessage {
    pub from: String,
    pub to: String,
    /// `AppendEntries`, `Vote` and so on.
    pub kind: String,
    /// By name: `term`, `prevIndex`, `entries`, `commit` and so on, as in the trace.
    pub fields: Value,
}

/// A member, as its Raft stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RaftMember {
    pub name: String,
    /// `leader`, `follower`, `candidate`, `learner` or `down`.
    pub role: String,
    pub term: u64,
    pub last_index: u64,
    pub commit_index: u64,
    pub applied_index: u64,
}

/// A message that has arrived, and how the members stood then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RaftStep {
    pub message: RaftMessage,
    pub members: Vec<RaftMember>,
}

/// The members, and the messages between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RaftView {
    pub held: bool,
    /// What was just delivered.
    pub delivered: Vec<RaftStep>,
    /// What is on the way, in the order in which it will arrive.
    pub waiting: Vec<RaftMessage>,
    pub members: Vec<RaftMember>,
}

impl From<Held> for RaftMessage {
    fn from(held: Held) -> RaftMessage {
        let Held { from, to, kind, fields, .. } = held;
        RaftMessage { from, to, kind, fields }
    }
}

impl RaftMessage {
    /// `term=2 prevIndex=5 entries=1 commit=5`
    pub fn described(&self) -> String {
        let fields = self.fields.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, value)| *name != "heartbeat" || **value == true);
        let fields = fields.map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            value => format!("{name}={value}"),
        });
        fields.collect::<Vec<_>>().join(" ")
    }
}

impl Cluster {
    /// Holds the messages between the store's members from now on.
    pub fn hold_messages(&self) -> Result<(), SlowMotionError> {
        let etcd = self.inner.etcd.as_ref().ok_or(SlowMotionError::Elsewhere)?;
        let mut rule = self.held_by();
        if rule.is_some() {
            return Err(SlowMotionError::HeldAlready);
        }
        let among = etcd.members().into_iter().map(|member| member.name).collect();
        *rule = Some(self.world().network().add(Rule::Hold { among }));
        Ok(())
    }

    /// Lets them arrive again, those that are on the way first.
    pub async fn release_messages(&self) -> Result<(), SlowMotionError> {
        let rule = self.held_by().take().ok_or(SlowMotionError::NotHeld)?;
        self.world().network().remove(rule);
        self.world().settle().await;
        Ok(())
    }

    /// Lets that many messages arrive, oldest first; after each of them, everybody does what it makes them do.
    pub async fn deliver_messages(&self, count: u32) -> Result<RaftView, SlowMotionError> {
        if !self.holds_messages() {
            return Err(SlowMotionError::NotHeld);
        }
        self.world().settle().await;
        let mut delivered = Vec::new();
        for _ in 0..count {
            let Some(held) = self.world().network().deliver_next() else { break };
            self.world().settle().await;
            delivered.push(RaftStep { message: held.into(), members: self.raft_members() });
        }
        if delivered.is_empty() {
            return Err(SlowMotionError::NothingOnTheWay);
        }
        Ok(RaftView { delivered, ..self.raft_view()? })
    }

    pub fn holds_messages(&self) -> bool {
        self.held_by().is_some()
    }

    /// The members, and what is on the way between them.
    pub fn raft_view(&self) -> Result<RaftView, SlowMotionError> {
        if self.inner.etcd.is_none() {
            return Err(SlowMotionError::Elsewhere);
        }
        let waiting = self.world().network().held().into_iter().map(RaftMessage::from).collect();
        let members = self.raft_members();
        Ok(RaftView { held: self.holds_messages(), delivered: Vec::new(), waiting, members })
    }

    fn raft_members(&self) -> Vec<RaftMember> {
        let shown = |member: MemberStatus| RaftMember {
            name: member.name,
            role: member.role.to_owned(),
            term: member.term,
            last_index: member.raft_index,
            commit_index: member.commit_index,
            applied_index: member.applied_index,
        };
        self.etcd().members().into_iter().map(shown).collect()
    }

    fn held_by(&self) -> std::sync::MutexGuard<'_, Option<labkit_sim::RuleId>> {
        self.inner.held.lock().expect("no panic happens under this lock")
    }
}
