//! From the lab engine's types to the pages' model: every text in one language, every name resolved. The only file
//! that knows both.

use std::collections::BTreeMap;

use labkit_lab::{Lab, LabFolder, LoadedCourse, Report, Task, Text, Verdict};

use crate::chapters::Contents;
use crate::page::{
    Act, CheckPage, CoursePage, Fault, HintPage, LabPage, Language, Message, ResultRow, RunPage, SessionPage,
    TaskPage,
};
use crate::words::Words;

/// The contents of the book of one language. `reports` has the runs of the reference solutions, by lab name.
pub(crate) fn contents(
    course: &LoadedCourse,
    reports: &BTreeMap<String, Report>,
    language: Language,
) -> Contents {
    let sessions = course.course.sessions.iter().map(|session| SessionPage {
        id: session.id.clone(),
        title: said(&session.title, language),
        labs: session
            .labs
            .iter()
            .filter_map(|path| Some((path, course.labs.get(path)?)))
            .map(|(path, lab)| lab_page(path, lab, reports.get(lab.name()), language))
            .collect(),
    });
    let sessions: Vec<SessionPage> = sessions.collect();
    let labs = || sessions.iter().flat_map(|session| &session.labs);
    let course = CoursePage {
        title: said(&course.course.title, language),
        minutes: labs().map(|lab| lab.minutes).sum(),
        points_max: labs().map(|lab| lab.points_max).sum(),
        sessions,
    };
    let schemas = labkit_lab::schemas().into_iter().map(|(file, schema)| (file.to_owned(), schema)).collect();
    Contents { language, course, schemas }
}

fn said(text: &Text, language: Language) -> String {
    text.for_language(of_lab(language)).to_owned()
}

pub(crate) fn of_lab(language: Language) -> labkit_lab::Language {
    match language {
        Language::En => labkit_lab::Language::En,
        Language::Ko => labkit_lab::Language::Ko,
    }
}

fn lab_page(path: &str, folder: &LabFolder, report: Option<&Report>, language: Language) -> LabPage {
    let lab = &folder.lab;
    LabPage {
        id: folder.name().to_owned(),
        folder: path.to_owned(),
        title: match &lab.metadata.number {
            Some(number) => format!("{number} {}", said(&lab.title, language)),
            None => said(&lab.title, language),
        },
        minutes: lab.minutes.into(),
        points_max: lab.points_max().into(),
        objectives: lab.objectives.iter().map(|objective| said(objective, language)).collect(),
        components: components(lab, language),
        tasks: lab.tasks.iter().map(|task| task_page(task, language)).collect(),
        run: report.map(|report| run_page(report, language)),
        prose: folder.readme.get(&of_lab(language)).cloned().unwrap_or_default(),
    }
}

/// What the lab boots, in the order in which a request meets it.
fn components(lab: &Lab, language: Language) -> Vec<String> {
    let words = Words(language);
    let times = |key: &str, count: u8| match count {
        1 => words.get(key).to_owned(),
        count => format!("{} × {count}", words.get(key)),
    };
    let cluster = &lab.cluster;
    let booted = [
        cluster.etcd.as_ref().map(|etcd| times("etcd", etcd.members)),
        cluster.api_server.as_ref().map(|servers| times("apiServer", servers.replicas)),
        cluster.controller_manager.as_ref().map(|managers| times("controllerManager", managers.replicas)),
        cluster.scheduler.as_ref().map(|schedulers| times("scheduler", schedulers.replicas)),
        cluster.nodes.as_ref().map(|nodes| times("nodes", nodes.count)),
    ];
    booted.into_iter().flatten().collect()
}

fn task_page(task: &Task, language: Language) -> TaskPage {
    let checks: Vec<CheckPage> = task
        .checks
        .iter()
        .map(|check| CheckPage {
            id: check.id.clone(),
            title: said(&check.title, language),
            points: check.points.into(),
        })
        .collect();
    let hints =
        (1..).zip(&task.hints).map(|(number, hint)| HintPage { number, text: said(&hint.text(), language) });
    TaskPage {
        id: task.id.clone(),
        title: task.title.as_ref().map(|title| said(title, language)),
        points_max: checks.iter().map(|check| check.points).sum(),
        checks,
        hints: hints.collect(),
    }
}

pub(crate) fn run_page(report: &Report, language: Language) -> RunPage {
    let rows = report.checks().map(|(task, check)| ResultRow {
        task: task.to_owned(),
        id: check.id.clone(),
        title: said(&check.title, language),
        points: check.points.into(),
        points_max: check.points_max.into(),
        verdict: verdict(check.verdict),
        unmet: !check.verdict.is_good(),
        expected: check.expected_in(of_lab(language)).to_owned(),
        actual: check.actual_in(of_lab(language)).to_owned(),
        error: check.error.clone(),
    });
    let faults = report.faults.iter().filter(|fault| fault.error.is_none()).map(|fault| Fault {
        id: fault.id.clone(),
        target: fault.target.clone(),
        at_ms: fault.at_ms,
        healed_ms: fault.healed_ms,
    });
    let messages = report.timeline.iter().map(|entry| Message {
        id: entry.id,
        at_ms: entry.at_ms,
        from: entry.from.clone(),
        to: entry.to.clone(),
        kind: entry.kind.clone(),
        text: entry.text.clone(),
        cause: entry.cause,
        noise: entry.noise,
        fields: entry.fields.clone(),
    });
    RunPage {
        points: report.points.into(),
        points_max: report.points_max.into(),
        verdict: if report.passed() { "passed" } else { "failed" },
        seed: report.seed,
        virtual_ms: report.virtual_ms,
        rows: rows.collect(),
        faults: faults.collect(),
        acts: acts(report),
        messages: messages.collect(),
        left_out: report.left_out.iter().map(|gap| gap.count).sum(),
    }
}

/// Steps that the trace does not show: what acts on components and on the clock, and what failed. A step that
/// injects or heals a fault is that fault.
fn acts(report: &Report) -> Vec<Act> {
    let strikes =
        |at_ms: u64| report.faults.iter().any(|fault| fault.at_ms == at_ms || fault.healed_ms == Some(at_ms));
    let acts = report.steps.iter().filter(|step| {
        let acts_on_components = step.command.starts_with("labkit fault ") && !strikes(step.at_ms);
        acts_on_components || step.command.starts_with("labkit clock ") || step.error.is_some()
    });
    let acts =
        acts.map(|step| Act { at_ms: step.at_ms, command: step.command.clone(), error: step.error.clone() });
    acts.collect()
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
        Verdict::NotYet => "notYet",
        Verdict::SoFar => "soFar",
    }
}
