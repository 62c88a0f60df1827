//! `trace`: these messages were sent in this order.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use labkit_cluster::TimelineEntry;

use super::compare::compare;
use super::{CheckVerb, Finding};
use crate::run::Run;
use crate::text::Text;

/// `trace: {order: [{from: scheduler/0, kind: POST, text: /binding}, {to: kubelet/worker1, kind: MODIFIED}]}`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TraceCheck {
    /// The messages, in their order; others may come in between.
    #[schemars(length(min = 1))]
    pub order: Vec<MessagePattern>,
}

/// A message; what is not named may be anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct MessagePattern {
    /// Who sends it, such as kubectl or etcd1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who receives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Its type, such as POST, Put or Vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What its line in the timeline contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its fields, as far as they matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub fields: Option<Value>,
}

impl CheckVerb for TraceCheck {
    fn find<'a>(&'a self, run: &'a Arc<Run>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            let began = run.began().record;
            let entries = labkit_cluster::timeline::timeline(run.cluster.world());
            let mut rest = entries.iter().filter(|entry| entry.id > began);
            let mut met: Vec<&TimelineEntry> = Vec::new();
            for pattern in &self.order {
                match rest.find(|entry| pattern.matches(entry)) {
                    Some(entry) => met.push(entry),
                    None => break,
                }
            }
            let of = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
            let held = u32::try_from(met.len()).unwrap_or(of);
            let line = |entry: &TimelineEntry| format!("{} → {}: {}", entry.from, entry.to, entry.text);
            let missing = self.order.get(met.len()).map(MessagePattern::described);
            let order: Vec<Text> =
                self.order.iter().map(MessagePattern::described).map(Text::plain).collect();
            let expected = Text::joined(&order, " → ");
            let actual = match (missing, met.last()) {
                (None, _) => Text::new("in that order", "그 순서대로임"),
                (Some(missing), None) => Text::new(&format!("no {missing}"), &format!("{missing} 없음")),
                (Some(missing), Some(last)) => Text::new(
                    &format!("no {missing} after {}", line(last)),
                    &format!("{} 다음에 {missing} 없음", line(last)),
                ),
            };
            let evidence = json!({"met": met.iter().map(|entry| json!({"id": entry.id, "atMs": entry.at_ms, "line": line(entry)})).collect::<Vec<_>>()});
            Finding { held, of, expected, actual, error: None, evidence }
        })
    }
}

impl MessagePattern {
    fn matches(&self, entry: &TimelineEntry) -> bool {
        self.from.as_ref().is_none_or(|from| entry.from == *from)
            && self.to.as_ref().is_none_or(|to| entry.to == *to)
            && self.kind.as_ref().is_none_or(|kind| entry.kind == *kind)
            && self.text.as_ref().is_none_or(|text| entry.text.contains(text.as_str()))
            && self.fields.as_ref().is_none_or(|fields| compare(fields, &entry.fields).0.is_empty())
    }

    fn described(&self) -> String {
        let mut text = self.kind.clone().unwrap_or_else(|| "message".to_owned());
        for (word, value) in [("from", &self.from), ("to", &self.to), ("with", &self.text)] {
            if let Some(value) = value {
                text.push_str(&format!(" {word} {value}"));
            }
        }
        if let Some(fields) = &self.fields {
            text.push_str(&format!(" {fields}"));
        }
        text
    }
}
