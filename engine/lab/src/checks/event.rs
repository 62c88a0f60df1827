//! `event`: the cluster recorded such an Event.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CheckVerb, Finding};
use crate::objects::ObjectRef;
use crate::run::Run;
use crate::text::Text;

/// `event: {reason: NodeNotReady, regarding: {kind: Node, name: worker2}}`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EventCheck {
    /// The event's reason, such as FailedScheduling.
    pub reason: String,
    /// The object that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regarding: Option<ObjectRef>,
    /// What its message contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_contains: Option<String>,
    /// Who reported it, such as default-scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl CheckVerb for EventCheck {
    fn find<'a>(&'a self, run: &'a Arc<Run>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            let expected = self.described();
            let events = ObjectRef { kind: "Event".to_owned(), all_namespaces: true, ..ObjectRef::default() };
            let events = match run.grader() {
                Ok(client) => events.list(&client).await,
                Err(error) => Err(error),
            };
            match events {
                Err(error) => Finding::failed(expected, error),
                Ok(events) => {
                    let matching: Vec<&Value> = events.iter().filter(|event| self.matches(event)).collect();
                    let same_reason: Vec<&str> = events
                        .iter()
                        .filter(|e| e["reason"] == self.reason)
                        .filter_map(|e| e["message"].as_str())
                        .take(3)
                        .collect();
                    let actual = match (matching.first(), same_reason.as_slice()) {
                        (Some(event), _) => Text::plain(event["message"].as_str().unwrap_or_default()),
                        (None, []) => Text::new(
                            &format!("none of {} events has that reason", events.len()),
                            &format!("이벤트 {}개 중 그런 이유를 가진 것이 없음", events.len()),
                        ),
                        (None, messages) => Text::new(
                            &format!("with that reason only: {}", messages.join(" / ")),
                            &format!("같은 이유의 이벤트는 이것뿐: {}", messages.join(" / ")),
                        ),
                    };
                    let evidence = json!({"events": matching.iter().take(3).map(|event| event["message"].clone()).collect::<Vec<_>>()});
                    Finding::one(!matching.is_empty(), expected, actual).with_evidence(evidence)
                }
            }
        })
    }
}

impl EventCheck {
    fn matches(&self, event: &Value) -> bool {
        let about = &event["involvedObject"];
        let regards = |object: &ObjectRef| {
            about["kind"] == object.kind
                && object.name.as_ref().is_none_or(|name| about["name"] == *name)
                && object.namespace.as_ref().is_none_or(|namespace| about["namespace"] == *namespace)
        };
        let contains =
            |text: &String| event["message"].as_str().is_some_and(|message| message.contains(text.as_str()));
        let component = |source: &String| {
            event["source"]["component"] == *source || event["reportingComponent"] == *source
        };
        event["reason"] == self.reason
            && self.regarding.as_ref().is_none_or(regards)
            && self.message_contains.as_ref().is_none_or(contains)
            && self.source.as_ref().is_none_or(component)
    }

    fn described(&self) -> Text {
        let mut text = Text::new(&format!("an event {}", self.reason), &format!("이벤트 {}", self.reason));
        if let Some(regarding) = &self.regarding {
            text.en.push_str(&format!(" about {}", regarding.described()));
            text.ko.push_str(&format!(", 대상 {}", regarding.described()));
        }
        if let Some(contains) = &self.message_contains {
            text.en.push_str(&format!(" that says \"{contains}\""));
            text.ko.push_str(&format!(", 메시지에 \"{contains}\" 포함"));
        }
        text
    }
}
