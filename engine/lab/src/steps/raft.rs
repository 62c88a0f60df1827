//! `raft`: the store in slow motion, one message at a time.

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_cluster::{RaftMember, RaftView, SlowMotionError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Step, StepResult, StepVerb};
use crate::run::Run;

/// How many messages a step delivers at most: more would be no slow motion.
const DELIVERED_MAX: u32 = 1000;

/// `raft: hold`, `raft: {deliver: 1}`, `raft: release`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raft {
    /// The messages between the members stay on the way.
    Hold,
    /// So many of them arrive.
    Deliver(u32),
    /// They arrive by themselves again.
    Release,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Deliver {
    /// How many of the messages that are on the way arrive, oldest first.
    #[schemars(range(min = 1, max = 1000))]
    deliver: u32,
}

impl Raft {
    pub(crate) async fn perform(self, run: &Run) -> Result<RaftView, String> {
        let done = match self {
            Raft::Hold => run.cluster.hold_messages().and_then(|()| run.cluster.raft_view()),
            Raft::Deliver(count) => run.cluster.deliver_messages(count.min(DELIVERED_MAX)).await,
            Raft::Release => match run.cluster.release_messages().await {
                Ok(()) => run.cluster.raft_view(),
                Err(error) => Err(error),
            },
        };
        let next = match done {
            Err(SlowMotionError::NotHeld) => "; `raft: hold`, or labkit raft hold, holds them",
            _ => "",
        };
        done.map_err(|error| format!("{error}{next}"))
    }
}

impl StepVerb for Raft {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move { Ok(text(&self.perform(run).await?)) })
    }

    fn command(&self) -> String {
        match self {
            Raft::Hold => "labkit raft hold".to_owned(),
            Raft::Deliver(1) => "labkit raft deliver".to_owned(),
            Raft::Deliver(count) => format!("labkit raft deliver {count}"),
            Raft::Release => "labkit raft release".to_owned(),
        }
    }
}

/// What a report shows of it: each message that arrived, and how the members stood after it.
fn text(view: &RaftView) -> String {
    let mut lines = Vec::new();
    for step in &view.delivered {
        let message = &step.message;
        lines.push(format!("{} -> {}: {} {}", message.from, message.to, message.kind, message.described()));
        lines.extend(step.members.iter().map(standing));
    }
    if view.delivered.is_empty() {
        lines.extend(view.members.iter().map(standing));
    }
    if view.held {
        lines.push(format!("on the way: {}", view.waiting.len()));
    }
    lines.join("\n")
}

fn standing(member: &RaftMember) -> String {
    let RaftMember { name, role, term, last_index, commit_index, applied_index } = member;
    format!("  {name} {role} term={term} last={last_index} commit={commit_index} applied={applied_index}")
}

impl Serialize for Raft {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Raft::Hold => "hold".serialize(serializer),
            Raft::Release => "release".serialize(serializer),
            Raft::Deliver(deliver) => Deliver { deliver: *deliver }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Raft {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raft, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match value.as_str() {
            Some("hold") => Ok(Raft::Hold),
            Some("release") => Ok(Raft::Release),
            Some(other) => {
                Err(serde::de::Error::custom(format!("want hold, release or {{deliver: 1}}, not {other:?}")))
            }
            None => match serde_json::from_value(value) {
                Ok(Deliver { deliver: 0 }) => Err(serde::de::Error::custom("at least one message")),
                Ok(Deliver { deliver }) => Ok(Raft::Deliver(deliver)),
                Err(error) => Err(serde::de::Error::custom(error)),
            },
        }
    }
}

impl JsonSchema for Raft {
    fn schema_name() -> Cow<'static, str> {
        "Raft".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let deliver = generator.subschema_for::<Deliver>();
        json_schema!({"anyOf": [{"type": "string", "enum": ["hold", "release"]}, deliver]})
    }
}
