//! `resource`: an object is as described, or absent.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::compare::{compare, in_words};
use super::{CheckVerb, Finding};
use crate::objects::ObjectRef;
use crate::run::Run;
use crate::text::Text;

/// `resource: {of: {kind: Deployment, name: web}, object: {status: {readyReplicas: 3}}}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceCheck {
    /// The object, by kind and name.
    pub of: ObjectRef,
    /// What it must have; what is not named here may be anything. null: the field must be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub object: Option<Value>,
    /// It must not be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

impl CheckVerb for ResourceCheck {
    fn find<'a>(&'a self, run: &'a Arc<Run>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            let described = self.of.described();
            let expected = match (&self.object, self.absent) {
                (_, true) => Text::new(&format!("no {described}"), &format!("{described} 없음")),
                (None, _) => Text::plain(described.clone()),
                (Some(object), _) => with(&described, &in_words(object)),
            };
            let found = match run.grader() {
                Ok(client) => self.of.get(&client).await,
                Err(error) => Err(error),
            };
            match found {
                Err(error) => Finding::failed(expected, error),
                Ok(None) => Finding::one(self.absent, expected, absent(&described)),
                Ok(Some(_)) if self.absent => Finding::one(false, expected, present(&described)),
                Ok(Some(actual)) => judged(&described, self.object.as_ref(), &actual),
            }
        })
    }
}

fn with(described: &str, what: &str) -> Text {
    Text::plain(format!("{described}: {what}"))
}

fn absent(described: &str) -> Text {
    Text::new(&format!("there is no {described}"), &format!("{described} 없음"))
}

fn present(described: &str) -> Text {
    Text::new(&format!("{described} is there"), &format!("{described} 있음"))
}

fn judged(described: &str, expected: Option<&Value>, actual: &Value) -> Finding {
    let Some(expected) = expected else {
        return Finding::one(true, described, present(described));
    };
    let (differences, leaves) = compare(expected, actual);
    let side = |of: fn(&super::compare::Difference) -> &str| {
        differences
            .iter()
            .map(|difference| format!("{}: {}", difference.path, of(difference)))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let evidence = json!({"differences": differences.iter().map(|difference| {
        json!({"path": difference.path, "expected": difference.expected, "actual": difference.actual})
    }).collect::<Vec<_>>()});
    let (expected, actual) = match differences.is_empty() {
        true => (with(described, &in_words(expected)), Text::new("just so", "그대로임")),
        false => (with(described, &side(|d| &d.expected)), Text::plain(side(|d| &d.actual))),
    };
    let of = leaves.max(1);
    let held = of - u32::try_from(differences.len()).unwrap_or(of).min(of);
    Finding { held, of, expected, actual, error: None, evidence }
}
