//! Grading: a fresh world in virtual pace, the setup, the submission replayed task by task, the checks.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use labkit_cluster::Cluster;
use labkit_sim::{Pace, Seed, World};
use serde_json::{Value, json};

use crate::checks::{Check, Timing};
use crate::lab::{Lab, Task};
use crate::load::LabFolder;
use crate::past::{self, History};
use crate::report::{CheckReport, ComponentRow, Report, Tables, TaskReport, Verdict, excerpt};
use crate::run::{Judged, Run, Watch, millis};
use crate::steps::Step;
use crate::submission::Submission;
use crate::text::Text;

/// How old a graded world may be when a submission's step ends. What a step does after that has failed.
pub(crate) const STEPS_MAX: Duration = Duration::from_secs(2 * 3600);
/// The longest that a graded run may take, in its own time.
const RUN_MAX: Duration = Duration::from_secs(6 * 3600);

/// How to grade.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GradeOptions {
    pub seed: u64,
    /// The submission is the course's own: its `${...}` are evaluated.
    pub trusted: bool,
    /// Whose submission it is, for the report.
    pub submission: String,
    /// Reports tell what the right answers were.
    pub reveal_answers: bool,
}

/// Grades a submission on a fresh world. The same lab, submission and seed give the same bytes of
/// [`Report::to_json`]. Makes its own runtime; must not be called from within one.
pub fn grade(lab: &LabFolder, submission: &Submission, options: &GradeOptions) -> Report {
    grade_until(lab, submission, options, STEPS_MAX)
}

/// Grades, and tells what the store had at the end, for `labkit timeline --at`.
pub fn grade_with_history(
    lab: &LabFolder,
    submission: &Submission,
    options: &GradeOptions,
) -> (Report, Option<History>) {
    let kept = Mutex::new(None);
    let report = grade_and(lab, submission, options, STEPS_MAX, Some(&kept));
    (report, kept.into_inner().expect("no panic happens under this lock"))
}

/// Grades with another bound for the submission's steps.
fn grade_until(lab: &LabFolder, submission: &Submission, options: &GradeOptions, until: Duration) -> Report {
    grade_and(lab, submission, options, until, None)
}

fn grade_and(
    lab: &LabFolder,
    submission: &Submission,
    options: &GradeOptions,
    until: Duration,
    history: Option<&Mutex<Option<History>>>,
) -> Report {
    let (drawn, variants) = lab.drawn(Seed(options.seed));
    let graded = catch_unwind(AssertUnwindSafe(|| {
        labkit_sim::run(Pace::Virtual, options.seed, |world| {
            let (drawn, variants) = (drawn.clone(), variants.clone());
            async move { play(world, drawn, variants, submission, options, until, history).await }
        })
    }));
    let graded = if options.trusted { graded } else { graded.map(Report::shortened) };
    graded.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message =
            message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned());
        Report {
            bugs: vec![format!("the grader: {message}")],
            ..empty(&drawn, options.seed, &options.submission)
        }
    })
}

/// A report in which nothing happened: every check failed.
pub fn empty(lab: &Lab, seed: u64, submission: &str) -> Report {
    let not_reached = Text::new("the run did not get here", "실행이 여기까지 오지 못했습니다");
    let check = |check: &Check| {
        let report = CheckReport {
            id: check.id.clone(),
            title: check.title.clone(),
            points: 0,
            points_max: check.points,
            verdict: Verdict::Failed,
            expected: String::new(),
            actual: String::new(),
            in_korean: None,
            error: None,
            hint: None,
            at_ms: 0,
            evidence: Value::Null,
        };
        report.says(&Text::default(), &not_reached)
    };
    let task =
        |task: &Task| TaskReport { id: task.id.clone(), checks: task.checks.iter().map(check).collect() };
    Report {
        lab: lab.metadata.name.clone(),
        title: lab.title.clone(),
        seed,
        submission: submission.to_owned(),
        points: 0,
        points_max: lab.points_max(),
        tasks: lab.tasks.iter().map(task).collect(),
        steps: Vec::new(),
        faults: Vec::new(),
        virtual_ms: 0,
        bugs: Vec::new(),
        tables: Tables::default(),
        timeline: Vec::new(),
        left_out: Vec::new(),
    }
}

