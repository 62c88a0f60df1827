//! `fullDisk`: a disk takes no more.

use labkit_cluster::Fault;

use super::FaultVerb;
use crate::steps::text_verb;

text_verb! {
    /// `fullDisk: etcd/etcd1`
    FullDisk, {"type": "string", "minLength": 1}
}

impl FaultVerb for FullDisk {
    fn fault(&self) -> Fault {
        Fault::FullDisk(self.0.clone())
    }
}
