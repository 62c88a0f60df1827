//! News of the world: wakes whoever waits for a condition when something was said that may matter. What the
//! grader's own reads cause, and Raft's replication, is no news; so reading cannot wake itself for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use labkit_sim::{Component, Record, RecordId};
use tokio::sync::watch;

use super::GRADER;

/// What was said within this time is one piece of news, judged when its effects have settled.
const SETTLED_AFTER: Duration = Duration::from_millis(1);

/// How many of the grader's own records are remembered; what is older causes nothing any more.
const OWN_MAX: usize = 20_000;

/// How much news there was so far.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    beats: watch::Sender<u64>,
}

impl Pulse {
    pub fn start(grader: &Component) -> Pulse {
        let beats = watch::Sender::new(0);
        let sender = beats.clone();
        let (trace, clock) = (grader.world().trace().clone(), grader.world().clock().clone());
        let mut seen = trace.last_id();
        grader.spawn(async move {
            let mut own = BTreeSet::new();
            loop {
                trace.after(seen).await;
                tokio::select! {
                    biased;
                    () = clock.frozen() => {}
                    () = tokio::time::sleep(SETTLED_AFTER) => {}
                }
                let mut news = false;
                for record in trace.since(seen) {
                    seen = record.id;
                    news |= is_news(&record, &mut own);
                }
                if own.len() > OWN_MAX {
                    own = own.split_off(&seen.saturating_sub(OWN_MAX as u64 / 2));
                }
                if news {
                    sender.send_modify(|beats| *beats += 1);
                }
            }
        });
        Pulse { beats }
    }

    /// Tells news that no message tells, such as a process that was killed.
    pub fn beat(&self) {
        self.beats.send_modify(|beats| *beats += 1);
    }

    pub fn count(&self) -> u64 {
        *self.beats.borrow()
    }

    /// Waits for news after the first `count` pieces.
    pub async fn after(&self, count: u64) {
        let mut beats = self.beats.subscribe();
        beats.wait_for(|beats| *beats > count).await.map(drop).expect("this pulse keeps the sender");
    }
}

fn is_news(record: &Record, own: &mut BTreeSet<RecordId>) -> bool {
    let is_own = &*record.from == GRADER
        || &*record.to == GRADER
        || record.cause.is_some_and(|cause| own.contains(&cause));
    if is_own {
        own.insert(record.id);
        return false;
    }
    !matches!(record.payload.kind(), "AppendEntries" | "AppendEntriesResponse")
}