async fn play(
    world: World,
    lab: Lab,
    variants: BTreeMap<String, Value>,
    submission: &Submission,
    options: &GradeOptions,
    until: Duration,
    history: Option<&Mutex<Option<History>>>,
) -> Report {
    let mut report = empty(&lab, options.seed, &options.submission);
    let cluster = match Cluster::boot(&world, &lab.cluster).await {
        Ok(cluster) => cluster,
        Err(error) => {
            report.bugs.push(format!("boot: {error}"));
            return report;
        }
    };
    let run = Run::new(lab, cluster, options.trusted, options.reveal_answers, until);
    let played = tokio::time::timeout(RUN_MAX, replay(&run, submission, &mut report)).await;
    if played.is_err() {
        report.bugs.push(format!("the run took more than {RUN_MAX:?} of its own time"));
    }
    finish(&run, &mut report, json!(variants));
    report.bugs.extend(run.heal_all().await);
    if let Some(kept) = history {
        // After all is healed: a store without a majority could not tell.
        let found = past::history(&run).await;
        *kept.lock().expect("no panic happens under this lock") = found;
    }
    report
}

async fn replay(run: &Arc<Run>, submission: &Submission, report: &mut Report) {
    let live = |id: &String| {
        let mut checks = run.lab.tasks.iter().flat_map(|task| &task.checks).filter(|check| check.live);
        checks.any(|check| check.answer.as_ref().is_some_and(|answer| answer.id == *id))
    };
    run.observe(
        submission
            .observed
            .iter()
            .filter(|(id, _)| live(id))
            .map(|(id, v)| (id.clone(), v.clone()))
            .collect(),
    );
    set_up(run, &mut report.bugs).await;
    let steps = steps_by_task(&run.lab, &submission.steps);
    for (index, task) in run.lab.tasks.iter().enumerate() {
        let own = steps.get(&index).map(Vec::as_slice).unwrap_or_default();
        report.tasks[index] = play_task(run, task, own, &submission.answers).await;
    }
}

/// Does the setup's steps; a lab whose setup fails is at fault itself.
pub(crate) async fn set_up(run: &Arc<Run>, bugs: &mut Vec<String>) {
    run.begin_task();
    for (index, step) in run.lab.setup.iter().enumerate() {
        if let Err(error) = run.step(step, true).await {
            bugs.push(format!("setup step {}: {}: {error}", index + 1, step.verb().0));
        }
    }
}

/// The steps of each task: a step without a task belongs to the same as the one before it.
fn steps_by_task(lab: &Lab, steps: &[Step]) -> BTreeMap<usize, Vec<Step>> {
    let mut by_task: BTreeMap<usize, Vec<Step>> = BTreeMap::new();
    let mut current = 0;
    for step in steps {
        let named = step.task.as_ref().and_then(|id| lab.tasks.iter().position(|task| task.id == *id));
        // Never back: what was done later cannot have been done in an earlier task.
        current = named.unwrap_or(current).max(current);
        by_task.entry(current).or_default().push(step.clone());
    }
    by_task
}

async fn play_task(
    run: &Arc<Run>,
    task: &Task,
    steps: &[Step],
    answers: &BTreeMap<String, Value>,
) -> TaskReport {
    run.begin_task();
    let began = run.now();
    let watches: Vec<Option<Watch>> = task
        .checks
        .iter()
        .map(|check| (check.timing() == Timing::Throughout).then(|| run.watch(check)))
        .collect();
    let faults = run.arm(&task.faults);
    for step in steps {
        // A step that fails is the student's affair: it stands in the report, and the checks tell the rest.
        let _ = run.step(step, run.trusted).await;
    }
    for fault in faults {
        // Ends by itself: a cue has its longest time.
        let _ = fault.await;
    }
    if let Some(lasts) = task.lasts {
        tokio::time::sleep((began + lasts.0).saturating_sub(run.now())).await;
    }
    // Answers come last: they are about what happened.
    for check in task.checks.iter().filter_map(|check| check.answer.as_ref()) {
        if let Some(answer) = answers.get(&check.id).filter(|_| run.answered(&check.id).is_none()) {
            let _ = run.step(&Step::answer(&check.id, answer.clone()), run.trusted).await;
        }
    }
    let judged = judge_all(run, task).await;
    let judged =
        judged.into_iter().zip(watches).map(|(judged, watch)| match watch.and_then(|watch| watch.broken()) {
            Some(broken) => broken,
            None => judged,
        });
    TaskReport { id: task.id.clone(), checks: verdicts(task, judged.collect()) }
}

/// Judges all checks: those with a timing at the same time, then those without.
async fn judge_all(run: &Arc<Run>, task: &Task) -> Vec<Judged> {
    let is_timed = |check: &&Check| !matches!(check.timing(), Timing::AtTheEnd | Timing::Throughout);
    let timed: Vec<&Check> = task.checks.iter().filter(is_timed).collect();
    let mut timed_results = join_all(timed.iter().map(|check| run.judge(check))).await.into_iter();
    let mut judged = Vec::new();
    for check in &task.checks {
        judged.push(match is_timed(&check) {
            true => timed_results.next().expect("one result per timed check"),
            false => run.judge(check).await,
        });
    }
    judged
}

