//! `corruptByte`: a byte of a member's log is not what was written.

use labkit_cluster::Fault;

use super::FaultVerb;
use crate::steps::text_verb;

text_verb! {
    /// `corruptByte: etcd/etcd1`
    CorruptByte, {"type": "string", "minLength": 1}
}

impl FaultVerb for CorruptByte {
    fn fault(&self) -> Fault {
        Fault::CorruptByte(self.0.clone())
    }
}
