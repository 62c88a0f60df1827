//! The messages that tell a run's story: not the heartbeats, and of a load's hundreds of writes only those
//! around what happened.

use std::collections::{BTreeMap, BTreeSet};

use labkit_cluster::TimelineEntry;
use labkit_cluster::timeline::timeline_of;
use labkit_sim::{Record, RecordId};

use super::{FaultReport, LeftOut, Report};
use crate::run::{GRADER, millis};

/// How many messages a report keeps.
const KEPT_MAX: usize = 1500;
/// How many of them may be kept for what they are near to: a fault, a step, the moment a check was settled.
const CITED_MAX: usize = 900;
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

/// The messages that a report keeps, of all that the trace has, and where it has gaps.
pub(crate) fn excerpt(
    records: &[Record],
    loads: &BTreeSet<String>,
    report: &Report,
) -> (Vec<TimelineEntry>, Vec<LeftOut>) {
    let faults = report.faults.iter().flat_map(|fault| [Some(fault.at_ms), fault.healed_ms]);
    let checks = report.checks().map(|(_, check)| check.at_ms);
    let steps = report.steps.iter().map(|step| step.at_ms);
    let mut cues: Vec<u64> = faults.flatten().chain(checks).chain(steps).collect();
    cues.sort_unstable();
    cues.dedup();
    shortened(story(records, loads, &report.faults), &cues, KEPT_MAX)
}

/// At most so many messages: those around each cue, then from the beginning and, twice as many, from the end.
fn shortened(story: Vec<TimelineEntry>, cues: &[u64], most: usize) -> (Vec<TimelineEntry>, Vec<LeftOut>) {
    if story.len() <= most {
        return (story, Vec::new());
    }
    let mut keep = vec![false; story.len()];
    let around = most * CITED_MAX / KEPT_MAX / cues.len().max(1);
    for cue in cues {
        let at = story.partition_point(|entry| entry.at_ms < *cue);
        // What led to it, and what came of it.
        let cited = at.saturating_sub(around / 4)..(at + around - around / 4).min(story.len());
        keep[cited].fill(true);
    }
    let mut left = most.saturating_sub(keep.iter().filter(|keep| **keep).count());
    let head = left / 3;
    for keep in keep.iter_mut().filter(|keep| !**keep).take(head) {
        *keep = true;
        left -= 1;
    }
    keep.iter_mut().rev().filter(|keep| !**keep).take(left).for_each(|keep| *keep = true);
    let (mut kept, mut gaps) = (Vec::with_capacity(most), Vec::new());
    let mut after = 0;
    for (entry, keep) in story.into_iter().zip(keep) {
        if keep {
            after = entry.id;
            kept.push(entry);
            continue;
        }
        match gaps.last_mut() {
            Some(LeftOut { after: of, count, to_ms, .. }) if *of == after => {
                *count += 1;
                *to_ms = entry.at_ms;
            }
            _ => gaps.push(LeftOut { after, count: 1, from_ms: entry.at_ms, to_ms: entry.at_ms }),
        }
    }
    (kept, gaps)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64) -> TimelineEntry {
        TimelineEntry {
            id,
            at_ms: id * 10,
            from: "a".to_owned(),
            to: "b".to_owned(),
            kind: "x".to_owned(),
            text: String::new(),
            cause: None,
            fields: serde_json::Value::Null,
            noise: false,
        }
    }

    #[test]
    fn a_long_story_keeps_its_beginning_its_end_and_what_is_cited() {
        let (kept, gaps) = shortened((1..=10_000).map(entry).collect(), &[40_000, 70_000], 300);
        let has = |id: u64| kept.iter().any(|entry| entry.id == id);
        assert_eq!(kept.len(), 300);
        assert!(has(1) && has(10_000) && has(3_999) && has(4_000) && has(4_060) && has(7_000) && !has(2_000));
        assert_eq!(gaps.iter().map(|gap| gap.count).sum::<usize>() + kept.len(), 10_000);
        assert!(gaps.iter().all(|gap| has(gap.after) && gap.from_ms <= gap.to_ms));
        assert_eq!(gaps.len(), 3);
        let (all, none) = shortened((1..=300).map(entry).collect(), &[40], 300);
        assert_eq!((all.len(), none.len()), (300, 0));
    }

    #[test]
    fn many_cues_do_not_make_it_longer() {
        let cues: Vec<u64> = (0..5000).collect();
        assert_eq!(shortened((1..=4000).map(entry).collect(), &cues, 100).0.len(), 100);
    }
}
