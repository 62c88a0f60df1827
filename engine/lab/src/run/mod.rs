//! A lab that is being played: its cluster, what struck it, what was written and answered. Grading and live
//! play drive the same one.

mod faults;
mod history;
mod load;
mod pulse;
mod timing;
mod variables;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use labkit_api::duration::format_duration;
use labkit_cluster::Cluster;
use labkit_cluster::client::Client;
use labkit_sim::{Component, RecordId};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::lab::Lab;
use crate::report::{FaultReport, StepReport, shortened};
use crate::steps::{LoadStep, Step, StepResult};
use crate::template;

use faults::Struck;
pub(crate) use load::Load;
use pulse::Pulse;
pub(crate) use timing::{Judged, Watch};
pub(crate) use variables::VARIABLES;

/// The steps that ask the cluster for something.
const ASKING: &[&str] = &["apply", "create", "replace", "patch", "delete", "scale", "etcdctl"];

/// What a step that waits has printed so far.
const WAITS: &str = "(no answer yet: messages are held)";

/// How far a step got.
pub(crate) enum Performed {
    Done(StepResult),
    /// Its answer waits for messages that are held.
    Waits(JoinHandle<StepResult>),
}

/// The name under which the grader reads; what it causes in the trace is not news.
pub(crate) const GRADER: &str = "grader";

/// A lab that is being played.
#[derive(Debug)]
pub(crate) struct Run {
    pub lab: Lab,
    pub cluster: Cluster,
    /// Whether `${...}` in submissions is evaluated: they are the course's own.
    pub trusted: bool,
    /// Whether reports may tell what the right answer was.
    pub reveal_answers: bool,
    /// When the world's time is up for what a submission does.
    pub until: Duration,
    grader: Component,
    pulse: Pulse,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    began: Began,
    faults: BTreeMap<String, Struck>,
    loads: BTreeMap<String, Load>,
    answers: BTreeMap<String, Value>,
    observed: BTreeMap<String, Value>,
    steps: Vec<StepReport>,
}

/// How the world stood when the present task began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Began {
    pub at: Duration,
    /// The trace's newest record.
    pub record: RecordId,
    pub term: u64,
    pub leader: Option<String>,
}

impl Run {
    /// A lab on a booted cluster. Steps may be done until the world is `until` old.
    pub fn new(lab: Lab, cluster: Cluster, trusted: bool, reveal_answers: bool, until: Duration) -> Arc<Run> {
        let grader = cluster.world().component(GRADER);
        let pulse = Pulse::start(&grader);
        Arc::new(Run { lab, cluster, trusted, reveal_answers, until, grader, pulse, state: Mutex::default() })
    }

