//! `pause`: SIGSTOP for a process; its connections stay open and nothing answers. Healing lets it go on.

use super::{FaultError, Remedy};
use crate::cluster::Cluster;
use crate::target::Target;

pub(super) fn inject(cluster: &Cluster, target: &str) -> Result<(String, Remedy), FaultError> {
    let target = cluster.running(target)?;
    match &target {
        Target::Etcd(member) => cluster.etcd().pause(member).expect("targets are members"),
        other => {
            if let Some(component) = cluster.world().find(&other.component()) {
                component.pause();
            }
        }
    }
    Ok((target.to_string(), Remedy::Resume(target)))
}
