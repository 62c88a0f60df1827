//! `cel`: an expression is true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CheckVerb, Finding};
use crate::cel::Condition;
use crate::run::Run;

/// `cel: "size(etcd.members) == 3"`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CelCheck(pub Condition);

impl CheckVerb for CelCheck {
    fn find<'a>(&'a self, run: &'a Arc<Run>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            let expected = self.0.cel.source();
            let variables = match run.variables(&self.0).await {
                Ok(variables) => variables,
                Err(error) => return Finding::failed(expected, error),
            };
            let evidence = json!(variables);
            match self.0.cel.expression().eval(&variables) {
                Ok(Value::Bool(true)) => {
                    Finding::one(true, expected, named(&variables)).with_evidence(evidence)
                }
                Ok(Value::Bool(false)) => {
                    Finding::one(false, expected, shown(expected, &variables)).with_evidence(evidence)
                }
                Ok(other) => {
                    Finding::failed(expected, format!("the expression gives {other}, not true or false"))
                }
                Err(error) => {
                    let finding =
                        Finding::one(false, expected, shown(expected, &variables)).with_evidence(evidence);
                    Finding { error: Some(error.to_string()), ..finding }
                }
            }
        })
    }
}

/// The operands of an expression that holds: objects by their names, for what they say is as expected.
fn named(variables: &BTreeMap<String, Value>) -> String {
    let name = |value: &Value| value["metadata"]["name"].as_str().map(str::to_owned);
    let one = |(variable, value): (&String, &Value)| match value {
        Value::Array(items) if !items.is_empty() && items.iter().all(|item| name(item).is_some()) => {
            format!("{variable}: {}", items.iter().filter_map(name).collect::<Vec<_>>().join(", "))
        }
        value => match name(value) {
            Some(name) => format!("{variable}: {name}"),
            None => format!("{variable} = {}", brief(value)),
        },
    };
    variables.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What the expression looks at: of an object the fields that it names, each cut to what a person reads.
fn shown(source: &str, variables: &BTreeMap<String, Value>) -> String {
    let mut parts = Vec::new();
    for (name, value) in variables {
        let read = paths(source, name);
        let is_whole = value.is_null() || value.is_array() || read.iter().all(Vec::is_empty);
        if is_whole {
            parts.push(format!("{name} = {}", brief(value)));
            continue;
        }
        for path in read.iter().filter(|path| !path.is_empty()) {
            let found = path.iter().try_fold(value, |value, field| value.get(field));
            let found = found.map_or_else(|| "–".to_owned(), |value| brief(&asked_for(source, value)));
            parts.push(format!("{name}.{} = {found}", path.join(".")));
        }
    }
    parts.join("; ")
}

/// Of conditions those that the expression names by their type, if it does.
fn asked_for(source: &str, value: &Value) -> Value {
    let is_named = |item: &&Value| {
        let of = item["type"].as_str().unwrap_or_default();
        source.contains(&format!("'{of}'")) || source.contains(&format!("\"{of}\""))
    };
    let named: Vec<Value> = value.as_array().into_iter().flatten().filter(is_named).cloned().collect();
    if named.is_empty() { value.clone() } else { Value::Array(named) }
}

/// The fields of a variable that an expression reads, shorter paths before longer: `node.status.conditions`.
/// What is called (`pods.exists(...)`) is no field.
fn paths<'a>(source: &'a str, variable: &str) -> BTreeSet<Vec<&'a str>> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut paths = BTreeSet::new();
    for (at, _) in source.match_indices(variable) {
        let mut rest = &source[at + variable.len()..];
        if source[..at].ends_with(|letter| is_word(letter) || letter == '.') || rest.starts_with(is_word) {
            continue;
        }
        let mut path = Vec::new();
        while let Some(after) = rest.strip_prefix('.') {
            let (field, behind) =
                after.split_at(after.find(|letter| !is_word(letter)).unwrap_or(after.len()));
            if field.is_empty() || behind.starts_with('(') {
                break;
            }
            path.push(field);
            rest = behind;
        }
        paths.insert(path);
    }
    paths
}

/// A value in few words: objects by their names, conditions by their statuses, else JSON, cut.
fn brief(value: &Value) -> String {
    const SHOWN_MAX: usize = 160;
    let each = |of: &dyn Fn(&Value) -> Option<String>| -> Option<String> {
        let items = value.as_array().filter(|items| !items.is_empty())?;
        Some(items.iter().map(of).collect::<Option<Vec<_>>>()?.join(", "))
    };
    let text = object(value).or_else(|| each(&object)).or_else(|| each(&condition));
    let text = text.unwrap_or_else(|| value.to_string());
    match text.chars().count() > SHOWN_MAX {
        true => format!("{}…", text.chars().take(SHOWN_MAX).collect::<String>()),
        false => text,
    }
}

/// `web-1 (Running, worker2)`
fn object(value: &Value) -> Option<String> {
    let name = value["metadata"]["name"].as_str()?;
    let is_going = value["metadata"]["deletionTimestamp"].is_string().then_some("Terminating");
    let state = is_going.or(value["status"]["phase"].as_str());
    let told: Vec<&str> = state.into_iter().chain(value["spec"]["nodeName"].as_str()).collect();
    Some(if told.is_empty() { name.to_owned() } else { format!("{name} ({})", told.join(", ")) })
}

/// `Ready: Unknown (NodeStatusUnknown)`
fn condition(value: &Value) -> Option<String> {
    let (of, status) = (value["type"].as_str()?, value["status"].as_str()?);
    let reason = value["reason"].as_str().filter(|reason| !reason.is_empty());
    Some(reason.map_or_else(|| format!("{of}: {status}"), |reason| format!("{of}: {status} ({reason})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, variables: Value, expected: &str) {
        assert_eq!(shown(source, &serde_json::from_value(variables).unwrap()), expected);
    }

    #[test]
    fn what_is_shown_is_what_the_expression_looks_at() {
        let node = json!({
            "metadata": {"name": "worker2"},
            "status": {"conditions": [
                {"type": "DiskPressure", "status": "False"},
                {"type": "Ready", "status": "True", "reason": "KubeletReady"},
            ]},
        });
        check(
            "node.status.conditions.exists(c, c.type == 'Ready' && c.status == 'Unknown')",
            json!({"node": node}),
            "node.status.conditions = Ready: True (KubeletReady)",
        );
        check(
            "size(node.status.conditions) > 2",
            json!({"node": node}),
            "node.status.conditions = DiskPressure: False, Ready: True (KubeletReady)",
        );
        check(
            "web != null && web.status.replicas == 3 && web.spec.paused",
            json!({"web": {"metadata": {"name": "web"}, "status": {"replicas": 2}}}),
            "web.spec.paused = –; web.status.replicas = 2",
        );
        check("web != null && web.status.replicas == 3", json!({"web": null}), "web = null");
        check(
            "pods.filter(p, p.spec.nodeName != 'worker2').size() == 3",
            json!({"pods": [
                {"metadata": {"name": "a"}, "spec": {"nodeName": "worker1"}, "status": {"phase": "Running"}},
                {"metadata": {"name": "b", "deletionTimestamp": "x"}, "spec": {"nodeName": "worker2"}},
            ]}),
            "pods = a (Running, worker1), b (Terminating, worker2)",
        );
        check("size(etcd.members) == 3", json!({"etcd": {"members": [1], "term": 2}}), "etcd.members = [1]");
        check("pods.size() == 1", json!({"pods": []}), "pods = []");
    }
}
