//! What a running lab does when it is asked.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use labkit_lab::checks::Check;
use labkit_lab::faults::FaultSpec;
use labkit_lab::span::Span;
use labkit_lab::{CheckReport, FaultReport, Language, Report, Task, Text, Verdict};
use labkit_sim::ComponentState as State;
use serde::Serialize;
use serde_json::Value;

use super::control::Voice;
use super::{Live, targets};
use crate::control::replies::*;
use crate::control::{Reply, Request};
use crate::failure::Failure;
use crate::progress::{self, Best};
use crate::prose;
use crate::screen::say;

/// How often a fast-forward says how far it is.
const PARTS: u32 = 50;

/// How long a watch goes without a check.
const NEWS_AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// How long an answer may take while the lab's time stands.
const PATIENCE: Duration = Duration::from_secs(4);

pub(super) async fn answer(live: &Live, request: Request, voice: &mut Voice) -> Result<Value, Failure> {
    match request {
        Request::Status {} => value(status(live)),
        Request::Check {} => value(in_host_time(live, check(live, true)).await?),
        Request::News { after } => news(live, after).await,
        Request::Hint {} => value(hint(live)),
        Request::Answer { id, value: given } => {
            live.session.answer(&id, given).map_err(|error| {
                Failure::usage(error.for_language(live.order.language)).next(said(
                    live,
                    "labkit answer lists the questions",
                    "질문 목록: labkit answer",
                ))
            })?;
            value(())
        }
        Request::Fault { fault } => value(inject(live, fault).await?),
        Request::Faults {} => value(Faults { faults: faults(live), components: components(live) }),
        Request::Heal { id } => value(heal(live, id).await?),
        Request::StopComponent { target } if target.starts_with("load/") => {
            value(met(live, live.session.stop(&target).await)?)
        }
        Request::StopComponent { target } => {
            known(live, &target)?;
            value(met(live, live.session.stop(&target).await)?)
        }
        Request::StartComponent { target } => {
            known(live, &target)?;
            value(met(live, live.session.start_component(&target).await)?)
        }
        Request::Clock { forward_ms } => value(clock(live, forward_ms, voice).await?),
        Request::Pause {} => {
            live.session.freeze().await;
            value(clock_view(live))
        }
        Request::Resume {} => {
            live.session.thaw().await;
            value(clock_view(live))
        }
        Request::Step { by_ms } => {
            if !live.world.clock().is_frozen() {
                let failure = Failure::usage(said(
                    live,
                    "the lab's time runs; only a paused one is stepped",
                    "실습의 시간이 흐르고 있습니다. 멈춘 시간만 한 걸음씩 보낼 수 있습니다",
                ));
                return Err(failure.next(said(
                    live,
                    "labkit pause, then labkit step; labkit clock +1s needs no pause",
                    "labkit pause 다음에 labkit step. labkit clock +1s 는 멈추지 않아도 됩니다",
                )));
            }
            value(clock(live, by_ms, voice).await?)
        }
        Request::Raft { raft } => {
            let view = match raft {
                Some(raft) => live.session.raft(raft).await,
                None => live.session.raft_view(),
            };
            value(view.map_err(Failure::usage)?)
        }
        Request::Timeline { query } => value(live.session.told(&query)),
        Request::Past { revision, object } => {
            let past = in_host_time(live, live.session.past(revision, object.as_ref())).await?;
            value(past.map_err(|error| {
                let next = said(
                    live,
                    "labkit timeline shows what happened when",
                    "언제 무슨 일이 있었는지: labkit timeline",
                );
                Failure::usage(error).next(next)
            })?)
        }
        Request::Submit {} => value(submit(live).await),
        Request::Snapshot {} => value(live.session.snapshot(live.order.lab.digest())),
        // The conversation itself sees to these.
        Request::Restore { .. } | Request::Reset {} | Request::Stop {} => value(()),
    }
}

