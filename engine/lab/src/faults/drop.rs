//! `drop`: messages are lost.

use labkit_cluster::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FaultVerb;

/// `drop: {link: "etcd1 | etcd2, etcd3", probability: 0.2}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Drop {
    /// The groups between which messages are lost: etcd1 | etcd2, etcd3.
    pub link: String,
    /// How likely each is lost, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
}

impl FaultVerb for Drop {
    fn fault(&self) -> Fault {
        Fault::Drop { link: self.link.clone(), probability: self.probability }
    }
}
