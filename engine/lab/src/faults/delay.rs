//! `delay`: messages take longer.

use labkit_cluster::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FaultVerb;
use crate::span::Span;

/// `delay: {link: "etcd1 | etcd2, etcd3", by: 200ms}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Delay {
    /// The groups between which messages take longer: etcd1 | etcd2, etcd3.
    pub link: String,
    /// By how much.
    pub by: Span,
}

impl FaultVerb for Delay {
    fn fault(&self) -> Fault {
        Fault::Delay { link: self.link.clone(), by: self.by.0 }
    }
}
