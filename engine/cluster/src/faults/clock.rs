//! `clockSkew`: the date of a component's machine is wrong; its timers run as before. Healing sets it right.

use jiff::SignedDuration;

use super::{FaultError, Remedy};
use crate::cluster::Cluster;
use crate::target::Target;

pub(super) fn inject(
    cluster: &Cluster,
    target: &str,
    by: SignedDuration,
) -> Result<(String, Remedy), FaultError> {
    let target = cluster.resolve(target)?;
    let component = match &target {
        // The date of a machine is that of its kubelet.
        Target::Node(node) => Target::Kubelet(node.clone()).component(),
        other => other.component(),
    };
    cluster.world().clock().set_skew(&component, by);
    Ok((target.to_string(), Remedy::SetClock(component)))
}
