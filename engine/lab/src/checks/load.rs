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
                let said = format!("at least {least} acknowledged writes");
                conditions.push(Finding::one(holds, said, counts.acknowledged.to_string()));
            }
            if let Some(most) = self.acknowledged_lost {
                let said = format!("of the acknowledged writes at most {most} lost");
                conditions.push(match load.lost(&run.cluster.etcd_client("grader")).await {
                    Err(error) => Finding::failed(said, error),
                    Ok(lost) => {
                        evidence["lost"] = json!(lost.iter().take(20).collect::<Vec<_>>());
                        let actual = format!("{} of {} lost", lost.len(), counts.acknowledged);
                        // A load that wrote nothing proves nothing.
                        Finding::one(lost.len() as u64 <= most && counts.acknowledged > 0, said, actual)
                    }
                });
            }
            if let Some(most) = self.outage_at_most {
                let outage = std::time::Duration::from_millis(counts.outage_ms);
                let actual = format!("{} without one", format_duration(outage));
                let said = format!("an acknowledged write at least every {most}");
                conditions.push(Finding::one(outage <= most.0, said, actual));
            }
            Finding::all(conditions).with_evidence(evidence)
        })
    }
}
