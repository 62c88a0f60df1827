//! The last changes of a kind, from which watches are served. Counterpart: `storage/cacher/watch_cache.go`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use labkit_client::Note;
use labkit_sim::RecordId;

use crate::storage::Entry;

/// How many changes are kept at least and at most.
const CAPACITY_MIN: usize = 100;
const CAPACITY_MAX: usize = 102_400;

/// A full window grows rather than drop a change younger than this.
const FRESH: Duration = Duration::from_secs(75);

/// The texts of that many changes are kept: watches that lag more make them anew.
const TOLD_MAX: usize = 256;

/// One write or deletion.
#[derive(Debug)]
pub(crate) struct Change {
    /// The object's key below the kind's prefix.
    pub key: Arc<str>,
    /// What stands there since; of a deletion, the last state with the deletion's revision.
    pub entry: Arc<Entry>,
    pub is_deletion: bool,
    /// What stood there before.
    pub previous: Option<Arc<Entry>>,
    pub cause: Option<RecordId>,
    /// When it was seen, by the world's clock.
    at: Duration,
    told: Mutex<Option<Box<Told>>>,
}

/// What watches and the trace say of a change, made once for all of them.
#[derive(Debug, Default)]
struct Told {
    /// As JSON, without and with managers.
    lines: [Option<Bytes>; 2],
    note: Option<Arc<Note>>,
}

impl Change {
    pub fn new(
        key: Arc<str>,
        entry: Arc<Entry>,
        is_deletion: bool,
        previous: Option<Arc<Entry>>,
        cause: Option<RecordId>,
        at: Duration,
    ) -> Change {
        Change { key, entry, is_deletion, previous, cause, at, told: Mutex::default() }
    }

    /// What it is to a watch that selects everything.
    pub fn kind(&self) -> &'static str {
        match (&self.previous, self.is_deletion) {
            (_, true) => "DELETED",
            (Some(_), false) => "MODIFIED",
            (None, false) => "ADDED",
        }
    }

    /// The event as [`Change::kind`] of the object as it is stored.
    pub fn line(&self, managed_fields: bool, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut told = self.told();
        told.get_or_insert_default().lines[usize::from(managed_fields)].get_or_insert_with(make).clone()
    }

    /// What the trace says of that event.
    pub fn note(&self, make: impl FnOnce() -> Note) -> Arc<Note> {
        let mut told = self.told();
        told.get_or_insert_default().note.get_or_insert_with(|| Arc::new(make())).clone()
    }

    fn told(&self) -> MutexGuard<'_, Option<Box<Told>>> {
        self.told.lock().expect("no panic happens under this lock")
    }
}

/// A ring of changes, numbered without gaps.
#[derive(Debug)]
pub(crate) struct Window {
    changes: VecDeque<Arc<Change>>,
    /// The number of the first change that is kept.
    first: u64,
    capacity: usize,
    /// Every change after this revision is here.
    complete_after: i64,
}

impl Window {
    /// An empty window of a collection that was listed at `revision`.
    pub fn since(revision: i64) -> Window {
        Window { changes: VecDeque::new(), first: 0, capacity: CAPACITY_MIN, complete_after: revision }
    }

    pub fn push(&mut self, change: Change) {
        if self.changes.len() >= self.capacity {
            let is_fresh = |index: usize| change.at.saturating_sub(self.changes[index].at) < FRESH;
            if is_fresh(0) && self.capacity < CAPACITY_MAX {
                self.capacity = (self.capacity * 2).min(CAPACITY_MAX);
            } else if !is_fresh(self.capacity - self.capacity / 4) && self.capacity > CAPACITY_MIN {
                self.capacity = (self.capacity / 2).max(CAPACITY_MIN);
            }
            while self.changes.len() >= self.capacity {
                let oldest = self.changes.pop_front().expect("it is full");
                self.complete_after = oldest.entry.revision;
                self.first += 1;
            }
        }
        self.changes.push_back(Arc::new(change));
        if let Some(index) = self.changes.len().checked_sub(TOLD_MAX + 1) {
            *self.changes[index].told() = None;
        }
    }

    /// The number from which on changes are newer than `revision`; `Err` with the oldest revision that would do.
    pub fn cursor_after(&self, revision: i64) -> Result<u64, i64> {
        if revision < self.complete_after {
            return Err(self.complete_after);
        }
        let skipped = self.changes.partition_point(|change| change.entry.revision <= revision);
        Ok(self.first + skipped as u64)
    }

    /// The number after the newest change.
    pub fn end(&self) -> u64 {
        self.first + self.changes.len() as u64
    }

    /// The change of that number. `Err` when it is gone already.
    pub fn get(&self, number: u64) -> Result<Option<Arc<Change>>, Gone> {
        let index = number.checked_sub(self.first).ok_or(Gone)?;
        Ok(usize::try_from(index).ok().and_then(|index| self.changes.get(index)).cloned())
    }
}

/// The change was dropped from the window before it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

#[cfg(test)]
mod tests {
    use super::*;
    use labkit_api::Object;

    fn change(revision: i64, at: u64) -> Change {
        let entry = Arc::new(Entry::unstored(Object::default()).at(revision));
        Change::new("x".into(), entry, false, None, None, Duration::from_secs(at))
    }

    #[test]
    fn a_cursor_starts_after_its_revision() {
        let mut window = Window::since(10);
        window.push(change(12, 0));
        window.push(change(15, 0));
        assert_eq!(window.cursor_after(9), Err(10));
        assert_eq!(window.cursor_after(10), Ok(0));
        assert_eq!(window.cursor_after(12), Ok(1));
        assert_eq!(window.cursor_after(99), Ok(2));
        assert_eq!(window.get(1).unwrap().unwrap().entry.revision, 15);
        assert!(window.get(2).unwrap().is_none());
    }

    #[test]
    fn young_changes_make_the_window_grow_and_old_ones_leave_it() {
        let mut window = Window::since(0);
        for revision in 1..=150 {
            window.push(change(revision, 0));
        }
        assert_eq!(window.cursor_after(0), Ok(0));
        for revision in 151..=300 {
            window.push(change(revision, 100));
        }
        assert_eq!(window.cursor_after(0), Err(100));
        assert_eq!(window.get(0).err(), Some(Gone));
    }

    #[test]
    fn a_window_of_old_changes_becomes_smaller() {
        let mut window = Window::since(0);
        for revision in 1..=400 {
            window.push(change(revision, 0));
        }
        window.push(change(401, 100));
        assert_eq!(window.cursor_after(0), Err(201));
        window.push(change(402, 200));
        assert_eq!(window.cursor_after(0), Err(302));
    }
}
