//! `slowDisk`: each sync takes longer.

use labkit_cluster::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FaultVerb;
use crate::span::Span;

/// `slowDisk: {target: etcd/leader, by: 500ms}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SlowDisk {
    /// The member whose disk it is.
    pub target: String,
    /// How long each sync takes.
    pub by: Span,
}

impl FaultVerb for SlowDisk {
    fn fault(&self) -> Fault {
        Fault::SlowDisk { target: self.target.clone(), by: self.by.0 }
    }
}
