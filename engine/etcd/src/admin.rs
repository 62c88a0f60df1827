//! What runs a cluster, beside its keys and leases: members, alarms, users. Requests and responses as plain
//! values, and the part of the replicated state that they change.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::api::{MemberInfo, ResponseHeader};
use crate::auth::Auth;

/// A change of the membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// The new member is a learner, or votes at once.
    Add {
        peer_urls: Vec<String>,
        learner: bool,
    },
    /// A learner that has caught up gets its vote.
    Promote {
        id: u64,
    },
    Remove {
        id: u64,
    },
    Update {
        id: u64,
        peer_urls: Vec<String>,
    },
}

/// The members after a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberChangeResponse {
    pub header: ResponseHeader,
    /// The id of the member that was added, promoted, removed or updated.
    pub id: u64,
    /// Sorted by id.
    pub members: Vec<MemberInfo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AlarmKind {
    /// The store has reached its quota: it takes no more values.
    NoSpace,
    /// Members differ in what they hold.
    Corrupt,
}

impl AlarmKind {
    /// As etcd writes it.
    pub fn name(self) -> &'static str {
        match self {
            AlarmKind::NoSpace => "NOSPACE",
            AlarmKind::Corrupt => "CORRUPT",
        }
    }
}

/// An alarm that a member has raised. It stands until it is disarmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alarm {
    pub member_id: u64,
    pub kind: AlarmKind,
}

impl std::fmt::Display for Alarm {
    /// As protobuf's text form, which etcdctl prints.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "memberID:{} alarm:{} ", self.member_id, self.kind.name())
    }
}

/// In a request, no `kind` means all kinds, and `member_id` 0 all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlarmRequest {
    List { member_id: u64, kind: Option<AlarmKind> },
    Activate { member_id: u64, kind: AlarmKind },
    Disarm { member_id: u64, kind: Option<AlarmKind> },
}

/// The alarms that were listed, raised or disarmed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlarmResponse {
    pub header: ResponseHeader,
    pub alarms: Vec<Alarm>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HashKvResponse {
    pub header: ResponseHeader,
    /// Over all versions from the compacted revision up to the one asked for.
    pub hash: u32,
    pub compact_revision: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    Read,
    Write,
    ReadWrite,
}

/// What a role may do with a key or a range of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    pub access: Access,
    pub key: Bytes,
    /// As in [`crate::RangeRequest`].
    pub range_end: Bytes,
}

/// What is asked of the users and roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthRequest {
    Enable,
    Disable,
    Status,
    /// Exchanges a password for a token. In the log, the secret is the token that was chosen.
    Authenticate {
        name: String,
        secret: String,
    },
    /// In the log, secrets are hashes. A user without one cannot log in with a password.
    UserAdd {
        name: String,
        secret: Option<String>,
    },
    UserGet {
        name: String,
    },
    UserList,
    UserDelete {
        name: String,
    },
    UserChangePassword {
        name: String,
        secret: String,
    },
    UserGrantRole {
        user: String,
        role: String,
    },
    UserRevokeRole {
        user: String,
        role: String,
    },
    RoleAdd {
        name: String,
    },
    RoleGet {
        name: String,
    },
    RoleList,
    RoleDelete {
        name: String,
    },
    RoleGrantPermission {
        role: String,
        permission: Permission,
    },
    RoleRevokePermission {
        role: String,
        key: Bytes,
        range_end: Bytes,
    },
}

/// What the users and roles answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOutcome {
    Done,
    Status {
        enabled: bool,
        revision: u64,
    },
    Token(String),
    /// Users, or roles.
    Names(Vec<String>),
    Permissions(Vec<Permission>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthResponse {
    pub header: ResponseHeader,
    pub outcome: AuthOutcome,
}

/// The replicated state of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Admin {
    pub alarms: BTreeSet<Alarm>,
    pub auth: Auth,
    /// What members have said of themselves when they started.
    pub published: BTreeMap<u64, Published>,
    /// Who was a member once: their ids never come back.
    pub removed: BTreeSet<u64>,
}

/// A member's attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Published {
    pub name: String,
    pub client_urls: Vec<String>,
}

impl Admin {
    pub fn alarm(&mut self, request: AlarmRequest) -> Vec<Alarm> {
        let matching = |member: u64, wanted: Option<AlarmKind>| {
            move |alarm: &Alarm| {
                (member == 0 || alarm.member_id == member) && wanted.is_none_or(|kind| alarm.kind == kind)
            }
        };
        match request {
            AlarmRequest::List { member_id, kind } => {
                self.alarms.iter().copied().filter(matching(member_id, kind)).collect()
            }
            AlarmRequest::Activate { member_id, kind } => {
                let alarm = Alarm { member_id, kind };
                self.alarms.insert(alarm);
                vec![alarm]
            }
            AlarmRequest::Disarm { member_id, kind } => {
                let gone: Vec<Alarm> =
                    self.alarms.iter().copied().filter(matching(member_id, kind)).collect();
                self.alarms.retain(|alarm| !gone.contains(alarm));
                gone
            }
        }
    }

    pub fn is_alarmed(&self, kind: AlarmKind) -> bool {
        self.alarms.iter().any(|alarm| alarm.kind == kind)
    }
}
