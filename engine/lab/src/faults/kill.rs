//! `kill`: ends a process.

use labkit_cluster::Fault;

use super::FaultVerb;
use crate::steps::text_verb;

text_verb! {
    /// `kill: etcd/leader`
    Kill, {"type": "string", "minLength": 1}
}

impl FaultVerb for Kill {
    fn fault(&self) -> Fault {
        Fault::Kill(self.0.clone())
    }
}