/// A sentence in the language of the person who started the lab.
fn said(live: &Live, english: &str, korean: &str) -> String {
    match live.order.language {
        Language::En => english.to_owned(),
        Language::Ko => korean.to_owned(),
    }
}

fn value(reply: impl Serialize) -> Result<Value, Failure> {
    Ok(serde_json::to_value(reply).expect("replies are plain data"))
}

/// A check once there is news, or after a while: some verdicts are a matter of time.
pub(super) async fn news(live: &Live, after: Option<u64>) -> Result<Value, Failure> {
    if let Some(after) = after {
        tokio::select! {
            biased;
            () = live.session.news_after(after) => {}
            () = tokio::time::sleep(NEWS_AT_LEAST_EVERY) => {}
        }
    }
    let (news, began) = (live.session.news_so_far(), host_now());
    let checked = in_host_time(live, check(live, false)).await?;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    value(News { news, took_ms, paused: live.world.clock().is_frozen(), checked })
}

/// While the lab's time stands no deadline of its own ends a wait; this one is the host's.
async fn in_host_time<T>(live: &Live, work: impl Future<Output = T>) -> Result<T, Failure> {
    let (_done, ended) = mpsc::channel::<()>();
    let patience = async {
        live.world.clock().frozen().await;
        // Ends early when the work is done and the other end goes.
        let _ = tokio::task::spawn_blocking(move || ended.recv_timeout(PATIENCE)).await;
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = patience => {
            let message = said(
                live,
                "the lab's time is paused, and the answer waits for time to pass",
                "실습의 시간이 멈춰 있고, 답은 시간이 흐르기를 기다립니다",
            );
            Err(Failure::failed(message).next(said(
                live,
                "labkit step lets a second pass; labkit resume lets it run",
                "labkit step 은 1초를 보내고, labkit resume 은 시간을 다시 흐르게 합니다",
            )))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a terminal waits is a matter of the host's clock")]
fn host_now() -> Instant {
    Instant::now()
}

fn status(live: &Live) -> Status {
    Status {
        lab: live.order.place.name.clone(),
        title: live.session.lab().title.clone(),
        course: live.order.course.clone(),
        pid: std::process::id(),
        now: now(live),
        elapsed_ms: elapsed_ms(live),
        paused: live.world.clock().is_frozen(),
        components: components(live),
        faults: faults(live),
        api_server_url: live.served.api_server_url.clone(),
        etcd_endpoints: live.served.etcd_endpoints.clone(),
        env: live.env.clone(),
        points: live.memory().points,
        points_max: live.session.lab().points_max(),
        bugs: live.world.bugs(),
    }
}

/// Looks at the lab. What is shown all the time tells nobody that a task is new.
async fn check(live: &Live, tells_of_tasks: bool) -> Checked {
    let report = live.session.check().await;
    if live.memory().points != Some(report.points) {
        let best = Best { points: report.points, points_max: report.points_max };
        progress::note(&live.order.course, &report.lab, best);
    }
    let lab = live.session.lab();
    let complete = report.passed();
    let current = lab.tasks.iter().position(|task| task.id == live.session.task().id).unwrap_or(0);
    let is_new_task = {
        let mut memory = live.memory();
        memory.points = Some(report.points);
        let is_new = memory.current_task != current;
        if tells_of_tasks {
            memory.current_task = current;
        }
        is_new
    };
    let tasks: Vec<TaskView> = lab
        .tasks
        .iter()
        .zip(&report.tasks)
        .enumerate()
        .map(|(index, (task, report))| TaskView {
            begun: index <= current,
            ..task_view(live, task, &report.checks)
        })
        .collect();
    Checked {
        questions: questions(lab.tasks.iter().take(current + 1), &report),
        lab: report.lab,
        title: report.title,
        points: report.points,
        points_max: report.points_max,
        tasks,
        current_task: (!complete).then_some(current),
        is_new_task,
        bugs: report.bugs,
    }
}

fn task_view(live: &Live, task: &Task, checks: &[CheckReport]) -> TaskView {
    let text =
        |language: Language| live.order.lab.readme.get(&language).map(|readme| prose::task(readme, &task.id));
    TaskView {
        id: task.id.clone(),
        title: task.title.clone(),
        text: Text { en: text(Language::En).unwrap_or_default(), ko: text(Language::Ko).unwrap_or_default() },
        begun: true,
        checks: task
            .checks
            .iter()
            .zip(checks)
            .map(|(check, report)| CheckView { unanswered: unanswered(check, report), ..check_view(report) })
            .collect(),
    }
}

fn check_view(check: &CheckReport) -> CheckView {
    CheckView {
        id: check.id.clone(),
        title: check.title.clone(),
        points: check.points,
        points_max: check.points_max,
        verdict: match check.verdict {
            Verdict::Passed => Mark::Passed,
            Verdict::SoFar => Mark::SoFar,
            Verdict::NotYet => Mark::NotYet,
            Verdict::Failed => Mark::Failed,
            Verdict::Skipped => Mark::Skipped,
        },
        unanswered: None,
        expected: check.expected.clone(),
        actual: check.actual.clone(),
        in_korean: check.in_korean.clone(),
        error: check.error.clone(),
        hint: check.hint.clone(),
    }
}

/// The question of a check that still waits for an answer.
fn unanswered(check: &Check, report: &CheckReport) -> Option<String> {
    check.answer.as_ref().filter(|_| report.verdict == Verdict::NotYet).map(|answer| answer.id.clone())
}

/// The questions of these tasks, with what was answered.
fn questions<'a>(tasks: impl Iterator<Item = &'a Task>, report: &Report) -> Vec<Question> {
    let mut questions = Vec::new();
    for task in tasks {
        for check in &task.checks {
            let Some(answer) = &check.answer else { continue };
            let judged = report.checks().find(|(id, judged)| *id == task.id && judged.id == check.id);
            questions.push(Question {
                id: answer.id.clone(),
                title: check.title.clone(),
                answer: report.tables.answers.get(&answer.id).cloned(),
                is_right: judged.is_some_and(|(_, judged)| judged.verdict.is_good()),
            });
        }
    }
    questions
}

fn hint(live: &Live) -> Hints {
    let hints = live.session.hint();
    let given = hints.given.into_iter().map(|hint| HintView { task: hint.task, text: hint.text }).collect();
    Hints { given, left: hints.left }
}

/// Injects a fault that is written as in a lab file, under a name of its own.
async fn inject(live: &Live, mut fault: Value) -> Result<Met, Failure> {
    if let Some(target) = targets::of_fault(&fault) {
        known(live, target)?;
    }
    let id = {
        let mut memory = live.memory();
        memory.faults += 1;
        format!("fault-{}", memory.faults)
    };
    if let Some(fields) = fault.as_object_mut() {
        fields.insert("id".to_owned(), Value::from(id.clone()));
    }
    let spec: FaultSpec = serde_json::from_value(fault).map_err(|error| {
        Failure::usage(say!(live.order.language, "no such fault: {error}", "그런 장애는 없습니다: {error}"))
    })?;
    live.session.fault(spec).await.map_err(|error| unmet(live, error))?;
    let struck = faults(live).into_iter().find(|fault| fault.id == id);
    Ok(Met { targets: struck.map(|fault| fault.target).into_iter().collect(), id: Some(id) })
}

async fn heal(live: &Live, id: Option<String>) -> Result<Met, Failure> {
    let open = faults(live).into_iter().filter(|fault| fault.healed_at.is_none() && fault.error.is_none());
    let ids: Vec<String> = match &id {
        Some(id) => vec![id.clone()],
        None => open.map(|fault| fault.id).collect(),
    };
    if let Some(id) = &id
        && !faults(live).iter().any(|fault| &fault.id == id)
    {
        let message = say!(live.order.language, "there is no fault {id}", "{id} 라는 장애는 없습니다");
        return Err(unmet(live, message));
    }
    for id in &ids {
        live.session.heal(id).await.map_err(|error| unmet(live, error))?;
    }
    let targets = faults(live).into_iter().filter(|fault| ids.contains(&fault.id)).map(|fault| fault.target);
    Ok(Met { targets: targets.collect(), id })
}

fn known(live: &Live, target: &str) -> Result<(), Failure> {
    targets::known(&live.cluster, live.order.language, target)
}

fn met(live: &Live, outcome: Result<String, String>) -> Result<Met, Failure> {
    let printed = outcome.map_err(|error| unmet(live, error))?;
    // `stopped scheduler/0`
    let target = printed.split_whitespace().last().unwrap_or_default().to_owned();
    Ok(Met { id: None, targets: vec![target] })
}

fn unmet(live: &Live, error: String) -> Failure {
    let next = said(
        live,
        "labkit fault shows what is there and what is broken",
        "무엇이 있고 무엇이 고장 났는지: labkit fault",
    );
    Failure::usage(error).next(next)
}

/// Lets time pass; says how far it is, in milliseconds.
async fn clock(live: &Live, forward_ms: u64, voice: &mut Voice) -> Result<Clock, Failure> {
    if forward_ms > 0 {
        let by = Duration::from_millis(forward_ms);
        let mut forward = std::pin::pin!(live.session.fast_forward(Span(by)));
        let part = (by / PARTS).max(Duration::from_secs(1));
        let mut done = 0;
        loop {
            tokio::select! {
                biased;
                outcome = &mut forward => {
                    outcome.map_err(Failure::failed)?;
                    break;
                }
                // In the same time that is passing.
                () = tokio::time::sleep(part) => {
                    done = forward_ms.min(done + u64::try_from(part.as_millis()).unwrap_or(u64::MAX));
                    // A terminal that went away does not hold time up.
                    let _ = voice.say(&Reply::Progress { done, total: forward_ms }).await;
                }
            }
        }
    }
    Ok(clock_view(live))
}

fn clock_view(live: &Live) -> Clock {
    Clock { now: now(live), elapsed_ms: elapsed_ms(live), paused: live.world.clock().is_frozen() }
}

async fn submit(live: &Live) -> Submitted {
    let submission = live.session.export().await;
    let files = vec![("submission.yaml".to_owned(), submission.to_yaml())];
    let (steps, answers) = (submission.steps.len(), submission.answers.len());
    Submitted {
        lab: submission.lab,
        student: live.order.student.clone(),
        files,
        steps,
        answers,
        points: live.memory().points,
        points_max: live.session.lab().points_max(),
        left_out: live.session.left_out(),
    }
}

fn components(live: &Live) -> Vec<ComponentView> {
    let view = |info: labkit_cluster::ComponentInfo| ComponentView {
        target: info.target.to_string(),
        state: match info.state {
            State::Running => ComponentState::Running,
            State::Paused => ComponentState::Paused,
            State::Killed => ComponentState::Down,
        },
        role: info.role.map(str::to_owned),
    };
    live.cluster.components().into_iter().map(view).collect()
}

fn faults(live: &Live) -> Vec<FaultView> {
    let date =
        |at_ms: u64| live.world.clock().date_at(Duration::from_millis(at_ms)).strftime("%FT%TZ").to_string();
    let view = |fault: FaultReport| FaultView {
        at: date(fault.at_ms),
        healed_at: fault.healed_ms.map(date),
        id: fault.id,
        verb: fault.verb,
        target: fault.target,
        error: fault.error,
    };
    live.session.faults().into_iter().map(view).collect()
}

/// The lab's date, in seconds as Kubernetes shows it.
fn now(live: &Live) -> String {
    live.world.clock().now().strftime("%FT%TZ").to_string()
}

fn elapsed_ms(live: &Live) -> u64 {
    u64::try_from(live.world.clock().elapsed().as_millis()).unwrap_or(u64::MAX)
}
