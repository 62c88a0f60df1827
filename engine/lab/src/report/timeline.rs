//! The messages that tell a run's story: not the heartbeats, and of a load's hundreds of writes only those
//! around what happened.

use std::collections::{BTreeMap, BTreeSet};

use labkit_cluster::TimelineEntry;

use super::FaultReport;
use crate::run::GRADER;

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
    root: u64,
    sent_ms: u64,
    answered_ms: Option<u64>,
}

/// The entries that a report keeps.
pub(crate) fn excerpt(
    entries: Vec<TimelineEntry>,
    loads: &BTreeSet<String>,
    faults: &[FaultReport],
) -> Vec<TimelineEntry> {
    // The write to which each entry belongs, by way of its causes.
    let mut roots: BTreeMap<u64, u64> = BTreeMap::new();
    let mut writes: Vec<Write> = Vec::new();
    for entry in &entries {
        let inherited = entry.cause.and_then(|cause| roots.get(&cause).copied());
        if let Some(root) = inherited {
            roots.insert(entry.id, root);
            if loads.contains(&entry.to)
                && entry.fields.get("error").is_none()
                && let Ok(index) = writes.binary_search_by_key(&root, |write| write.root)
            {
                writes[index].answered_ms = Some(entry.at_ms);
            }
        } else if loads.contains(&entry.from) {
            roots.insert(entry.id, entry.id);
            writes.push(Write { root: entry.id, sent_ms: entry.at_ms, answered_ms: None });
        }
    }
    let told = told(&writes, faults);
    let mut hidden: BTreeSet<u64> = BTreeSet::new();
    let mut kept = entries;
    kept.retain(|entry| {
        let is_grader = entry.from == GRADER || entry.to == GRADER;
        // That a commit moved on is told apart from any write.
        let tells_commit_only = entry.kind == "AppendEntries" && entry.fields["entries"] == 0;
        let caused_by_hidden = entry.cause.is_some_and(|cause| hidden.contains(&cause));
        let keep = match roots.get(&entry.id) {
            Some(root) => told.contains(root),
            None => !(is_grader || entry.noise || tells_commit_only || caused_by_hidden),
        };
        if !keep {
            hidden.insert(entry.id);
        }
        keep
    });
    kept.truncate(KEPT_MAX);
    kept
}

/// The roots of the writes that are told: the first ones, those near a fault, those without an answer, and the
/// first that was answered after each fault.
fn told(writes: &[Write], faults: &[FaultReport]) -> BTreeSet<u64> {
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
