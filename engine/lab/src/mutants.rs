//! Solutions with one mistake each, made by machine: a step left out, the last one not done, a field changed, a
//! question not answered or answered wrongly. A mutant that still has full marks shows what no check looks at.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::steps::Step;
use crate::submission::Submission;
use crate::text::Text;

/// How many changed fields are tried; the first in the order of the file.
const FIELDS_MAX: usize = 40;

/// What etcdctl only reads with: leaving it out changes nothing, and is nobody's mistake.
const READING: [&str; 8] =
    ["get", "endpoint", "member list", "watch", "version", "lease list", "lease timetolive", "alarm list"];

/// Fields that say which object is meant, not how it is.
const NAMING: [&str; 9] =
    ["id", "task", "apiVersion", "kind", "name", "namespace", "cel", "objects", "history"];

/// A solution with one mistake.
#[derive(Debug, Clone)]
pub(crate) struct Mutant {
    /// `without-step-3`, `step-2.scale.replicas`, `no-answer.leader`, `wrong-answer.leader`.
    pub id: String,
    /// What is wrong with it.
    pub what: Text,
    pub submission: Submission,
}

/// All mutants of a solution, in the order of its file.
pub(crate) fn of(solution: &Submission) -> Vec<Mutant> {
    let steps = with_tasks(&solution.steps);
    let mutant = |id: String, what: Text, submission: Submission| Mutant { id, what, submission };
    let with_steps = |steps: Vec<Step>| Submission { steps, ..solution.clone() };
    let mut mutants = Vec::new();
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| !only_reads(step)) {
        let (number, command) = (index + 1, step.verb().1.command());
        let what = if number == steps.len() {
            Text::new(
                &format!("it stops before the last step, `{command}`"),
                &format!("마지막 단계 `{command}` 전에 멈춤"),
            )
        } else {
            Text::new(
                &format!("it leaves out step {number}, `{command}`"),
                &format!("{number}번째 단계 `{command}` 을(를) 빠뜨림"),
            )
        };
        let mut fewer = steps.clone();
        fewer.remove(index);
        mutants.push(mutant(format!("without-step-{number}"), what, with_steps(fewer)));
    }
    let changed = steps.iter().enumerate().flat_map(|(index, step)| {
        changed(step).into_iter().map(move |(at, from, to, step)| (index, at, from, to, step))
    });
    // The same change elsewhere would tell the same.
    let mut tried = BTreeSet::new();
    let changed = changed.filter(|(_, at, from, _, _)| {
        tried.insert((at.rsplit('.').next().unwrap_or_default().to_owned(), from.to_string()))
    });
    for (index, at, from, to, step) in changed.take(FIELDS_MAX) {
        let number = index + 1;
        let what = Text::new(
            &format!("step {number} has {at}: {to} instead of {from}"),
            &format!("{number}번째 단계의 {at} 이(가) {from} 대신 {to}"),
        );
        let mut others = steps.clone();
        others[index] = step;
        mutants.push(mutant(format!("step-{number}.{at}"), what, with_steps(others)));
    }
    for id in solution.answers.keys() {
        let mut fewer = solution.clone();
        fewer.answers.remove(id);
        let what = Text::new(&format!("it does not answer `{id}`"), &format!("질문 `{id}` 에 답하지 않음"));
        mutants.push(mutant(format!("no-answer.{id}"), what, fewer));
        let mut wrong = solution.clone();
        wrong.answers.insert(id.clone(), json!(WRONG));
        let what = Text::new(
            &format!("it answers `{id}` with {WRONG}"),
            &format!("질문 `{id}` 에 {WRONG} (이)라고 답함"),
        );
        mutants.push(mutant(format!("wrong-answer.{id}"), what, wrong));
    }
    mutants
}

/// No right answer.
const WRONG: &str = "mutant";

/// The steps, each with its task named, so that none changes its task when another one goes.
fn with_tasks(steps: &[Step]) -> Vec<Step> {
    let mut task = None;
    let named = steps.iter().map(|step| {
        task = step.task.clone().or(task.take());
        Step { task: task.clone(), ..step.clone() }
    });
    named.collect()
}

