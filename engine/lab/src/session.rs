//! A lab played live, on a cluster that is already booted in wall pace. Tasks follow one another: the next one
//! begins, and arms its faults, when every check of the present one is good. What passed stays passed, but for
//! what must hold `always` or `never`: that is watched until its time is over.

mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use labkit_cluster::{Cluster, RaftView, TimelineEntry};
use labkit_sim::{RecordId, Seed};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::checks::{AnswerCheck, Check, Timing};
use crate::export::Recorder;
use crate::faults::FaultSpec;
use crate::grade::{empty, finish, report_of, set_up, verdicts};
use crate::lab::{Lab, Task};
use crate::load::LabFolder;
use crate::past::{self, History, Past};
use crate::query::{Query, Wanted};
use crate::report::{CheckReport, FaultReport, Report, Verdict};
use crate::run::{Run, Watch};
use crate::steps::{Raft, Step};
use crate::submission::Submission;
use crate::text::{Text, text};

pub use snapshot::Snapshot;

/// A lab that is being played live. Clones share it.
#[derive(Debug, Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    run: Arc<Run>,
    seed: u64,
    variants: BTreeMap<String, Value>,
    recorder: Recorder,
    state: Mutex<State>,
    /// One look at a time: two that both find a task done would begin the next one twice.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The present task.
    task: usize,
    /// By check: the watch over it since the task began.
    watches: BTreeMap<String, Watch>,
    /// The checks of tasks that are done.
    done: BTreeMap<usize, Vec<CheckReport>>,
    /// What is still watched of them.
    promises: Vec<Promise>,
    /// Checks of the present task that have failed when somebody looked.
    failed: BTreeSet<String>,
    /// Which of the present task's hints were given.
    hints: BTreeSet<usize>,
    setup_trouble: Vec<String>,
    faults: u32,
    /// By question of a task that is done: what was answered then.
    answered: BTreeMap<String, Answered>,
    /// The points of the present task, and when they came to be.
    settled: Option<(u32, Duration)>,
    /// Time stands because messages are held.
    stopped_for_messages: bool,
}

/// A check of a task that is done, which must go on to hold.
#[derive(Debug)]
struct Promise {
    task: usize,
    check: usize,
    watch: Watch,
    until: Duration,
}

/// An answer that counts: what has passed stays passed, whatever the cluster shows later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Answered {
    given: Value,
    /// What the run showed then, where the check is judged by that.
    right: Option<Value>,
}

/// A hint that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenHint {
    pub task: String,
    pub text: Text,
}

/// The hints so far, and how many are left in the present task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hints {
    pub given: Vec<GivenHint>,
    pub left: usize,
}

