//! `powerLoss`: a member loses what it had not synced.

use labkit_cluster::Fault;

use super::FaultVerb;
use crate::steps::text_verb;

text_verb! {
    /// `powerLoss: etcd/etcd1`
    PowerLoss, {"type": "string", "minLength": 1}
}

impl FaultVerb for PowerLoss {
    fn fault(&self) -> Fault {
        Fault::PowerLoss(self.0.clone())
    }
}