    /// Spawns a task that lives as long as the lab.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.grader.spawn(task);
    }

    pub fn now(&self) -> Duration {
        self.cluster.world().clock().elapsed()
    }

    /// Marks the beginning of a task.
    pub fn begin_task(&self) {
        let members = self.cluster.etcd().members();
        let began = Began {
            at: self.now(),
            record: self.cluster.world().trace().last_id(),
            term: members.iter().map(|member| member.term).max().unwrap_or_default(),
            leader: self.cluster.etcd().leader(),
        };
        self.locked().began = began;
    }

    /// How much news there was so far.
    pub fn news_so_far(&self) -> u64 {
        self.pulse.count()
    }

    /// Waits for news after the first `count` pieces.
    pub async fn news_after(&self, count: u64) {
        self.pulse.after(count).await;
    }

    /// Tells news that no message tells.
    pub fn beat(&self) {
        self.pulse.beat();
    }

    pub fn began(&self) -> Began {
        self.locked().began.clone()
    }

    pub fn reveals_answers(&self) -> bool {
        self.reveal_answers
    }

    /// The API as the person at the keyboard uses it.
    pub fn kubectl(&self) -> Result<Client, String> {
        self.client("kubectl")
    }

    /// The API as checks use it. Short deadlines: a check wants to know that nobody answers.
    pub fn grader(&self) -> Result<Client, String> {
        self.client(GRADER).map(|client| client.with_timeout(Duration::from_secs(2)))
    }

    fn client(&self, from: &str) -> Result<Client, String> {
        self.cluster.client(from).ok_or_else(|| "this lab has no API server".to_owned())
    }

    /// Runs one step and notes what came of it.
    pub async fn step(self: &Arc<Run>, step: &Step, templates: bool) -> Result<(), String> {
        let at = self.now();
        let mut waits = None;
        let outcome = match if templates { self.filled_in(step).await } else { Ok(step.clone()) } {
            Ok(step) => {
                let (_, verb) = step.verb();
                let left = self.until.saturating_sub(at);
                let used_up = || Err(format!("the run's {} are used up", format_duration(self.until)).into());
                let outcome = match tokio::time::timeout(left, self.perform(&step)).await {
                    Ok(Performed::Done(outcome)) => outcome,
                    Ok(Performed::Waits(answer)) => {
                        waits = Some(answer);
                        Ok(WAITS.to_owned())
                    }
                    Err(_elapsed) => used_up(),
                };
                (verb.command(), outcome)
            }
            Err(error) => (step.verb().1.command(), Err(error.into())),
        };
        let (command, outcome) = outcome;
        let (output, error) = match outcome {
            Ok(output) => (output, None),
            Err(failure) => (failure.output, Some(failure.error)),
        };
        let report = StepReport {
            command: shortened(command),
            at_ms: millis(at),
            output: shortened(output),
            error: error.clone().map(shortened),
        };
        let index = {
            let mut state = self.locked();
            state.steps.push(report);
            state.steps.len() - 1
        };
        if let Some(answer) = waits {
            let run = self.clone();
            self.spawn(async move { run.complete(index, answer).await });
        }
        error.map_or(Ok(()), Err)
    }

    /// Does a step. While the messages between the store's members are held, who asks the cluster for something
    /// would wait for the very messages that the next steps deliver: so those go on meanwhile.
    pub(crate) async fn perform(self: &Arc<Run>, step: &Step) -> Performed {
        let (name, verb) = step.verb();
        if !ASKING.contains(&name) || !self.cluster.holds_messages() {
            return Performed::Done(verb.run(self, step).await);
        }
        let (run, step) = (self.clone(), step.clone());
        let answer = self.grader.spawn(async move { step.verb().1.run(&run, &step).await });
        self.cluster.world().settle().await;
        match answer.is_finished() {
            true => Performed::Done(answer.await.unwrap_or_else(|_| Err("the step broke off".into()))),
            false => Performed::Waits(answer),
        }
    }

    /// Puts the answer of a step that had to wait into its report.
    async fn complete(&self, index: usize, answer: JoinHandle<StepResult>) {
        // One that broke off is a bug that the world tells of.
        let Ok(outcome) = answer.await else { return };
        let (output, error) = match outcome {
            Ok(output) => (output, None),
            Err(failure) => (failure.output, Some(failure.error)),
        };
        let report = &mut self.locked().steps[index];
        report.output = shortened(output);
        report.error = error.map(shortened);
    }

    /// The step with its templates evaluated. `${n}` is the load's own.
    async fn filled_in(&self, step: &Step) -> Result<Step, String> {
        let mut value = serde_json::to_value(step).expect("a step is plain data");
        if !template::is_in(&value) && value.get("answer").is_none() {
            // To read it anew would compile its expressions once more.
            return Ok(step.clone());
        }
        self.fill_in(&mut value).await?;
        if let Some(answer) = value.pointer_mut("/answer/value") {
            // `{cel: ..., history: ...}`, for answers that take more than a template.
            if let Some(condition) = condition_of(answer) {
                *answer = self.evaluate(&condition).await?;
            }
        }
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// Evaluates every template of a value.
    pub async fn fill_in(&self, value: &mut Value) -> Result<(), String> {
        let mut found = Vec::new();
        template::expressions(value, "", &mut found);
        let mut known = BTreeMap::new();
        for (_, expression) in found {
            if expression != "n" && !known.contains_key(&expression) {
                let cel = crate::cel::Cel::compile(&expression).map_err(|error| error.to_string())?;
                let result = self.evaluate(&crate::cel::Condition::alone(cel)).await;
                let result = result.map_err(|error| format!("${{{expression}}}: {error}"))?;
                known.insert(expression, result);
            }
        }
        template::substitute(value, &known);
        Ok(())
    }

    pub fn answer(&self, id: &str, value: Value) {
        self.locked().answers.insert(id.to_owned(), value);
        self.pulse.beat();
    }

    pub fn answered(&self, id: &str) -> Option<Value> {
        self.locked().answers.get(id).cloned()
    }

    /// Says what a live run showed, for answers that are judged by it.
    pub fn observe(&self, observed: BTreeMap<String, Value>) {
        self.locked().observed = observed;
    }

    pub fn observed(&self, id: &str) -> Option<Value> {
        self.locked().observed.get(id).cloned()
    }

    pub fn answers(&self) -> BTreeMap<String, Value> {
        self.locked().answers.clone()
    }

    /// Begins to write in the background.
    pub fn start_load(self: &Arc<Run>, id: &str, step: &LoadStep) -> Result<(), String> {
        if self.locked().loads.contains_key(id) {
            return Err(format!("there is a load {id} already"));
        }
        let load = Load::start(&self.cluster, id, step)?;
        self.locked().loads.insert(id.to_owned(), load);
        Ok(())
    }

    pub fn stop_load(&self, id: &str) -> Result<(), String> {
        let load = self.load(id).ok_or_else(|| format!("there is no load {id}"))?;
        load.stop();
        Ok(())
    }

    pub fn load(&self, id: &str) -> Option<Load> {
        self.locked().loads.get(id).cloned()
    }

    pub fn steps(&self) -> Vec<StepReport> {
        self.locked().steps.clone()
    }

    pub fn fault_reports(&self) -> Vec<FaultReport> {
        let state = self.locked();
        let mut reports: Vec<FaultReport> =
            state.faults.iter().map(|(id, struck)| struck.report(id)).collect();
        reports.sort_by_key(|report| (report.at_ms, report.id.clone()));
        reports
    }

    /// What loads came to, by id.
    pub fn load_table(&self) -> Value {
        let now = self.now();
        let table = self
            .locked()
            .loads
            .iter()
            .map(|(id, load)| {
                let counts = load.counts(now);
                (
                    id.clone(),
                    json!({
                        "acknowledged": counts.acknowledged, "failed": counts.failed,
                        "unknown": counts.unknown, "outageMs": counts.outage_ms, "outage": counts.outage_ms as f64 / 1000.0,
                    }),
                )
            })
            .collect();
        Value::Object(table)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic happens under this lock")
    }
}

/// The expression that an answer of the course's own submissions is, if it is one.
pub(crate) fn condition_of(answer: &Value) -> Option<crate::cel::Condition> {
    answer.get("cel")?;
    serde_json::from_value(answer.clone()).ok()
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
