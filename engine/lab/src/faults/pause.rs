//! `pause`: stops a process without ending it.

use labkit_cluster::Fault;

use super::FaultVerb;
use crate::steps::text_verb;

text_verb! {
    /// `pause: etcd/etcd2`
    Pause, {"type": "string", "minLength": 1}
}

impl FaultVerb for Pause {
    fn fault(&self) -> Fault {
        Fault::Pause(self.0.clone())
    }
}
