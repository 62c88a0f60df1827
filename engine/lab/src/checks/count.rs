//! `count`: so many objects are there.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CheckVerb, Finding};
use crate::objects::ObjectRef;
use crate::run::Run;
use crate::text::Text;

/// `count: {of: {kind: Pod, labelSelector: app=web}, is: 3}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Count {
    /// The objects that are counted.
    pub of: ObjectRef,
    /// Exactly so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<u64>,
    /// So many or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u64>,
    /// So many or fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
}

impl CheckVerb for Count {
    fn find<'a>(&'a self, run: &'a Arc<Run>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            let expected = expected(self.is, self.at_least, self.at_most, &self.of.described());
            let objects = match run.grader() {
                Ok(client) => self.of.list(&client).await,
                Err(error) => Err(error),
            };
            match objects {
                Err(error) => Finding::failed(expected, error),
                Ok(objects) => {
                    let count = objects.len() as u64;
                    let names =
                        objects.iter().map(|object| object["metadata"]["name"].clone()).collect::<Vec<_>>();
                    let holds = within(count, self.is, self.at_least, self.at_most);
                    Finding::one(holds, expected, count.to_string()).with_evidence(json!({"names": names}))
                }
            }
        })
    }
}

pub(super) fn within(count: u64, is: Option<u64>, at_least: Option<u64>, at_most: Option<u64>) -> bool {
    is.is_none_or(|is| count == is)
        && at_least.is_none_or(|least| count >= least)
        && at_most.is_none_or(|most| count <= most)
}

pub(super) fn expected(is: Option<u64>, at_least: Option<u64>, at_most: Option<u64>, what: &str) -> Text {
    let number = match (is, at_least, at_most) {
        (Some(is), ..) => Text::new(&format!("{is}"), &format!("{is}개")),
        (_, Some(least), Some(most)) => {
            Text::new(&format!("{least} to {most}"), &format!("{least}~{most}개"))
        }
        (_, Some(least), None) => Text::new(&format!("at least {least}"), &format!("{least}개 이상")),
        (_, None, Some(most)) => Text::new(&format!("at most {most}"), &format!("{most}개 이하")),
        (None, None, None) => Text::new("any number of", "몇 개든"),
    };
    Text { en: format!("{} {what}", number.en), ko: format!("{what} {}", number.ko) }
}
