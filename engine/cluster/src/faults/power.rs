//! `powerOff`: a machine without power; nothing of it answers and its containers are gone. `powerLoss`: the
//! same for a member of the store, which also loses what it had not synced. Healing switches on again.

use super::{FaultError, Remedy};
use crate::cluster::Cluster;
use crate::process;
use crate::target::Target;

pub(super) async fn inject_off(cluster: &Cluster, target: &str) -> Result<(String, Remedy), FaultError> {
    let target = match cluster.running(target)? {
        Target::Node(node) => Target::Node(node),
        target => {
            return Err(FaultError::WrongKind { verb: "powerOff", wants: "a machine (node/...)", target });
        }
    };
    process::end(cluster, &target).await;
    Ok((target.to_string(), Remedy::Start(target)))
}

pub(super) async fn inject_loss(cluster: &Cluster, target: &str) -> Result<(String, Remedy), FaultError> {
    let (target, member) = cluster.member("powerLoss", target)?;
    cluster.etcd().power_off(&member).await.expect("targets are members");
    Ok((target.to_string(), Remedy::Start(target)))
}
