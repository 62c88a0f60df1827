//! `answer`: the student's answer is what the run shows.

use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_api::duration::parse_duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CheckVerb, Finding};
use crate::cel::Condition;
use crate::run::Run;
use crate::template::plain_text;
use crate::text::Text;

/// `answer: {id: leader, equals: "etcd.leader.name"}`. Text is compared without regard to case and to blanks
/// around it; a number may be given as text, a number of seconds as a duration such as 1400ms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("x-one-of-fields" = {"what": "answer", "fields": ["equals", "oneOf"]}))]
pub struct AnswerCheck {
    /// The answer's id.
    #[schemars(length(min = 1))]
    pub id: String,
    /// What is right, as the run shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Condition>,
    /// Any of these is right: an expression that gives a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Condition>,
    /// How far a number may be off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub tolerance: Option<f64>,
    /// A list's order is not judged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_order: bool,
}

impl CheckVerb for AnswerCheck {
    fn find<'a>(&'a self, run: &'a Arc<Run>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            let hidden = Text::new(
                &format!("the answer `{}` as the run shows it", self.id),
                &format!("실행 결과와 일치하는 답 `{}`", self.id),
            );
            let Some(answer) = run.answered(&self.id).filter(says_something) else {
                return Finding::one(false, hidden, Text::new("no answer", "답이 없습니다"));
            };
            let right = match self.right(run).await {
                Ok(right) => right,
                Err(error) => {
                    return Finding {
                        actual: Text::plain(plain_text(&answer)),
                        ..Finding::failed(hidden, error)
                    };
                }
            };
            let holds = right.iter().any(|right| self.accepts(right, &answer));
            let expected = match (holds, run.reveals_answers()) {
                (false, false) => hidden,
                _ => {
                    let right: Vec<Text> = right.iter().map(plain_text).map(Text::plain).collect();
                    Text::joined(&right, " / ")
                }
            };
            let mut evidence = json!({"answer": answer});
            if run.observed(&self.id).is_some() {
                evidence["selfReported"] = json!(true);
            }
            Finding::one(holds, expected, plain_text(&answer)).with_evidence(evidence)
        })
    }
}

impl AnswerCheck {
    /// Every value that is right.
    pub(crate) async fn right(&self, run: &Arc<Run>) -> Result<Vec<Value>, String> {
        if let Some(observed) = run.observed(&self.id) {
            return Ok(vec![observed]);
        }
        if let Some(equals) = &self.equals {
            return run.evaluate(equals).await.map(|value| vec![value]);
        }
        let one_of = self.one_of.as_ref().ok_or("the check names no right answer")?;
        match run.evaluate(one_of).await? {
            Value::Array(values) => Ok(values),
            other => Err(format!("oneOf gives {other}, not a list")),
        }
    }

    pub(crate) fn accepts(&self, right: &Value, answer: &Value) -> bool {
        match right {
            Value::Number(right) => match (right.as_f64(), number(answer)) {
                (Some(right), Some(answer)) => (right - answer).abs() <= self.tolerance.unwrap_or(0.0) + 1e-9,
                _ => false,
            },
            Value::Array(right) => {
                let items: Vec<Value> = match answer {
                    Value::Array(items) => items.clone(),
                    Value::String(text) => text.split(',').map(|item| json!(item.trim())).collect(),
                    other => vec![other.clone()],
                };
                right.len() == items.len()
                    && if self.any_order {
                        self.is_permutation(right, items)
                    } else {
                        right.iter().zip(&items).all(|(right, item)| self.accepts(right, item))
                    }
            }
            Value::Bool(right) => match answer {
                Value::Bool(answer) => right == answer,
                Value::String(text) => match text.trim().to_lowercase().as_str() {
                    "true" | "yes" => *right,
                    "false" | "no" => !*right,
                    _ => false,
                },
                _ => false,
            },
            right => normal(right) == normal(answer),
        }
    }

    fn is_permutation(&self, right: &[Value], mut items: Vec<Value>) -> bool {
        right.iter().all(|right| match items.iter().position(|item| self.accepts(right, item)) {
            Some(index) => {
                items.swap_remove(index);
                true
            }
            None => false,
        })
    }
}

/// Whether there is anything in an answer: where the run shows nothing, a blank must not be right.
fn says_something(answer: &Value) -> bool {
    !(answer.is_null() || answer.as_str().is_some_and(|text| text.trim().is_empty()))
}

/// A number, as such, as text, or as a duration in seconds.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| parse_duration(text).ok().map(|duration| duration.as_secs_f64()))
        }
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

fn normal(value: &Value) -> String {
    plain_text(value).split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(right: Value, answer: Value, accepted: bool) {
        let check =
            AnswerCheck { id: "a".into(), equals: None, one_of: None, tolerance: Some(0.2), any_order: true };
        assert_eq!(check.accepts(&right, &answer), accepted, "{right} / {answer}");
    }

    #[test]
    fn answers_are_compared_as_people_write_them() {
        check(json!("etcd2"), json!(" ETCD2 "), true);
        check(json!("etcd2"), json!("etcd/etcd2"), false);
        check(json!(1.4), json!("1400ms"), true);
        check(json!(1.4), json!("1.55"), true);
        check(json!(3), json!("3"), true);
        check(json!(3), json!("three"), false);
        check(json!(3), json!("NaN"), false);
        check(json!(true), json!("Yes"), true);
        check(json!(["a", "b"]), json!("b, a"), true);
        check(json!(["a", "b"]), json!(["a", "a"]), false);
        check(json!("3"), json!(3), true);
    }

    #[test]
    fn a_blank_is_no_answer() {
        for blank in [json!(null), json!(""), json!(" \n")] {
            assert!(!says_something(&blank), "{blank}");
        }
        assert!(says_something(&json!(0)) && says_something(&json!([])));
    }
}
