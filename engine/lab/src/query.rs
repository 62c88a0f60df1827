//! A part of what was said in a run: the messages about an object, or to and from a component.

use std::collections::BTreeSet;

use labkit_api::Resource;
use labkit_cluster::TimelineEntry;
use labkit_cluster::timeline::timeline_of;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::suggestion;
use crate::report::{FaultReport, story};
use crate::run::{GRADER, Run};
use crate::text::{Text, text};

/// How many messages are given back, the latest.
const KEPT_MAX: usize = 1500;

/// Which messages; all that tell the run's story without a filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    pub object: Option<Wanted>,
    /// `etcd1`, `scheduler`, `kubelet/worker1`.
    pub component: Option<String>,
}

/// An object of the API, or a key of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wanted {
    Object { resource: Resource, name: String },
    Key(String),
}

impl Wanted {
    /// `pod/web`, `Pod/web` or `pods/web`; `key/NAME` is a key of the store, as is what begins with a slash.
    pub fn parse(text: &str) -> Result<Wanted, Text> {
        if text.starts_with('/') {
            return Ok(Wanted::Key(text.to_owned()));
        }
        let parts = text.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty());
        let (kind, name) = parts.ok_or_else(|| {
            text!(
                "`{text}` names no object: write KIND/NAME",
                "`{text}`: 객체 이름이 아닙니다. KIND/NAME 으로 쓰세요"
            )
        })?;
        if kind == "key" {
            return Ok(Wanted::Key(name.to_owned()));
        }
        let kind = kind.to_ascii_lowercase();
        let served = labkit_cluster::resources();
        let found = served
            .iter()
            .find(|resource| resource.plural == kind || resource.gvk.kind.to_ascii_lowercase() == kind);
        let resource = found.cloned().ok_or_else(|| {
            let kinds: BTreeSet<String> =
                served.iter().map(|resource| resource.gvk.kind.to_ascii_lowercase()).collect();
            let help = suggestion(&kind, kinds.iter().map(String::as_str));
            text!("no kind `{kind}`; {help}", "종류 `{kind}` 은(는) 없습니다. {help}", help)
        })?;
        Ok(Wanted::Object { resource, name: name.to_owned() })
    }

    /// Whether a message is about it.
    fn is_in(&self, entry: &TimelineEntry) -> bool {
        let fields = &entry.fields;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        // `Put /registry/pods/default/web`
        let writes = fields.get("writes").and_then(Value::as_array).into_iter().flatten();
        let mut keys = writes.filter_map(|write| write.as_str()?.split_once(' ')).map(|(_, key)| key);
        let is_written = self.is_key(text("key")) || keys.any(|key| self.is_key(key));
        let Wanted::Object { resource, name } = self else { return is_written };
        let is_watched = text("resource") == resource.qualified() && text("name") == name;
        let is_requested = self.is_target(text("target"));
        let of_pod = text("pod").rsplit('/').next().unwrap_or_default();
        is_written || is_watched || is_requested || (resource.gvk.kind == "Pod" && of_pod == name)
    }

    /// Whether a key of the store is the object's.
    pub(crate) fn is_key(&self, key: &str) -> bool {
        match self {
            Wanted::Key(wanted) => key == wanted,
            Wanted::Object { name, .. } => {
                let below = key.strip_prefix(&self.prefix());
                below.is_some_and(|below| below.rsplit('/').next() == Some(name))
            }
        }
    }

    /// What its key begins with. Two kinds are stored under names of old.
    pub(crate) fn prefix(&self) -> String {
        match self {
            Wanted::Key(key) => key.clone(),
            Wanted::Object { resource, .. } => {
                let prefix = match resource.plural.as_str() {
                    "nodes" => "minions",
                    "services" => "services/specs",
                    plural => plural,
                };
                format!("/registry/{prefix}/")
            }
        }
    }

    fn is_target(&self, target: &str) -> bool {
        let Wanted::Object { resource, name } = self else { return false };
        let path: Vec<&str> = target.split('?').next().unwrap_or_default().split('/').collect();
        path.windows(2).any(|pair| pair == [resource.plural.as_str(), name.as_str()])
    }
}

impl Query {
    /// The messages of a run that is being played, the latest last. A load's hundreds of writes and the
    /// heartbeats are among them only where they are asked for by name.
    pub(crate) fn of_run(&self, run: &Run, faults: &[FaultReport]) -> Vec<TimelineEntry> {
        let records = run.cluster.world().trace().records();
        let mut entries = if self.object.is_some() {
            without_grader(timeline_of(&records))
        } else {
            let loads = run.load_table();
            let loads = loads.as_object().into_iter().flat_map(|loads| loads.keys().cloned()).collect();
            story(&records, &loads, faults)
        };
        entries = self.of(entries);
        entries.drain(..entries.len().saturating_sub(KEPT_MAX));
        entries
    }

