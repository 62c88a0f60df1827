//! A message in few words, for an arrow: `POST pods`, `deployment-controller: POST replicasets`,
//! `Put /registry/pods/default/web`, `AppendEntries term=2 entries=1`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::page::Message;

/// Fields that matter to a debugger, not to a reader.
const DROPPED: [&str; 12] = [
    "prevIndex",
    "prevTerm",
    "lastIndex",
    "lastTerm",
    "commit",
    "compares",
    "rangeEnd",
    "serializable",
    "startRevision",
    "success",
    "image",
    "container",
];

/// A pod of a replica set: its name, the hash of the template, its own suffix.
static POD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"-[a-z0-9]{8,10}-([a-z0-9]{5})(/|,|:| |$)").expect("a constant"));

pub(super) fn label(message: &Message) -> String {
    POD.replace_all(&long_label(message), "-…-$1$2").into_owned()
}

fn long_label(message: &Message) -> String {
    let field = |name: &str| message.fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = &message.kind;
    if field("method").is_some() {
        return kind.clone();
    }
    if let Some(target) = field("target") {
        let agent = field("userAgent").filter(|_| message.from.starts_with("controllerManager"));
        let agent = agent.map(|agent| format!("{agent}: ")).unwrap_or_default();
        return format!("{agent}{kind} {}", short_path(target));
    }
    if let Some([Value::String(write)]) =
        message.fields.get("writes").and_then(Value::as_array).map(Vec::as_slice)
    {
        return write.clone();
    }
    let pod = field("pod").map(|pod| pod.strip_prefix("default/").unwrap_or(pod));
    if let (Some(pod), Some(node)) = (pod, field("chosen")) {
        return format!("{kind} {pod} → {node}");
    }
    if let Some(subject) = pod.or(field("key")) {
        return format!("{kind} {subject}");
    }
    let kept = |word: &&str| word.split_once('=').is_none_or(|(name, _)| !DROPPED.contains(&name));
    let words: Vec<&str> = message.text.split(' ').filter(kept).collect();
    if words.is_empty() || message.text.is_empty() { kind.clone() } else { words.join(" ") }
}

/// `/apis/apps/v1/namespaces/default/deployments/web?x=y` is `deployments/web`.
fn short_path(target: &str) -> String {
    let path = target.split('?').next().unwrap_or(target);
    let mut parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let prefix = match parts.first() {
        Some(&"api") => 2,
        Some(&"apis") => 3,
        _ => return path.to_owned(),
    };
    if parts.len() <= prefix {
        return path.to_owned();
    }
    parts.drain(..prefix);
    if parts.len() > 2 && parts[0] == "namespaces" && parts[2] != "status" {
        parts.drain(..2);
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(from: &str, kind: &str, text: &str, fields: Value, expected: &str) {
        let (from, kind, text) = (from.to_owned(), kind.to_owned(), text.to_owned());
        assert_eq!(label(&Message { from, kind, text, fields, ..Message::default() }), expected);
    }

    #[test]
    fn an_arrow_says_what_and_on_what() {
        let post = json!({"target": "/apis/apps/v1/namespaces/a/replicasets?x=y", "userAgent": "deployment-controller"});
        check(
            "controllerManager/0",
            "POST",
            "POST /apis ...",
            post,
            "deployment-controller: POST replicasets",
        );
        let bind = json!({"target": "/api/v1/namespaces/a/pods/web/binding", "userAgent": "scheduler"});
        check("scheduler/0", "POST", "POST /api ...", bind, "POST pods/web/binding");
        check("x", "GET", "GET /api", json!({"target": "/api"}), "GET /api");
        check("x", "GET", "GET ...", json!({"target": "/api/v1/namespaces/a"}), "GET namespaces/a");
        check(
            "x",
            "201 Created",
            "201 ...",
            json!({"target": "/api/v1/pods", "method": "POST"}),
            "201 Created",
        );
        check("x", "Txn", "Txn key=/a compares=1", json!({"key": "/a", "writes": ["Put /a"]}), "Put /a");
        let schedule = json!({"pod": "default/web-5f84b7585b-8z5xl", "chosen": "worker1"});
        check("x", "Schedule", "Schedule ...", schedule, "Schedule web-…-8z5xl → worker1");
        check(
            "x",
            "AppendEntries",
            "AppendEntries term=1 prevIndex=4 entries=1",
            json!({}),
            "AppendEntries term=1 entries=1",
        );
        check("x", "ADDED", "ADDED pods default/web", json!({"resource": "pods"}), "ADDED pods default/web");
    }
}