impl Session {
    /// Does the setup, without waiting for real time to pass, and begins the first task.
    pub fn start(lab: LabFolder, cluster: Cluster, seed: u64) -> BoxFuture<'static, Session> {
        Box::pin(async move {
            let (drawn, variants) = lab.drawn(Seed(seed));
            let run = Run::new(drawn, cluster, false, false, Duration::MAX);
            let mut trouble = Vec::new();
            run.cluster.world().clock().hurry(set_up(&run, &mut trouble)).await;
            let recorder = Recorder::start(&run);
            let state = Mutex::new(State { setup_trouble: trouble, ..State::default() });
            let session = Session {
                inner: Arc::new(Inner { run, seed, variants, recorder, state, looking: Default::default() }),
            };
            session.begin(0);
            session
        })
    }

    /// The lab with its variants.
    pub fn lab(&self) -> &Lab {
        &self.inner.run.lab
    }

    pub fn cluster(&self) -> &Cluster {
        &self.inner.run.cluster
    }

    /// The task that is being worked on.
    pub fn task(&self) -> &Task {
        let index = self.locked().task;
        &self.lab().tasks[index]
    }

    fn begin(&self, index: usize) {
        let run = &self.inner.run;
        if index > 0 {
            self.keep_promises(index - 1);
        }
        run.begin_task();
        self.inner.recorder.begin_task(&run.lab.tasks[index].id, run.now());
        let task = &run.lab.tasks[index];
        let lasting = |check: &&Check| !matches!(check.timing(), Timing::AtTheEnd | Timing::Eventually(_));
        let watches =
            task.checks.iter().filter(lasting).map(|check| (check.id.clone(), run.watch(check))).collect();
        {
            let mut state = self.locked();
            state.task = index;
            state.settled = None;
            state.watches = watches;
            state.failed.clear();
            state.hints.clear();
        }
        // Their handles may go: faults strike by themselves.
        drop(run.arm(&task.faults));
    }

    /// Goes on to watch what a task that is done has promised for a time.
    fn keep_promises(&self, task: usize) {
        let run = &self.inner.run;
        let began = run.began().at;
        let mut state = self.locked();
        let watches = std::mem::take(&mut state.watches);
        for (check, of) in run.lab.tasks[task].checks.iter().enumerate() {
            let (Timing::Always(span) | Timing::Never(span)) = of.timing() else { continue };
            let Some(watch) = watches.get(&of.id).cloned() else { continue };
            state.promises.push(Promise { task, check, watch, until: began + span.0 });
        }
    }

    /// Judges the present task at once. When all of it is good, the next task begins.
    pub fn check(&self) -> BoxFuture<'_, Report> {
        Box::pin(async move {
            let run = &self.inner.run;
            let _one_at_a_time = self.inner.looking.lock().await;
            let (index, watches) = {
                let state = self.locked();
                (state.task, state.watches.clone())
            };
            let task = &run.lab.tasks[index];
            let mut judged = Vec::new();
            for check in &task.checks {
                judged.push(match watches.get(&check.id).and_then(Watch::broken) {
                    Some(broken) => broken,
                    None => run.look_once(check).await,
                });
            }
            let mut checks = verdicts(task, judged);
            for (check, report) in task.checks.iter().zip(&mut checks) {
                report.verdict = self.live_verdict(task, check, report.verdict);
            }
            let all_good = checks.iter().all(|check| check.verdict.is_good());
            let report = self.report(index, checks.clone());
            let answered = if all_good { self.answered(task).await } else { BTreeMap::new() };
            {
                let mut state = self.locked();
                let points = checks.iter().map(|check| check.points).sum();
                if state.settled.is_none_or(|(before, _)| before != points) {
                    state.settled = Some((points, run.now()));
                }
                state.answered.extend(answered);
                let failed = checks.iter().filter(|check| check.verdict == Verdict::Failed);
                state.failed.extend(failed.map(|check| check.id.clone()));
                if all_good {
                    state.done.insert(index, checks);
                }
            }
            if all_good && index + 1 < run.lab.tasks.len() {
                self.begin(index + 1);
            }
            report
        })
    }

    /// What a task's questions were answered with, and what the run shows of those that are judged by it.
    async fn answered(&self, task: &Task) -> BTreeMap<String, Answered> {
        let mut answered = BTreeMap::new();
        for check in &task.checks {
            let Some(answer) = &check.answer else { continue };
            let Some(given) = self.inner.run.answered(&answer.id) else { continue };
            let right = match check.live {
                true => self.observed(answer, &given).await,
                false => None,
            };
            answered.insert(answer.id.clone(), Answered { given, right });
        }
        answered
    }

    /// What is right now, if that is what was answered.
    async fn observed(&self, answer: &AnswerCheck, given: &Value) -> Option<Value> {
        let right = answer.right(&self.inner.run).await.unwrap_or_default();
        right.into_iter().find(|right| answer.accepts(right, given))
    }

    fn live_verdict(&self, task: &Task, check: &Check, verdict: Verdict) -> Verdict {
        let run = &self.inner.run;
        let answered = check.answer.as_ref().map(|answer| run.answered(&answer.id).is_some());
        match (check.timing(), verdict) {
            (Timing::Always(_) | Timing::Never(_) | Timing::Throughout, Verdict::Passed) => Verdict::SoFar,
            (Timing::Eventually(_), Verdict::Failed) => Verdict::NotYet,
            (Timing::AtTheEnd, Verdict::Failed) if answered == Some(false) => Verdict::NotYet,
            // What the task's faults and its length are to bring about cannot have failed before.
            (Timing::AtTheEnd, Verdict::Failed) if answered.is_none() && self.is_under_way(task) => {
                Verdict::NotYet
            }
            (_, verdict) => verdict,
        }
    }

    /// Whether the task's faults are still to strike, or its least time is still running.
    fn is_under_way(&self, task: &Task) -> bool {
        let run = &self.inner.run;
        let struck: Vec<String> = run.fault_reports().into_iter().map(|fault| fault.id).collect();
        let running = task.lasts.is_some_and(|lasts| run.now() < run.began().at + lasts.0);
        running || task.faults.iter().any(|fault| !struck.contains(&fault.id))
    }

    fn report(&self, index: usize, present: Vec<CheckReport>) -> Report {
        let mut report = empty(self.lab(), self.inner.seed, "live");
        {
            let state = self.locked();
            for (number, task) in report.tasks.iter_mut().enumerate() {
                match state.done.get(&number) {
                    Some(checks) if number != index => task.checks = checks.clone(),
                    _ if number == index => task.checks = present.clone(),
                    _ => {
                        let not_begun = Text::new("this task has not begun", "아직 시작하지 않은 과제입니다");
                        let waiting = |check: CheckReport| {
                            CheckReport { verdict: Verdict::NotYet, ..check }
                                .says(&Text::default(), &not_begun)
                        };
                        task.checks = task.checks.drain(..).map(waiting).collect();
                    }
                }
            }
            for promise in &state.promises {
                let broken = promise.watch.broken().filter(|broken| broken.at <= promise.until);
                let Some(broken) = broken.filter(|_| promise.task != index) else { continue };
                let task = &self.lab().tasks[promise.task];
                report.tasks[promise.task].checks[promise.check] =
                    report_of(task, &task.checks[promise.check], broken);
            }
            report.bugs.extend(state.setup_trouble.iter().cloned());
        }
        finish(&self.inner.run, &mut report, json!(self.inner.variants));
        report
    }

    /// One more hint for the present task: first those for checks that have failed, then in the lab's order.
    pub fn hint(&self) -> Hints {
        let task = self.task();
        let mut state = self.locked();
        let open: Vec<usize> = (0..task.hints.len()).filter(|index| !state.hints.contains(index)).collect();
        let helps = |index: &&usize| {
            task.hints[**index].after_failed.as_ref().is_some_and(|id| state.failed.contains(id))
        };
        let next = open.iter().find(helps).or(open.first()).copied();
        state.hints.extend(next);
        let given = state
            .hints
            .iter()
            .map(|index| GivenHint { task: task.id.clone(), text: task.hints[*index].text() });
        Hints { given: given.collect(), left: task.hints.len() - state.hints.len() }
    }

    /// Injects a fault of the student's own. Without an id it gets one.
    pub async fn fault(&self, mut spec: FaultSpec) -> Result<String, String> {
        if spec.id.is_empty() {
            let mut state = self.locked();
            state.faults += 1;
            spec.id = format!("live-{}", state.faults);
        }
        self.act(Step { fault: Some(spec), ..Step::default() }).await
    }

    /// Takes a fault back.
    pub async fn heal(&self, id: &str) -> Result<String, String> {
        self.act(Step { heal: Some(crate::steps::Heal(id.to_owned())), ..Step::default() }).await
    }

    /// Stops a component.
    pub async fn stop(&self, target: &str) -> Result<String, String> {
        self.act(Step { stop: Some(crate::steps::Stop(target.to_owned())), ..Step::default() }).await
    }

    /// Starts a component that was stopped.
    pub async fn start_component(&self, target: &str) -> Result<String, String> {
        self.act(Step { start: Some(crate::steps::Start(target.to_owned())), ..Step::default() }).await
    }

    /// Lets that much time pass at once.
    pub async fn fast_forward(&self, by: crate::span::Span) -> Result<String, String> {
        self.act(Step { fast_forward: Some(by), ..Step::default() }).await
    }

    /// Does a step and notes it for the export; returns what it printed.
    fn act(&self, step: Step) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            let (_, verb) = step.verb();
            let (at, after) = self.moment();
            let printed = verb.run(&self.inner.run, &step).await.map_err(|failure| failure.error)?;
            self.inner.recorder.note(at, after, step);
            Ok(printed)
        })
    }

    /// Now, and the newest record.
    fn moment(&self) -> (Duration, RecordId) {
        (self.inner.run.now(), self.cluster().world().trace().last_id())
    }

    /// The store in slow motion. Time stands while messages are held.
    pub async fn raft(&self, raft: Raft) -> Result<RaftView, String> {
        if raft == Raft::Hold && !self.cluster().holds_messages() {
            self.stop_for_messages().await;
        }
        let (at, after) = self.moment();
        let view = raft.perform(&self.inner.run).await;
        if view.is_ok() {
            self.inner.recorder.note(at, after, Step { raft: Some(raft), ..Step::default() });
        }
        let stopped_for_them = !self.cluster().holds_messages() && {
            let mut state = self.locked();
            std::mem::take(&mut state.stopped_for_messages)
        };
        if stopped_for_them {
            self.thaw().await;
        }
        self.inner.run.beat();
        view
    }

    /// The members, and what is on the way between them.
    pub fn raft_view(&self) -> Result<RaftView, String> {
        self.cluster().raft_view().map_err(|error| error.to_string())
    }

    /// Stops the lab's time until the messages are let go, unless it stands already.
    async fn stop_for_messages(&self) {
        let stopped = self.freeze().await;
        self.locked().stopped_for_messages = stopped;
    }

    /// Answers a question of the lab.
    pub fn answer(&self, id: &str, value: Value) -> Result<(), Text> {
        let checks = self.lab().tasks.iter().flat_map(|task| &task.checks);
        let ids: Vec<&str> =
            checks.filter_map(|check| check.answer.as_ref()).map(|answer| answer.id.as_str()).collect();
        if !ids.contains(&id) {
            let ids = crate::document::list_of(ids);
            return Err(text!(
                "this lab asks for no answer `{id}`; it asks for {ids}",
                "이 실습은 답 `{id}` 을(를) 묻지 않습니다. 묻는 것: {ids}",
                ids
            ));
        }
        self.inner.run.answer(id, value);
        Ok(())
    }

    /// What was done and answered so far, as a submission that grades to the same marks.
    pub fn export(&self) -> BoxFuture<'_, Submission> {
        Box::pin(async move {
            let mut submission = Submission::new(&self.lab().metadata.name);
            let (present, answered, settled) = {
                let state = self.locked();
                let settled = state.settled.map_or_else(|| self.inner.run.now(), |(_, at)| at);
                (state.task, state.answered.clone(), settled)
            };
            submission.steps = self.inner.recorder.steps(&self.lab().submission.allow, settled);
            submission.answers = self.inner.run.answers();
            for (index, task) in self.lab().tasks.iter().enumerate() {
                for check in &task.checks {
                    let Some(answer) = &check.answer else { continue };
                    let Some(given) = submission.answers.get_mut(&answer.id) else { continue };
                    let then = answered.get(&answer.id);
                    if let Some(then) = then.filter(|_| index < present) {
                        given.clone_from(&then.given);
                    }
                    // Only what was answered rightly: the file must not tell what the right answer would have been.
                    let kept = then.filter(|then| then.given == *given).and_then(|then| then.right.clone());
                    let right = match kept {
                        None if check.live => self.observed(answer, given).await,
                        kept => kept,
                    };
                    submission.observed.extend(right.map(|right| (answer.id.clone(), right)));
                }
            }
            submission
        })
    }

    /// What the export leaves out because this lab's submissions may not say it: verbs, and how often.
    pub fn left_out(&self) -> BTreeMap<String, usize> {
        self.inner.recorder.left_out(&self.lab().submission.allow)
    }

    /// The faults that have struck so far, the lab's own and the student's.
    pub fn faults(&self) -> Vec<FaultReport> {
        self.inner.run.fault_reports()
    }

    /// Everything that was said so far.
    pub fn timeline(&self) -> Vec<TimelineEntry> {
        labkit_cluster::timeline::timeline(self.cluster().world())
    }

    /// The run so far: what was done, what struck, and the messages of `query` that the trace still has. Nothing
    /// is judged.
    pub fn told(&self, query: &Query) -> Report {
        let mut report = empty(self.lab(), self.inner.seed, "live");
        finish(&self.inner.run, &mut report, json!(self.inner.variants));
        report.timeline = query.of_run(&self.inner.run, &report.faults);
        report
    }

    /// An object, a key or the whole store as it was at a revision; 0 is the present one.
    pub async fn past(&self, revision: i64, object: Option<&Wanted>) -> Result<Past, String> {
        past::look(&self.inner.run, revision, object).await
    }

    /// Every write that the store still has, when the lab ends. Time jumps, should the store have to be waited for.
    pub async fn history(&self) -> Option<History> {
        self.thaw().await;
        self.cluster().world().clock().hurry(past::history(&self.inner.run)).await
    }

    /// How much news there was so far: counts what may change a verdict.
    pub fn news_so_far(&self) -> u64 {
        self.inner.run.news_so_far()
    }

    /// Waits for news after the first `count` pieces.
    pub async fn news_after(&self, count: u64) {
        self.inner.run.news_after(count).await;
    }

    /// Stops the lab's time; `false` where it stands already.
    pub async fn freeze(&self) -> bool {
        self.cluster().world().clock().freeze().await
    }

    /// Lets the lab's time run again; `false` where it runs.
    pub async fn thaw(&self) -> bool {
        let thawed = self.cluster().world().clock().thaw().await;
        self.inner.run.beat();
        thawed
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().expect("no panic happens under this lock")
    }
}
