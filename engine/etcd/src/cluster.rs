//! The members together.
#![expect(clippy::todo, unused_variables, reason = "signatures first")]
use std::time::Duration;
use labkit_sim::{ComponentState, World};
use crate::client::Client;
use crate::error::UnknownMember;

/// How the store is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// 1, 3 or 5.
    pub members: u8,
    pub heartbeat_interval: Duration,
    pub election_timeout: Duration,
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

/// What a member would say of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    pub name: String,
    pub id: u64,
    pub state: ComponentState,
    pub is_leader: bool,
    /// The name of the leader that it knows.
    pub leader: Option<String>,
    pub term: u64,
    pub raft_index: u64,
    pub applied_index: u64,
    pub revision: i64,
    pub db_size: i64,
}

/// The store.
#[derive(Debug, Clone)]
pub struct Etcd {}

impl Etcd {
    pub async fn boot(world: &World, config: EtcdConfig) -> Etcd { todo!() }
    pub fn members(&self) -> Vec<MemberStatus> { todo!() }
    pub fn leader(&self) -> Option<String> { todo!() }
    pub async fn kill(&self, member: &str) -> Result<(), UnknownMember> { todo!() }
    pub async fn power_off(&self, member: &str) -> Result<(), UnknownMember> { todo!() }
    pub async fn start(&self, member: &str) -> Result<(), UnknownMember> { todo!() }
    pub fn pause(&self, member: &str) -> Result<(), UnknownMember> { todo!() }
    pub fn resume(&self, member: &str) -> Result<(), UnknownMember> { todo!() }
    pub fn client(&self, from: &str) -> Client { todo!() }
    pub fn client_of_member(&self, from: &str, member: &str) -> Client { todo!() }
    pub fn set_client_urls(&self, member: &str, urls: Vec<String>) -> Result<(), UnknownMember> { todo!() }
}