fn only_reads(step: &Step) -> bool {
    let line = step.etcdctl.as_ref().map(|etcdctl| etcdctl.0.trim());
    line.is_some_and(|line| READING.iter().any(|reading| line.starts_with(reading)))
}

/// The step with one value changed, for each value that can be: where it stands, what it was, what it is now.
fn changed(step: &Step) -> Vec<(String, Value, Value, Step)> {
    let whole = serde_json::to_value(step).expect("a step is plain data");
    let mut places = Vec::new();
    collect(&whole, "", &mut places);
    let change = |(pointer, value): (String, Value)| {
        let mut whole = whole.clone();
        let from = std::mem::replace(whole.pointer_mut(&pointer)?, value.clone());
        // What a step does not take is no mistake that a student could make.
        let step = serde_json::from_value(whole).ok()?;
        Some((pointer.trim_start_matches('/').replace('/', "."), from, value, step))
    };
    places.into_iter().filter_map(change).collect()
}

/// Every value that can be changed, with what it becomes.
fn collect(value: &Value, pointer: &str, places: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !NAMING.contains(&name.as_str())) {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                collect(value, &format!("{pointer}/{escaped}"), places);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, &format!("{pointer}/{index}"), places);
            }
        }
        scalar => places.extend(other(scalar, pointer).map(|value| (pointer.to_owned(), value))),
    }
}

/// Another value in the place of a scalar, if a mistake there can be made up.
fn other(scalar: &Value, pointer: &str) -> Option<Value> {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    match scalar {
        Value::Bool(flag) => Some(json!(!flag)),
        Value::Number(number) => number.as_i64().map(|number| json!(number + 1)),
        Value::String(text) if name == "image" => Some(json!(format!("{}-mutant", text.trim()))),
        Value::String(text) if pointer == "/etcdctl" => {
            // `put a b` becomes `put a b-mutant`.
            let words = text.split_whitespace().collect::<Vec<_>>();
            let writes = words.first() == Some(&"put") && words.len() >= 3 && !text.contains(['"', '\'']);
            writes.then(|| json!(format!("{text}-mutant")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solution(steps: Value) -> Submission {
        let mut solution = Submission::new("made");
        solution.steps = serde_json::from_value(steps).unwrap();
        solution
    }

    fn told(solution: &Submission) -> Vec<String> {
        of(solution).into_iter().map(|mutant| mutant.what.en).collect()
    }

    #[test]
    fn each_mutant_has_one_mistake() {
        let mut solution = solution(json!([
            {"task": "one", "etcdctl": "put a b"},
            {"etcdctl": "get a"},
            {"fastForward": "40s"},
            {"scale": {"kind": "Deployment", "name": "web", "replicas": 3}},
        ]));
        solution.answers.insert("leader".to_owned(), json!("etcd1"));
        assert_eq!(
            told(&solution),
            [
                "it leaves out step 1, `etcdctl put a b`",
                "it leaves out step 3, `labkit clock +40s`",
                "it stops before the last step, `kubectl scale deployment web --replicas=3`",
                "step 1 has etcdctl: \"put a b-mutant\" instead of \"put a b\"",
                "step 4 has scale.replicas: 4 instead of 3",
                "it does not answer `leader`",
                "it answers `leader` with mutant",
            ]
        );
        let ids: Vec<String> = of(&solution).into_iter().map(|mutant| mutant.id).collect();
        assert_eq!((ids[0].as_str(), ids[4].as_str()), ("without-step-1", "step-4.scale.replicas"));
        assert_eq!(ids[5..], ["no-answer.leader", "wrong-answer.leader"]);
        assert!(of(&solution)[0].submission.steps.iter().all(|step| step.task.as_deref() == Some("one")));
    }

    #[test]
    fn the_name_of_an_object_is_no_field_of_it() {
        let manifest = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
            "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
        });
        let solution = solution(json!([{"apply": {"manifest": manifest}}]));
        let told = told(&solution);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].contains("image: \"nginx:1.27-mutant\""), "{told:?}");
    }
}
