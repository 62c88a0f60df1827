//! `partition`: cuts the links between groups.

use labkit_cluster::Fault;

use super::FaultVerb;
use crate::steps::text_verb;

text_verb! {
    /// `partition: etcd1 | etcd2, etcd3`
    Partition, {"type": "string", "minLength": 1}
}

impl FaultVerb for Partition {
    fn fault(&self) -> Fault {
        Fault::Partition(self.0.clone())
    }
}
