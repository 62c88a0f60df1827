//! Checks: what is judged of a run. One file each, one line in the list.

mod answer;
mod cel;
mod compare;
mod count;
mod etcd;
mod event;
mod load;
mod resource;
mod trace;

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run::Run;
use crate::span::Span;
use crate::text::Text;
use crate::verbs::verbs;

pub use answer::AnswerCheck;
pub use cel::CelCheck;
pub use count::Count;
pub use etcd::{EtcdCheck, KeysCheck};
pub use event::EventCheck;
pub use load::LoadCheck;
pub use resource::ResourceCheck;
pub use trace::{MessagePattern, TraceCheck};

/// What a check found at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    /// How many of its conditions hold, of how many.
    pub held: u32,
    pub of: u32,
    pub expected: Text,
    pub actual: Text,
    /// The last real error on the way, such as an API server that did not answer.
    pub error: Option<String>,
    pub evidence: Value,
}

impl Finding {
    pub fn holds(&self) -> bool {
        self.of > 0 && self.held == self.of
    }

    /// Of one condition.
    pub fn one(holds: bool, expected: impl Into<Text>, actual: impl Into<Text>) -> Finding {
        Finding {
            held: u32::from(holds),
            of: 1,
            expected: expected.into(),
            actual: actual.into(),
            error: None,
            evidence: Value::Null,
        }
    }

    /// Nothing could be found out.
    pub fn failed(expected: impl Into<Text>, error: impl Into<String>) -> Finding {
        let error = error.into();
        Finding {
            error: Some(error),
            ..Finding::one(false, expected, Text::new("could not be found out", "알아낼 수 없었습니다"))
        }
    }

    /// Of several conditions: each with what was expected and what was found.
    pub fn all(conditions: Vec<Finding>) -> Finding {
        let wrong: Vec<&Finding> = conditions.iter().filter(|condition| !condition.holds()).collect();
        let shown: Vec<&Finding> = if wrong.is_empty() { conditions.iter().collect() } else { wrong };
        Finding {
            held: conditions.iter().map(|condition| condition.held).sum(),
            of: conditions.iter().map(|condition| condition.of).sum(),
            expected: Text::joined(shown.iter().map(|condition| &condition.expected), "; "),
            actual: Text::joined(shown.iter().map(|condition| &condition.actual), "; "),
            error: conditions.iter().find_map(|condition| condition.error.clone()),
            evidence: Value::Null,
        }
    }

    pub fn with_evidence(self, evidence: Value) -> Finding {
        Finding { evidence, ..self }
    }
}

/// Something that a check judges.
pub(crate) trait CheckVerb: Send + Sync {
    fn find<'a>(&'a self, run: &'a Arc<Run>) -> BoxFuture<'a, Finding>;
}

/// The whole task, for `throughout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Period {
    Task,
}

verbs! {
    /// A check: exactly one verb, what it is worth, and at most one of eventually, always, never, throughout.
    /// Without one of these it is judged once, at the end of the task.
    pub struct Check ("check") does CheckVerb {
        /// A short name, unique in its task.
        #[schemars(regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
        pub id: String,
        /// What it judges, in a few words.
        pub title: Text,
        /// What it is worth.
        #[schemars(range(min = 0, max = 1000))]
        pub points: u32,
        /// Checks of the same task that must have passed; else this one is skipped.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub after: Vec<String>,
        /// Points for those conditions that hold, where not all do.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub partial: bool,
        /// It must hold within that time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub eventually: Option<Span>,
        /// It must hold during all of that time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub always: Option<Span>,
        /// It must not hold at any moment of that time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub never: Option<Span>,
        /// It must hold from the task's beginning to its end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub throughout: Option<Period>,
        /// Of an answer: compared with what the live run showed, where a submission was exported from one, and
        /// marked as self-reported; the replay may differ in times, revisions and leaders.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub live: bool,
        /// What to look at when it fails.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub hint: Option<Text>,
    }
    verbs {
        /// An object is as described, or absent.
        "resource" resource: ResourceCheck,
        /// A CEL expression is true.
        "cel" cel: CelCheck,
        /// So many objects are there.
        "count" count: Count,
        /// The store's members, leader, term and keys.
        "etcd" etcd: EtcdCheck,
        /// The cluster recorded such an Event.
        "event" event: EventCheck,
        /// These messages were sent in this order.
        "trace" trace: TraceCheck,
        /// What became of a load's writes.
        "load" load: LoadCheck,
        /// The student's answer is what the run shows.
        "answer" answer: AnswerCheck,
    }
}

/// When a check is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    AtTheEnd,
    Eventually(Span),
    Always(Span),
    Never(Span),
    Throughout,
}

impl Check {
    pub(crate) fn timing(&self) -> Timing {
        match (self.eventually, self.always, self.never, self.throughout) {
            (Some(span), ..) => Timing::Eventually(span),
            (_, Some(span), ..) => Timing::Always(span),
            (_, _, Some(span), _) => Timing::Never(span),
            (.., Some(Period::Task)) => Timing::Throughout,
            _ => Timing::AtTheEnd,
        }
    }
}
