//! The trace as a timeline: one line per message, for people, with its cause.

use std::collections::BTreeSet;

use labkit_sim::{Record, World};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    pub id: u64,
    /// Milliseconds since the world began.
    pub at_ms: u64,
    pub from: String,
    pub to: String,
    pub kind: String,
    /// One line for people.
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    pub fields: Value,
    /// Heartbeats, lease renewals and what they lead to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noise: bool,
}

/// Every message that the trace still has, oldest first.
pub fn timeline(world: &World) -> Vec<TimelineEntry> {
    timeline_of(&world.trace().records())
}

/// The same of some records, oldest first; what noise led to is known as far as its causes are among them.
pub fn timeline_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<TimelineEntry> {
    let mut noise = BTreeSet::new();
    records.into_iter().map(|record| entry(record, &mut noise)).collect()
}

fn entry(record: &Record, noise: &mut BTreeSet<u64>) -> TimelineEntry {
    let fields = record.payload.fields();
    let kind = record.payload.kind().to_owned();
    let is_noise = record.payload.is_routine() || record.cause.is_some_and(|cause| noise.contains(&cause));
    if is_noise {
        noise.insert(record.id);
    }
    TimelineEntry {
        id: record.id,
        at_ms: u64::try_from(record.at.as_millis()).unwrap_or(u64::MAX),
        from: record.from.to_string(),
        to: record.to.to_string(),
        text: text(&kind, &fields),
        kind,
        cause: record.cause,
        fields,
        noise: is_noise,
    }
}

/// `POST /api/v1/namespaces/default/pods (kubectl)`, `MODIFIED pods default/web`, `Put /registry/pods/a`.
fn text(kind: &str, fields: &Value) -> String {
    let field = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(target) = field("target") {
        let path = target.split('?').next().unwrap_or(target);
        let agent = field("userAgent").map(|agent| format!(" ({agent})")).unwrap_or_default();
        return match field("method") {
            Some(method) => format!("{kind} {method} {path}{agent}"),
            None => format!("{kind} {path}{agent}"),
        };
    }
    if let (Some(resource), Some(name)) = (field("resource"), field("name")) {
        let place = field("namespace").map(|namespace| format!("{namespace}/")).unwrap_or_default();
        return format!("{kind} {resource} {place}{name}");
    }
    let Some(fields) = fields.as_object() else { return kind.to_owned() };
    let mut parts = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Null | Value::Bool(false) => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => parts.push(format!("{name}={text}")),
            Value::Bool(_) | Value::Number(_) => parts.push(format!("{name}={value}")),
            Value::Array(_) | Value::Object(_) => {}
        }
    }
    if parts.is_empty() { kind.to_owned() } else { format!("{kind} {}", parts.join(" ")) }
}
