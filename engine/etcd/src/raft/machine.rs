//! Committed proposals become changes of the member's store; who waits for one gets its answer here.

use std::io::Cursor;
use std::sync::Arc;

use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, Snapshot, StorageError, StorageIOError};

use super::{Entry, LogId, Membership, TypeConfig};
use crate::member::Member;
use crate::mvcc::Store;
use crate::wal::snapshot::{self, Meta};
use crate::wal::{Disk, WalError};

/// How far the store is in the log, and the membership at that point.
#[derive(Debug, Default, Clone)]
pub(crate) struct Applied {
    pub log_id: Option<LogId>,
    pub membership: Membership,
}

#[derive(Debug, Clone)]
pub(crate) struct Machine {
    member: Arc<Member>,
    disk: Disk,
}

impl Machine {
    /// Begins with the snapshot on the member's disk, if there is one.
    pub async fn open(member: Arc<Member>, disk: Disk) -> Result<Machine, WalError> {
        if let Some(snapshot) = snapshot::newest(&disk).await? {
            member.restore(Store::restore(snapshot.dump()?), applied_of(&snapshot.meta));
        }
        Ok(Machine { member, disk })
    }

    async fn store_snapshot(&self, meta: &Meta, data: &[u8]) -> Result<(), StorageError<u64>> {
        let stored = snapshot::store(&self.disk, meta, data).await;
        stored.map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), &error).into())
    }
}

fn applied_of(meta: &Meta) -> Applied {
    Applied { log_id: meta.last_log_id, membership: meta.last_membership.clone() }
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError<u64>> {
        let (applied, dump) = self.member.dump();
        let data = postcard::to_stdvec(&dump).expect("our own types can be written");
        let meta = Meta {
            snapshot_id: applied.log_id.map(|id| id.to_string()).unwrap_or_default(),
            last_log_id: applied.log_id,
            last_membership: applied.membership,
        };
        self.store_snapshot(&meta, &data).await?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(data)) })
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError<u64>> {
        let applied = self.member.applied_state();
        Ok((applied.log_id, applied.membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError<u64>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.member.applied_state();
        let mut results = Vec::new();
        for entry in entries {
            applied.log_id = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(proposals) => {
                    proposals.iter().for_each(|proposal| self.member.apply(proposal));
                }
                EntryPayload::Membership(membership) => {
                    applied.membership = Membership::new(Some(entry.log_id), membership);
                    self.member.set_membership(applied.membership.clone());
                }
            }
            results.push(());
        }
        self.member.set_applied(applied);
        Ok(results)
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u64>> {
        let data = snapshot.into_inner();
        let unreadable = |error| StorageIOError::read_snapshot(Some(meta.signature()), &error);
        let dump = snapshot::dump_of(&data, "a leader's snapshot").map_err(unreadable)?;
        self.store_snapshot(meta, &data).await?;
        self.member.restore(Store::restore(dump), applied_of(meta));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError<u64>> {
        let newest = snapshot::newest(&self.disk).await;
        let newest = newest.map_err(|error| StorageIOError::read_snapshot(None, &error))?;
        Ok(newest.map(|found| Snapshot { meta: found.meta, snapshot: Box::new(Cursor::new(found.data)) }))
    }
}