/// Findings into verdicts and points; a check is skipped where one that it comes after did not pass.
pub(crate) fn verdicts(task: &Task, judged: Vec<Judged>) -> Vec<CheckReport> {
    let mut reports: Vec<CheckReport> = Vec::new();
    for (check, judged) in task.checks.iter().zip(judged) {
        let good = |id: &String| reports.iter().any(|report| report.id == *id && report.verdict.is_good());
        let skipped_for: Vec<&String> = check.after.iter().filter(|id| !good(id)).collect();
        let report = if skipped_for.is_empty() {
            report_of(task, check, judged)
        } else {
            let names: Vec<&str> = skipped_for.iter().map(|id| id.as_str()).collect();
            let names = names.join(", ");
            let expected = judged.finding.expected.clone();
            let actual = Text::new(
                &format!("skipped, because {names} did not pass"),
                &format!("{names} 항목을 통과하지 못해 건너뜀"),
            );
            CheckReport {
                verdict: Verdict::Skipped,
                points: 0,
                error: None,
                hint: None,
                evidence: Value::Null,
                ..report_of(task, check, judged)
            }
            .says(&expected, &actual)
        };
        reports.push(report);
    }
    reports
}

pub(crate) fn report_of(task: &Task, check: &Check, judged: Judged) -> CheckReport {
    let Judged { finding, passed, at } = judged;
    let points = match (passed, check.partial) {
        (true, _) => check.points,
        (false, true) if finding.of > 0 => check.points * finding.held / finding.of,
        (false, _) => 0,
    };
    // A check that did not pass never has full marks, however the parts were counted.
    let points = if passed { points } else { points.min(check.points.saturating_sub(1)) };
    let hint = check.hint.clone().or_else(|| {
        let hint = task.hints.iter().find(|hint| hint.after_failed.as_deref() == Some(&check.id));
        hint.map(crate::lab::Hint::text)
    });
    let report = CheckReport {
        id: check.id.clone(),
        title: check.title.clone(),
        points,
        points_max: check.points,
        verdict: if passed { Verdict::Passed } else { Verdict::Failed },
        expected: String::new(),
        actual: String::new(),
        in_korean: None,
        error: finding.error.filter(|_| !passed),
        hint: hint.filter(|_| !passed),
        at_ms: millis(at),
        evidence: finding.evidence,
    };
    report.says(&finding.expected, &finding.actual)
}

/// Fills in what the whole run tells.
pub(crate) fn finish(run: &Run, report: &mut Report, variants: Value) {
    let world = run.cluster.world();
    report.points = report.checks().map(|(_, check)| check.points).sum();
    report.steps = run.steps();
    report.faults = run.fault_reports();
    report.virtual_ms = millis(run.now());
    report.bugs.extend(world.bugs());
    let loads = run.load_table();
    let load_names = loads.as_object().into_iter().flat_map(|loads| loads.keys().cloned()).collect();
    (report.timeline, report.left_out) = excerpt(&world.trace().records(), &load_names, report);
    let row = |info: labkit_cluster::ComponentInfo| ComponentRow {
        target: info.target.to_string(),
        state: format!("{:?}", info.state),
        role: info.role.map(str::to_owned),
    };
    report.tables = Tables {
        variants,
        answers: json!(run.answers()),
        loads,
        components: run.cluster.components().into_iter().map(row).collect(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::MemoryFiles;
    use crate::load::load_lab;

    #[test]
    fn a_submission_cannot_use_up_more_than_the_runs_time() {
        let files = [
            ("lab.yaml", include_bytes!("../testdata/good/lab.yaml").as_slice()),
            ("README.md", include_bytes!("../testdata/good/README.md")),
            ("README.ko.md", include_bytes!("../testdata/good/README.ko.md")),
            ("start/submission.yaml", include_bytes!("../testdata/good/start/submission.yaml")),
            ("solution/submission.yaml", include_bytes!("../testdata/good/solution/submission.yaml")),
        ];
        let files = files.map(|(path, bytes)| (path.to_owned(), bytes.to_vec()));
        let lab = load_lab(&MemoryFiles(files.into()), "").unwrap();
        let mut submission = lab.start.clone();
        submission.steps = vec![serde_json::from_str(r#"{"wait": "40s"}"#).unwrap(); 3];
        let report = grade_until(&lab, &submission, &GradeOptions::default(), Duration::from_secs(60));
        let errors: Vec<Option<&str>> = report.steps[1..].iter().map(|step| step.error.as_deref()).collect();
        assert_eq!(errors, [None, Some("the run's 1m0s are used up"), Some("the run's 1m0s are used up")]);
        assert_eq!((report.bugs.len(), report.virtual_ms), (0, 60_000));
    }
}
