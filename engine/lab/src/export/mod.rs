//! What was done in a live lab, as steps that can be replayed: those of `labkit` itself, and what came in from
//! outside clients, with waits between them.

mod objects;
mod writes;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use labkit_sim::RecordId;

use crate::run::{Run, millis};
use crate::span::Span;
use crate::steps::{Step, Wait};

/// Notes what is done, with its time.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    notes: Arc<Mutex<Notes>>,
}

/// What was noted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    /// The tasks that have begun, and when.
    pub tasks: Vec<(String, Duration)>,
    /// In the order in which they were begun.
    pub steps: Vec<(Duration, Step)>,
    /// Of each step: when, and after which record.
    order: Vec<(Duration, RecordId)>,
}

impl Recorder {
    /// Notes from now on what outside clients write.
    pub fn start(run: &Arc<Run>) -> Recorder {
        let recorder = Recorder { notes: Arc::default() };
        let seen = run.cluster.world().trace().last_id();
        run.spawn(writes::follow(run.clone(), recorder.clone(), seen));
        recorder
    }

    pub fn begin_task(&self, id: &str, at: Duration) {
        self.locked().tasks.push((id.to_owned(), at));
    }

    /// Notes a step that was done when the trace had come to the record `after`. While time stands, that alone tells
    /// what came first: a write is noted when it is answered.
    pub fn note(&self, at: Duration, after: RecordId, step: Step) {
        let mut notes = self.locked();
        let place = notes.order.partition_point(|before| *before <= (at, after));
        notes.order.insert(place, (at, after));
        notes.steps.insert(place, (at, step));
    }

    /// Everything so far, in order.
    pub fn everything(&self) -> Notes {
        self.locked().clone()
    }

    /// What was done so far, as far as a submission may say it: with waits in between so that each step comes as
    /// late in its task as it was done.
    pub fn steps(&self, allowed: &[String]) -> Vec<Step> {
        let notes = self.locked();
        let mut noted = notes.steps.clone();
        noted.retain(|(_, step)| allowed.iter().any(|allowed| allowed == step.verb().0));
        let mut steps = Vec::new();
        let (mut task, mut now) = (None, Duration::ZERO);
        for (at, step) in noted {
            let of = notes.tasks.iter().rev().find(|(_, began)| *began <= at).or(notes.tasks.first());
            let Some((id, began)) = of else { continue };
            if task.as_ref() != Some(id) {
                (task, now) = (Some(id.clone()), *began);
            }
            let pause = Duration::from_millis(millis(at.saturating_sub(now)));
            if !pause.is_zero() {
                steps.push(Step {
                    task: task.clone(),
                    wait: Some(Wait::For(Span(pause))),
                    ..Step::default()
                });
            }
            now = now.max(at) + step.fast_forward.map_or(Duration::ZERO, |by| by.0);
            steps.push(Step { task: task.clone(), ..step });
        }
        steps
    }

    fn locked(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no panic happens under this lock")
    }
}
