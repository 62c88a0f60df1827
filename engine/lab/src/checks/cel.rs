//! `cel`: an expression is true.

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
                    Finding::one(false, expected, shown(&variables)).with_evidence(evidence)
                }
                Ok(other) => {
                    Finding::failed(expected, format!("the expression gives {other}, not true or false"))
                }
                Err(error) => {
                    let finding = Finding::one(false, expected, shown(&variables)).with_evidence(evidence);
                    Finding { error: Some(error.to_string()), ..finding }
                }
            }
        })
    }
}

/// The operands of an expression that holds: objects by their names, for what they say is as expected.
fn named(variables: &std::collections::BTreeMap<String, Value>) -> String {
    let name = |value: &Value| value["metadata"]["name"].as_str().map(str::to_owned);
    let one = |(variable, value): (&String, &Value)| match value {
        Value::Array(items) if !items.is_empty() && items.iter().all(|item| name(item).is_some()) => {
            format!("{variable}: {}", items.iter().filter_map(name).collect::<Vec<_>>().join(", "))
        }
        value => match name(value) {
            Some(name) => format!("{variable}: {name}"),
            None => shown(&std::collections::BTreeMap::from([(variable.clone(), value.clone())])),
        },
    };
    variables.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The operands, each cut to what a person reads.
fn shown(variables: &std::collections::BTreeMap<String, Value>) -> String {
    const SHOWN_MAX: usize = 160;
    let one = |(name, value): (&String, &Value)| {
        let text = value.to_string();
        match text.chars().count() > SHOWN_MAX {
            true => format!("{name} = {}…", text.chars().take(SHOWN_MAX).collect::<String>()),
            false => format!("{name} = {text}"),
        }
    };
    variables.iter().map(one).collect::<Vec<_>>().join(", ")
}
