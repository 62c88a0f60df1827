//! `etcd`: the store's members, leader, term and keys.

use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_cluster::etcd::RangeRequest;
use labkit_sim::ComponentState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::count::{expected, within};
use super::{CheckVerb, Finding};
use crate::run::Run;
use crate::text::Text;

/// `etcd: {members: 3, leader: true, termGrew: true}`: all that is named must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct EtcdCheck {
    /// So many members are running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// There is a leader that a majority follows; or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<bool>,
    /// The leader is another one than when the task began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_changed: Option<bool>,
    /// The term is higher than when the task began. By how much is left open: votes may split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term_grew: Option<bool>,
    /// Keys of the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeysCheck>,
}

/// `{key: /registry/pods/default/web}`, `{prefix: /registry/pods/, count: 3}` or `{key: foo, value: bar}`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("x-one-of-fields" = {"what": "entry of keys", "fields": ["key", "prefix"]}))]
pub struct KeysCheck {
    /// One key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// All keys that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// So many of them; without it and `atLeast`, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// So many or more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u64>,
    /// The value of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl CheckVerb for EtcdCheck {
    fn find<'a>(&'a self, run: &'a Arc<Run>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            let began = run.began();
            let members = run.cluster.etcd().members();
            let leader = run.cluster.etcd().leader();
            let term =
                members.iter().filter(|member| member.state == ComponentState::Running).map(|m| m.term).max();
            let term = term.unwrap_or_default();
            let mut conditions = Vec::new();
            if let Some(expected) = self.members {
                let running =
                    members.iter().filter(|member| member.state == ComponentState::Running).count() as u64;
                let said = Text::new(
                    &format!("{expected} members running"),
                    &format!("실행 중인 멤버 {expected}개"),
                );
                conditions.push(Finding::one(
                    running == expected,
                    said,
                    Text::new(&format!("{running} running"), &format!("{running}개 실행 중")),
                ));
            }
            if let Some(expected) = self.leader {
                let said = if expected { Text::new("a leader", "리더 있음") } else { leader_text(None) };
                conditions.push(Finding::one(
                    leader.is_some() == expected,
                    said,
                    leader_text(leader.as_deref()),
                ));
            }
            if let Some(expected) = self.leader_changed {
                let changed = leader.is_some() && leader != began.leader;
                let said = match expected {
                    true => Text::new("another leader than before", "이전과 다른 리더"),
                    false => Text::new("the same leader as before", "이전과 같은 리더"),
                };
                let before = began.leader.as_deref().unwrap_or("-");
                let now = leader_text(leader.as_deref());
                let actual = Text {
                    en: format!("{}, before {before}", now.en),
                    ko: format!("{}, 이전에는 {before}", now.ko),
                };
                conditions.push(Finding::one(changed == expected, said, actual));
            }
            if let Some(expected) = self.term_grew {
                let grew = term > began.term;
                let before = began.term;
                let said = match expected {
                    true => Text::new(&format!("a term above {before}"), &format!("{before}보다 큰 term")),
                    false => Text::plain(format!("term {before}")),
                };
                conditions.push(Finding::one(grew == expected, said, Text::plain(format!("term {term}"))));
            }
            for keys in &self.keys {
                conditions.push(keys.find(run).await);
            }
            let evidence = json!({
                "leader": leader, "term": term, "leaderBefore": began.leader, "termBefore": began.term,
                "members": members.iter().map(|member| json!({
                    "name": member.name, "running": member.state == ComponentState::Running, "term": member.term
                })).collect::<Vec<Value>>(),
            });
            Finding::all(conditions).with_evidence(evidence)
        })
    }
}

fn leader_text(leader: Option<&str>) -> Text {
    match leader {
        Some(leader) => Text::new(&format!("leader {leader}"), &format!("리더 {leader}")),
        None => Text::new("no leader", "리더 없음"),
    }
}

impl KeysCheck {
    async fn find(&self, run: &Arc<Run>) -> Finding {
        let (request, what) = match (&self.key, &self.prefix) {
            (Some(key), _) => (RangeRequest::key(key.clone()), format!("key {key}")),
            (None, prefix) => {
                let prefix = prefix.clone().unwrap_or_default();
                (RangeRequest::prefix(prefix.clone()), format!("keys under {prefix}"))
            }
        };
        let at_least = self.at_least.or(self.count.is_none().then_some(1));
        let mut said = expected(self.count, at_least, None, &what);
        if let Some(value) = &self.value {
            said = Text::plain(format!("{what} = {value}"));
        }
        match run.cluster.etcd_client("grader").range(request).await {
            Err(error) => Finding::failed(said, error.to_string()),
            Ok(found) => {
                let count = u64::try_from(found.count).unwrap_or_default();
                let first = found.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned());
                let holds = within(count, self.count, at_least, None)
                    && (self.value.is_none() || self.value == first);
                let actual = match (&self.value, first) {
                    (Some(_), Some(value)) => Text::plain(format!("{what} = {value}")),
                    _ => Text::new(&format!("{count} found"), &format!("{count}개 있음")),
                };
                Finding::one(holds, said, actual)
            }
        }
    }
}
