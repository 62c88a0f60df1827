//! A live lab's state, to come back to: what was done in it, and when. It is restored by doing all of it again in a
//! fresh world, in the same order and after the same times, as fast as it goes. So a snapshot is as small as a
//! submission, and nothing of a component's memory has to be written down; what chance decides (names that are
//! generated, uids, which member leads) may come out differently.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Answered, Session};
use crate::export::Notes;
use crate::report::CheckReport;
use crate::run::{Performed, millis};
use crate::steps::Step;

/// Everything that was done in a live lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub lab: String,
    /// Of the lab's files: a lab that has changed since is another one.
    pub digest: u64,
    /// What draws the lab's variants.
    pub seed: u64,
    /// How old the lab was, from its first task on.
    pub at_ms: u64,
    /// When each task began.
    tasks: Vec<u64>,
    steps: Vec<Done>,
    answers: BTreeMap<String, Value>,
    /// The checks of tasks that are done.
    done: BTreeMap<usize, Vec<CheckReport>>,
    failed: BTreeSet<String>,
    hints: BTreeSet<usize>,
    faults: u32,
    #[serde(default)]
    answered: BTreeMap<String, Answered>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    at_ms: u64,
    step: Step,
}

/// What happens next while a lab is restored.
enum Next {
    Task(usize),
    Step(Box<Step>),
}

impl Snapshot {
    /// What was done, in order.
    pub fn steps(&self) -> Vec<&Step> {
        self.steps.iter().map(|done| &done.step).collect()
    }
}

impl Session {
    /// The lab's state. `digest` is its folder's.
    pub fn snapshot(&self, digest: u64) -> Snapshot {
        let Notes { tasks, steps, .. } = self.inner.recorder.everything();
        let began = tasks.first().map_or(Duration::ZERO, |(_, began)| *began);
        let since = |at: Duration| millis(at.saturating_sub(began));
        let state = self.locked();
        Snapshot {
            lab: self.lab().metadata.name.clone(),
            digest,
            seed: self.inner.seed,
            at_ms: since(self.inner.run.now()),
            tasks: tasks.iter().map(|(_, at)| since(*at)).collect(),
            steps: steps.into_iter().map(|(at, step)| Done { at_ms: since(at), step }).collect(),
            answers: self.inner.run.answers(),
            done: state.done.clone(),
            failed: state.failed.clone(),
            hints: state.hints.clone(),
            faults: state.faults,
            answered: state.answered.clone(),
        }
    }

    /// Does again what a snapshot says, in a session that has just started. Tells which steps went otherwise.
    pub async fn restore(&self, snapshot: &Snapshot) -> Vec<String> {
        let clock = self.cluster().world().clock().clone();
        let trouble = clock.hurry(self.replay(snapshot)).await;
        if self.cluster().holds_messages() {
            self.stop_for_messages().await;
        }
        for (id, value) in &snapshot.answers {
            self.inner.run.answer(id, value.clone());
        }
        let mut state = self.locked();
        state.done = snapshot.done.clone();
        state.failed = snapshot.failed.clone();
        state.hints = snapshot.hints.clone();
        state.faults = snapshot.faults;
        state.answered = snapshot.answered.clone();
        trouble
    }

    async fn replay(&self, snapshot: &Snapshot) -> Vec<String> {
        let run = &self.inner.run;
        let began = run.began().at;
        let last_task = self.lab().tasks.len();
        let tasks = snapshot.tasks.iter().enumerate().skip(1).take(last_task.saturating_sub(1));
        let tasks = tasks.map(|(index, at_ms)| (*at_ms, Next::Task(index)));
        let steps = snapshot.steps.iter().map(|done| (done.at_ms, Next::Step(Box::new(done.step.clone()))));
        let mut all: Vec<(u64, Next)> = tasks.chain(steps).collect();
        all.sort_by_key(|(at_ms, _)| *at_ms);
        let mut trouble = Vec::new();
        for (at_ms, next) in all {
            self.until(began + Duration::from_millis(at_ms)).await;
            match next {
                Next::Task(index) => self.begin(index),
                Next::Step(step) => {
                    let (verb, doer) = step.verb();
                    let command = doer.command();
                    if let Err(error) = self.again(verb, &step).await {
                        trouble.push(format!("{command}: {error}"));
                    }
                }
            }
        }
        self.until(began + Duration::from_millis(snapshot.at_ms)).await;
        trouble
    }

    async fn until(&self, at: Duration) {
        let left = at.saturating_sub(self.inner.run.now());
        if !left.is_zero() {
            tokio::time::sleep(left).await;
        }
    }

    /// Does a step again. What goes through the API or the store, the recorder sees; the rest is noted here.
    async fn again(&self, verb: &str, step: &Step) -> Result<(), String> {
        let run = &self.inner.run;
        let (at, after) = self.moment();
        match (verb, step.fast_forward) {
            // Time is made to pass already.
            ("fastForward", Some(by)) => tokio::time::sleep(by.0).await,
            _ => match run.perform(step).await {
                Performed::Done(outcome) => drop(outcome.map_err(|failure| failure.error)?),
                Performed::Waits(_) => {}
            },
        }
        if matches!(verb, "fault" | "heal" | "stop" | "start" | "fastForward" | "raft") {
            self.inner.recorder.note(at, after, step.clone());
        }
        Ok(())
    }
}
