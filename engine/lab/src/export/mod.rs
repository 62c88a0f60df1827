//! What was done in a live lab, as steps that can be replayed: those of `labkit` itself, and what came in from
//! outside clients, with waits between them.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::run::Run;
use crate::span::Span;
use crate::steps::{Step, Wait};

/// Notes what is done, with its time.
#[derive(Debug)]
pub(crate) struct Recorder {
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    task: String,
    /// When the present task began.
    began: Duration,
    steps: Vec<Note>,
}

#[derive(Debug, Clone)]
struct Note {
    task: String,
    /// Since the task began.
    after: Duration,
    step: Step,
}

impl Recorder {
    pub fn start(_run: &Arc<Run>) -> Recorder {
        Recorder { notes: Arc::default() }
    }

    pub fn begin_task(&self, id: &str, at: Duration) {
        let mut notes = self.locked();
        notes.task = id.to_owned();
        notes.began = at;
    }

    pub fn note(&self, at: Duration, step: Step) {
        let mut notes = self.locked();
        let note = Note { task: notes.task.clone(), after: at.saturating_sub(notes.began), step };
        notes.steps.push(note);
    }

    /// Everything so far, with waits in between so that each step comes as late in its task as it was done.
    pub async fn steps(&self) -> Vec<Step> {
        let notes = self.locked().steps.clone();
        let mut steps = Vec::new();
        let (mut task, mut now) = (String::new(), Duration::ZERO);
        for note in notes {
            if note.task != task {
                (task, now) = (note.task.clone(), Duration::ZERO);
            }
            let pause = Duration::from_millis(crate::run::millis(note.after.saturating_sub(now)));
            if !pause.is_zero() {
                steps.push(Step {
                    task: Some(task.clone()),
                    wait: Some(Wait::For(Span(pause))),
                    ..Step::default()
                });
            }
            now = now.max(note.after);
            if let Some(by) = note.step.fast_forward {
                now += by.0;
            }
            steps.push(Step { task: Some(task.clone()), ..note.step });
        }
        steps
    }

    fn locked(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no panic happens under this lock")
    }
}
