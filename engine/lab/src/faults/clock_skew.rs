//! `clockSkew`: a machine's date is wrong.

use jiff::SignedDuration;
use labkit_cluster::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FaultVerb;
use crate::span::Offset;

/// `clockSkew: {target: etcd/etcd2, by: 10m}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClockSkew {
    /// Whose clock it is: a component, or a machine.
    pub target: String,
    /// How far it is ahead of the others, or behind: 10m, -30s.
    pub by: Offset,
}

impl FaultVerb for ClockSkew {
    fn fault(&self) -> Fault {
        let by = SignedDuration::try_from(self.by.by.0).expect("a span is short");
        Fault::ClockSkew { target: self.target.clone(), by: if self.by.is_back { -by } else { by } }
    }
}
