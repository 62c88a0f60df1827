//! The versions of one key, oldest first. Counterpart of `key_index.go`, whose generations are here the
//! stretches between tombstones: puts at 2 and 5, a deletion at 7 and a put at 9 make
//! `[put 2, put 5, tombstone 7, put 9]`, two generations.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::KeyValue;

/// When something changed: the store's revision, and the place among the changes of that revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub main: i64,
    pub sub: i64,
}

#[derive(Debug)]
pub(crate) struct Version {
    pub revision: Revision,
    /// `None` is a tombstone.
    pub kv: Option<Arc<KeyValue>>,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    versions: Vec<Version>,
}

impl History {
    pub fn push(&mut self, version: Version) {
        debug_assert!(
            self.versions.last().is_none_or(|last| last.revision < version.revision),
            "revisions only grow"
        );
        if self.versions.is_empty() {
            // Most keys are written once.
            self.versions.reserve_exact(1);
        }
        self.versions.push(version);
    }

    /// The key as it stood at revision `at`, if it existed then.
    pub fn at(&self, at: i64) -> Option<&KeyValue> {
        let after = match self.versions.last() {
            Some(last) if last.revision.main <= at => self.versions.len(),
            _ => self.versions.partition_point(|version| version.revision.main <= at),
        };
        self.versions[..after].last()?.kv.as_deref()
    }

    /// Forgets the versions that no read at `revision` or later can see, and returns them.
    pub fn compact(&mut self, revision: i64) -> Vec<Version> {
        let seen = self.versions.partition_point(|version| version.revision.main <= revision);
        let keeps_last = self.versions[..seen].last().is_some_and(|version| version.kv.is_some());
        self.versions.drain(..seen - usize::from(keeps_last)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    pub fn versions(&self) -> &[Version] {
        &self.versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history from a line such as `2 5 -7 9`: versions by main revision, tombstones negative.
    fn history(line: &str) -> History {
        let mut history = History::default();
        for number in line.split_whitespace().map(|word| word.parse::<i64>().unwrap()) {
            let kv = (number > 0).then(|| Arc::new(KeyValue { mod_revision: number, ..KeyValue::default() }));
            history.push(Version { revision: Revision { main: number.abs(), sub: 0 }, kv });
        }
        history
    }

    #[track_caller]
    fn check_compact(before: &str, revision: i64, after: &str) {
        let mut compacted = history(before);
        compacted.compact(revision);
        let left: Vec<String> = compacted
            .versions()
            .iter()
            .map(|v| if v.kv.is_some() { v.revision.main } else { -v.revision.main }.to_string())
            .collect();
        assert_eq!(left.join(" "), after);
    }

    #[test]
    fn a_key_is_read_as_it_stood() {
        let history = history("2 5 -7 9");
        let at = |revision| history.at(revision).map(|kv| kv.mod_revision);
        assert_eq!(
            [1, 2, 4, 5, 6, 7, 8, 9, 99].map(at),
            [None, Some(2), Some(2), Some(5), Some(5), None, None, Some(9), Some(9)]
        );
    }

    #[test]
    fn compaction_keeps_what_a_read_at_its_revision_sees() {
        check_compact("2 5 -7 9", 1, "2 5 -7 9");
        check_compact("2 5 -7 9", 5, "5 -7 9");
        check_compact("2 5 -7 9", 6, "5 -7 9");
        check_compact("2 5 -7 9", 7, "9");
        check_compact("2 5 -7 9", 9, "9");
        check_compact("2 5 -7", 8, "");
    }
}