    /// The messages that are asked for, of those that were kept.
    pub fn of(&self, entries: Vec<TimelineEntry>) -> Vec<TimelineEntry> {
        let about = self.object.as_ref().map(|wanted| about(wanted, &entries));
        let mut entries = entries;
        entries.retain(|entry| {
            let of_object = about.as_ref().is_none_or(|about| about.contains(&entry.id));
            let of_component = self
                .component
                .as_ref()
                .is_none_or(|name| is_named(&entry.from, name) || is_named(&entry.to, name));
            of_object && of_component
        });
        entries
    }
}

/// The messages about an object, those that led to them, and the answers to these.
fn about(wanted: &Wanted, entries: &[TimelineEntry]) -> BTreeSet<u64> {
    let mut about: BTreeSet<u64> =
        entries.iter().filter(|entry| wanted.is_in(entry)).map(|entry| entry.id).collect();
    for entry in entries {
        let is_answer = entry.kind.ends_with("Response") || entry.fields.get("code").is_some();
        about.extend(entry.cause.filter(|cause| is_answer && about.contains(cause)).map(|_| entry.id));
    }
    // Causes come before what they lead to.
    for entry in entries.iter().rev() {
        // What was watched led to much; only what was asked belongs to the object.
        let is_request = entry.fields.get("target").is_some() || entry.fields.get("request").is_some();
        if let Some(cause) = entry.cause.filter(|_| about.contains(&entry.id) && !is_request) {
            let found = entries.binary_search_by_key(&cause, |entry| entry.id).ok().map(|at| &entries[at]);
            about.extend(found.filter(|found| found.fields.get("target").is_some()).map(|found| found.id));
        }
    }
    about
}

fn without_grader(entries: Vec<TimelineEntry>) -> Vec<TimelineEntry> {
    let mut own = BTreeSet::new();
    let mut entries = entries;
    entries.retain(|entry| {
        let is_own = entry.from == GRADER
            || entry.to == GRADER
            || entry.cause.is_some_and(|cause| own.contains(&cause));
        own.extend(is_own.then_some(entry.id));
        !is_own
    });
    entries
}

/// Whether a name of the trace is the one that is meant: whole, or without its kind or number.
fn is_named(actual: &str, wanted: &str) -> bool {
    actual.eq_ignore_ascii_case(wanted) || actual.split('/').any(|part| part.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(id: u64, cause: Option<u64>, from: &str, fields: Value) -> TimelineEntry {
        TimelineEntry {
            id,
            at_ms: id,
            from: from.to_owned(),
            to: "apiServer/0".to_owned(),
            kind: "x".to_owned(),
            text: String::new(),
            cause,
            fields,
            noise: false,
        }
    }

    #[track_caller]
    fn check(query: Query, expected: &[u64]) {
        let entries = vec![
            entry(1, None, "kubectl", json!({"target": "/api/v1/namespaces/default/pods?x=1"})),
            entry(2, Some(1), "apiServer/0", json!({"writes": ["Put /registry/pods/default/web"]})),
            entry(3, Some(2), "etcd1", json!({"resource": "pods", "namespace": "default", "name": "web"})),
            entry(4, None, "kubectl", json!({"target": "/api/v1/namespaces/default/pods/web-2"})),
            entry(
                5,
                None,
                "kubelet/worker1",
                json!({"target": "/api/v1/namespaces/default/pods/web/status"}),
            ),
            entry(6, None, "scheduler", json!({"pod": "default/web"})),
            entry(7, None, "etcdctl", json!({"key": "seq/1"})),
            TimelineEntry { kind: "PutResponse".to_owned(), ..entry(8, Some(7), "etcd1", json!({})) },
        ];
        let ids: Vec<u64> = query.of(entries).iter().map(|entry| entry.id).collect();
        assert_eq!(ids, expected);
    }

    fn object(text: &str) -> Query {
        Query { object: Some(Wanted::parse(text).unwrap()), component: None }
    }

    #[test]
    fn messages_are_found_by_object_and_by_component() {
        check(Query::default(), &[1, 2, 3, 4, 5, 6, 7, 8]);
        check(object("pod/web"), &[1, 2, 3, 5, 6]);
        check(object("Pod/web"), &[1, 2, 3, 5, 6]);
        check(object("key/seq/1"), &[7, 8]);
        check(object("/registry/pods/default/web"), &[1, 2]);
        check(Query { component: Some("worker1".to_owned()), ..Query::default() }, &[5]);
        check(Query { component: Some("ETCD1".to_owned()), ..object("pod/web") }, &[3]);
        check(Query { component: Some("nobody".to_owned()), ..Query::default() }, &[]);
    }

    #[test]
    fn what_names_no_object_is_refused_with_the_next_step() {
        let refusal = |text: &str| Wanted::parse(text).unwrap_err().en;
        assert!(refusal("web").contains("KIND/NAME"));
        assert!(refusal("pod/").contains("KIND/NAME"));
        assert!(refusal("pdo/web").contains("did you mean `pod"));
        assert!(refusal("frobnicator/web").contains("`deployment`"));
    }
}
