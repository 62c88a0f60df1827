//! The messages that tell a run's story: not the heartbeats, and of a load's hundreds of writes only those
//! around what happened.

use std::collections::BTreeSet;

use labkit_cluster::TimelineEntry;

use super::FaultReport;
use crate::run::GRADER;

/// How many messages a report keeps.
const KEPT_MAX: usize = 1500;
/// Of a load: what it sent this long before a fault and after it.
const AROUND_MS: u64 = 40;

/// The entries that a report keeps.
pub(crate) fn excerpt(
    entries: Vec<TimelineEntry>,
    loads: &BTreeSet<String>,
    faults: &[FaultReport],
) -> Vec<TimelineEntry> {
    let mut hidden: BTreeSet<u64> = BTreeSet::new();
    let mut shown: BTreeSet<u64> = BTreeSet::new();
    let mut kept: Vec<TimelineEntry> = Vec::new();
    let mut first_writes = 0;
    // The first acknowledgement after each fault ends the outage: it is the story's turn.
    let mut awaited: Vec<u64> =
        faults.iter().filter(|fault| fault.error.is_none()).map(|fault| fault.at_ms).collect();
    for entry in entries {
        let is_hidden_child = entry.cause.is_some_and(|cause| hidden.contains(&cause));
        let is_shown_child = entry.cause.is_some_and(|cause| shown.contains(&cause));
        let is_grader = entry.from == GRADER || entry.to == GRADER;
        let from_load = loads.contains(&entry.from) || loads.contains(&entry.to);
        let near_fault = faults
            .iter()
            .any(|fault| entry.at_ms + AROUND_MS >= fault.at_ms && entry.at_ms <= fault.at_ms + AROUND_MS);
        let keep = if is_grader || entry.noise {
            false
        } else if from_load && !is_shown_child {
            first_writes += u32::from(loads.contains(&entry.from));
            let ends_outage = entry.fields.get("error").is_none()
                && loads.contains(&entry.to)
                && awaited.first().is_some_and(|at| entry.at_ms > at + AROUND_MS);
            if ends_outage {
                awaited.remove(0);
            }
            first_writes <= 2 || near_fault || ends_outage || entry.fields.get("error").is_some()
        } else {
            !is_hidden_child
        };
        if keep {
            shown.insert(entry.id);
            kept.push(entry);
        } else {
            hidden.insert(entry.id);
        }
    }
    kept.truncate(KEPT_MAX);
    kept
}
