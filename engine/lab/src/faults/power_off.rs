//! `powerOff`: cuts a machine's power.

use labkit_cluster::Fault;

use super::FaultVerb;
use crate::steps::text_verb;

text_verb! {
    /// `powerOff: node/worker2`
    PowerOff, {"type": "string", "minLength": 1}
}

impl FaultVerb for PowerOff {
    fn fault(&self) -> Fault {
        Fault::PowerOff(self.0.clone())
    }
}
