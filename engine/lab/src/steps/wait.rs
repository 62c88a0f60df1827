//! `wait`: a duration, or a condition and the longest that it may take.

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Step, StepResult, StepVerb};
use crate::cel::Condition;
use crate::run::Run;
use crate::span::Span;

/// `wait: 10s`, or `wait: {until: "etcd.leader.name != ''", atMost: 30s}`
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    For(Span),
    Until { condition: Condition, at_most: Span },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WaitUntil {
    /// The condition that is waited for.
    until: Condition,
    /// The longest that is waited; then the step has failed.
    #[serde(default = "a_minute")]
    at_most: Span,
}

fn a_minute() -> Span {
    Span::seconds(60)
}

impl StepVerb for Wait {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            match self {
                Wait::For(span) => {
                    tokio::time::sleep(span.0).await;
                    Ok(String::new())
                }
                Wait::Until { condition, at_most } => match run.holds_within(condition, at_most.0).await {
                    Ok(()) => Ok(String::new()),
                    Err(why) => {
                        Err(format!("not within {at_most}: {} ({why})", condition.cel.source()).into())
                    }
                },
            }
        })
    }

    fn command(&self) -> String {
        match self {
            Wait::For(span) => format!("sleep {span}"),
            Wait::Until { condition, .. } => format!("# wait until {}", condition.cel.source()),
        }
    }
}

impl Serialize for Wait {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Wait::For(span) => span.serialize(serializer),
            Wait::Until { condition, at_most } => {
                WaitUntil { until: condition.clone(), at_most: *at_most }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wait, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let parsed = match value.is_string() {
            true => serde_json::from_value(value).map(Wait::For),
            false => serde_json::from_value(value)
                .map(|WaitUntil { until, at_most }| Wait::Until { condition: until, at_most }),
        };
        parsed.map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Wait {
    fn schema_name() -> Cow<'static, str> {
        "Wait".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let span = generator.subschema_for::<Span>();
        let until = generator.subschema_for::<WaitUntil>();
        json_schema!({"anyOf": [span, until]})
    }
}
