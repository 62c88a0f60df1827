//! `load`: what became of a load's writes.

use std::sync::Arc;

use futures::future::BoxFuture;
use labkit_api::duration::format_duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CheckVerb, Finding};
use crate::run::Run;
use crate::span::Span;
use crate::text::Text;

/// `load: {id: writer, acknowledgedLost: 0}`: all that is named must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("minProperties" = 2))]
pub struct LoadCheck {
    /// The id of the step that began the load.
    pub id: String,
    /// At most so many writes were acknowledged and are not in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_lost: Option<u64>,
    /// The longest time without an acknowledged write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage_at_most: Option<Span>,
    /// At least so many writes were acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at_least: Option<u64>,
}

impl CheckVerb for LoadCheck {
    fn find<'a>(&'a self, run: &'a Arc<Run>) -> BoxFuture<'a, Finding> {
        Box::pin(async move {
            let Some(load) = run.load(&self.id) else {
                return Finding::failed(
                    format!("load/{}", self.id),
                    format!("the load {} was never begun", self.id),
                );
            };
            let counts = load.counts(run.cluster.world().clock().elapsed());
            let mut conditions = Vec::new();
            let mut evidence = json!({
                "acknowledged": counts.acknowledged, "failed": counts.failed, "unknown": counts.unknown, "outageMs": counts.outage_ms,
            });
            if let Some(least) = self.acknowledged_at_least {
                let holds = counts.acknowledged >= least;
                let said = Text::new(
                    &format!("at least {least} acknowledged writes"),
                    &format!("확인된 쓰기 {least}개 이상"),
                );
                conditions.push(Finding::one(holds, said, counts.acknowledged.to_string()));
            }
            if let Some(most) = self.acknowledged_lost {
                let said = Text::new(
                    &format!("of the acknowledged writes at most {most} lost"),
                    &format!("확인된 쓰기 중 사라진 것 {most}개 이하"),
                );
                conditions.push(match load.lost(&run.cluster.etcd_client("grader")).await {
                    Err(error) => Finding::failed(said, error),
                    Ok(lost) => {
                        evidence["lost"] = json!(lost.iter().take(20).collect::<Vec<_>>());
                        let (lost_count, all) = (lost.len(), counts.acknowledged);
                        let actual = Text::new(
                            &format!("{lost_count} of {all} lost"),
                            &format!("{all}개 중 {lost_count}개가 사라짐"),
                        );
                        // A load that wrote nothing proves nothing.
                        Finding::one(lost.len() as u64 <= most && counts.acknowledged > 0, said, actual)
                    }
                });
            }
            if let Some(most) = self.outage_at_most {
                let outage = std::time::Duration::from_millis(counts.outage_ms);
                let lasted = format_duration(outage);
                let actual =
                    Text::new(&format!("{lasted} without one"), &format!("{lasted} 동안 하나도 없음"));
                let said = Text::new(
                    &format!("an acknowledged write at least every {most}"),
                    &format!("적어도 {most}마다 확인된 쓰기 하나"),
                );
                conditions.push(Finding::one(outage <= most.0, said, actual));
            }
            Finding::all(conditions).with_evidence(evidence)
        })
    }
}
