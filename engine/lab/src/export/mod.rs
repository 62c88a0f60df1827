//! What was done in a live lab, as steps that can be replayed: those of `labkit` itself, and what came in from
//! outside clients, with waits between them.

mod objects;
mod writes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use labkit_sim::RecordId;

use crate::grade::STEPS_MAX;
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
    /// late in its task as it was done, and each task ends as late as it was found done; the present one at `settled`.
    pub fn steps(&self, allowed: &[String], settled: Duration) -> Vec<Step> {
        let is_allowed = |verb: &str| allowed.iter().any(|allowed| allowed == verb);
        let notes = self.locked();
        let mut noted = notes.steps.iter().filter(|(_, step)| is_allowed(step.verb().0)).peekable();
        let mut steps = Vec::new();
        let waits = |task: &str, from: Duration, to: Duration| {
            let pause = Duration::from_millis(millis(to.saturating_sub(from)));
            let wait = Step { wait: Some(Wait::For(Span(pause))), ..Step::default() };
            (!pause.is_zero() && is_allowed("wait")).then(|| Step { task: Some(task.to_owned()), ..wait })
        };
        for (index, (id, began)) in notes.tasks.iter().enumerate() {
            let next = notes.tasks.get(index + 1).map(|(_, next)| *next);
            let mut now = *began;
            while let Some((at, step)) = noted.next_if(|(at, _)| next.is_none_or(|next| *at < next)) {
                steps.extend(waits(id, now, *at));
                now = now.max(*at) + step.fast_forward.map_or(Duration::ZERO, |by| by.0);
                steps.push(Step { task: Some(id.clone()), ..step.clone() });
            }
            steps.extend(waits(id, now, next.unwrap_or(settled)));
        }
        fit(&mut steps, STEPS_MAX.saturating_sub(SLACK));
        steps
    }

    /// How often what was done is not among what a submission may say, by verb.
    pub fn left_out(&self, allowed: &[String]) -> BTreeMap<String, usize> {
        let mut left_out = BTreeMap::new();
        for (_, step) in &self.locked().steps {
            let verb = step.verb().0;
            if !allowed.iter().any(|allowed| allowed == verb) {
                *left_out.entry(verb.to_owned()).or_default() += 1;
            }
        }
        left_out
    }

    fn locked(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no panic happens under this lock")
    }
}

/// What a graded run takes for its setup, and for steps that wait by themselves.
const SLACK: Duration = Duration::from_secs(10 * 60);

/// Shortens the longest waits to one length so that all steps fit into the time of a graded run. Somebody went to
/// sleep meanwhile; what a lab is about takes minutes, and whoever wants more lets time pass by a step.
fn fit(steps: &mut [Step], time: Duration) {
    let jumps: Duration = steps.iter().filter_map(|step| step.fast_forward).map(|by| by.0).sum();
    let mut left = time.saturating_sub(jumps);
    let mut waits: Vec<&mut Duration> = steps.iter_mut().filter_map(waited).collect();
    waits.sort();
    let mut count = u32::try_from(waits.len()).unwrap_or(u32::MAX);
    for wait in waits {
        *wait = (*wait).min(left / count);
        left -= *wait;
        count -= 1;
    }
}

fn waited(step: &mut Step) -> Option<&mut Duration> {
    match &mut step.wait {
        Some(Wait::For(span)) => Some(&mut span.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(tasks: &[(&str, u64)], steps: &[(u64, &str)]) -> Recorder {
        let notes = Notes {
            tasks: tasks.iter().map(|(id, at)| ((*id).to_owned(), Duration::from_secs(*at))).collect(),
            steps: steps
                .iter()
                .map(|(at, step)| (Duration::from_secs(*at), serde_yaml::from_str(step).unwrap()))
                .collect(),
            order: Vec::new(),
        };
        Recorder { notes: Arc::new(Mutex::new(notes)) }
    }

    #[track_caller]
    fn check(recorder: &Recorder, allowed: &[&str], settled: u64, expected: &[&str]) {
        let allowed: Vec<String> = allowed.iter().map(|verb| (*verb).to_owned()).collect();
        let steps = recorder.steps(&allowed, Duration::from_secs(settled));
        let told: Vec<String> = steps
            .iter()
            .map(|step| format!("{}: {}", step.task.as_deref().unwrap_or_default(), step.verb().1.command()))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn each_step_comes_as_late_as_it_was_done_and_each_task_ends_as_late() {
        let recorder = recorder(
            &[("one", 10), ("two", 100), ("three", 160)],
            &[(20, "etcdctl: put a b"), (30, "fastForward: 40s"), (130, "stop: scheduler")],
        );
        let all = ["etcdctl", "fastForward", "stop", "wait"];
        let expected = [
            "one: sleep 10s",
            "one: etcdctl put a b",
            "one: sleep 10s",
            "one: labkit clock +40s",
            "one: sleep 30s",
            "two: sleep 30s",
            "two: labkit fault stop scheduler",
            "two: sleep 30s",
            "three: sleep 5s",
        ];
        check(&recorder, &all, 165, &expected);
        check(&recorder, &["stop"], 165, &["two: labkit fault stop scheduler"]);
        let left_out = recorder.left_out(&["stop".to_owned()]);
        assert_eq!(left_out, BTreeMap::from([("etcdctl".to_owned(), 1), ("fastForward".to_owned(), 1)]));
    }

    #[test]
    fn a_night_between_two_steps_fits_a_graded_run() {
        let recorder = recorder(&[("one", 0)], &[(60, "etcdctl: put a b"), (40_060, "fastForward: 10m")]);
        let all = ["etcdctl", "fastForward", "wait"];
        let expected =
            ["one: sleep 1m0s", "one: etcdctl put a b", "one: sleep 1h39m0s", "one: labkit clock +10m0s"];
        check(&recorder, &all, 40_060, &expected);
    }
}
