//! Committed proposals become changes of the member's store; who waits for one gets its answer here.

use std::io::Cursor;
use std::sync::Arc;

use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, Snapshot, SnapshotMeta, StorageError, StorageIOError};

use super::log::{decode, encode};
use super::{Entry, LogId, Membership, Node, TypeConfig};
use crate::member::Member;
use crate::mvcc::Store;

const SNAPSHOT: &str = "member/snap";

type Meta = SnapshotMeta<u64, Node>;

/// How far the store is in the log, and the membership at that point.
#[derive(Debug, Default, Clone)]
pub(crate) struct Applied {
    pub log_id: Option<LogId>,
    pub membership: Membership,
}

#[derive(Debug, Clone)]
pub(crate) struct Machine {
    member: Arc<Member>,
}

impl Machine {
    /// Begins with the snapshot on the member's disk, if there is one.
    pub fn open(member: Arc<Member>) -> Machine {
        let machine = Machine { member };
        if let Some((meta, data)) = machine.stored() {
            machine.member.restore(Store::restore(decode(&data.into())), applied_of(&meta));
        }
        machine
    }

    fn stored(&self) -> Option<(Meta, Vec<u8>)> {
        let records = self.member.disk().read(SNAPSHOT);
        let [meta, data] = records.as_slice() else { return None };
        Some((decode(meta), data.to_vec()))
    }

    fn store_snapshot(&self, meta: &Meta, data: &[u8]) -> Result<(), StorageError<u64>> {
        let records = vec![encode(meta), data.to_vec().into()];
        self.member
            .disk()
            .replace(SNAPSHOT, records)
            .map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), &error).into())
    }
}

fn applied_of(meta: &Meta) -> Applied {
    Applied { log_id: meta.last_log_id, membership: meta.last_membership.clone() }
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError<u64>> {
        let (applied, dump) = self.member.dump();
        let data = encode(&dump).to_vec();
        let meta = Meta {
            snapshot_id: applied.log_id.map(|id| id.to_string()).unwrap_or_default(),
            last_log_id: applied.log_id,
            last_membership: applied.membership,
        };
        self.store_snapshot(&meta, &data)?;
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
                EntryPayload::Normal(proposal) => self.member.apply(proposal),
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
        self.store_snapshot(meta, &data)?;
        self.member.restore(Store::restore(decode(&data.into())), applied_of(meta));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError<u64>> {
        Ok(self.stored().map(|(meta, data)| Snapshot { meta, snapshot: Box::new(Cursor::new(data)) }))
    }
}
