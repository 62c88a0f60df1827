//! The messages that tell a run's story: not the heartbeats, and of a load's hundreds of writes only those
//! around what happened.

use std::collections::{BTreeMap, BTreeSet};

use labkit_cluster::TimelineEntry;
use labkit_cluster::timeline::timeline_of;
use labkit_sim::{Record, RecordId};

use super::FaultReport;
use crate::run::{GRADER, millis};

/// How many messages a report keeps.
const KEPT_MAX: usize = 1500;
/// Writes of a load that are kept from its beginning.
const FIRST_WRITES: usize = 2;
/// What a load sent this long before a fault and after it is kept.
const AROUND_MS: u64 = 15;
/// Writes without an answer that are kept.
const UNANSWERED_MAX: usize = 12;

/// A write of a load, and what became of it.
struct Write {
    root: RecordId,
    sent_ms: u64,
    answered_ms: Option<u64>,
}

/// The messages that a report keeps, of all that the trace has.
pub(crate) fn excerpt(
    records: &[Record],
    loads: &BTreeSet<String>,
    faults: &[FaultReport],
) -> Vec<TimelineEntry> {
    let mut kept = story(records, loads, faults);
    kept.truncate(KEPT_MAX);
    kept
}

/// The messages that tell the run's story, however many. Only those are rendered that may be kept.
pub(crate) fn story(
    records: &[Record],
    loads: &BTreeSet<String>,
    faults: &[FaultReport],
) -> Vec<TimelineEntry> {
    let mut groups = Groups::default();
    for record in records {
        groups.take_in(record, loads);
    }
    let told = told(&groups.writes, faults);
    let mut hidden: BTreeSet<RecordId> = BTreeSet::new();
    let is_kept = |record: &&Record| {
        if let Some(root) = groups.roots.get(&record.id) {
            return told.contains(root);
        }
        let caused_by_hidden = record.cause.is_some_and(|cause| hidden.contains(&cause));
        let hide = caused_by_hidden || record.payload.is_routine() || tells_commit_only(record);
        if hide {
            hidden.insert(record.id);
        }
        !hide && !groups.graders.contains(&record.id)
    };
    timeline_of(records.iter().filter(is_kept))
}

/// That a commit moved on is told apart from any write.
fn tells_commit_only(record: &Record) -> bool {
    record.payload.kind() == "AppendEntries" && record.payload.fields()["entries"] == 0
}

/// Which records belong to a load's writes, and which to the grader.
#[derive(Default)]
struct Groups {
    /// The write to which a record belongs, by way of its causes.
    roots: BTreeMap<RecordId, RecordId>,
    writes: Vec<Write>,
    graders: BTreeSet<RecordId>,
}

impl Groups {
    fn take_in(&mut self, record: &Record, loads: &BTreeSet<String>) {
        let at_ms = millis(record.at);
        if let Some(root) = record.cause.and_then(|cause| self.roots.get(&cause).copied()) {
            self.roots.insert(record.id, root);
            if loads.contains(&*record.to)
                && record.payload.fields().get("error").is_none()
                && let Ok(index) = self.writes.binary_search_by_key(&root, |write| write.root)
            {
                self.writes[index].answered_ms = Some(at_ms);
            }
        } else if loads.contains(&*record.from) {
            self.roots.insert(record.id, record.id);
            self.writes.push(Write { root: record.id, sent_ms: at_ms, answered_ms: None });
        } else if &*record.from == GRADER
            || &*record.to == GRADER
            || record.cause.is_some_and(|cause| self.graders.contains(&cause))
        {
            self.graders.insert(record.id);
        }
    }
}

/// The roots of the writes that are told: the first ones, those near a fault, those without an answer, and the
/// first that was answered after each fault.
fn told(writes: &[Write], faults: &[FaultReport]) -> BTreeSet<RecordId> {
    let struck: Vec<u64> =
        faults.iter().filter(|fault| fault.error.is_none()).map(|fault| fault.at_ms).collect();
    let first = writes.iter().take(FIRST_WRITES);
    let near = writes.iter().filter(|write| struck.iter().any(|at| write.sent_ms.abs_diff(*at) <= AROUND_MS));
    let unanswered = writes.iter().filter(|write| write.answered_ms.is_none()).take(UNANSWERED_MAX);
    let recovered = struck
        .iter()
        .filter_map(|at| writes.iter().find(|write| write.answered_ms.is_some_and(|a| a > at + AROUND_MS)));
    first.chain(near).chain(unanswered).chain(recovered).map(|write| write.root).collect()
}
