//! `slowDisk`, `fullDisk` and `corruptByte`, for members of the store. Healing restores the disk; what it holds stays.

use std::time::Duration;

use super::{FaultError, Remedy};
use crate::cluster::Cluster;

pub(super) fn inject_slow(
    cluster: &Cluster,
    target: &str,
    by: Duration,
) -> Result<(String, Remedy), FaultError> {
    let (target, member) = cluster.member("slowDisk", target)?;
    let disk = cluster.world().disk(&member);
    disk.set_sync_delay(by);
    Ok((target.to_string(), Remedy::FastDisk(disk)))
}

pub(super) fn inject_full(cluster: &Cluster, target: &str) -> Result<(String, Remedy), FaultError> {
    let (target, member) = cluster.member("fullDisk", target)?;
    let disk = cluster.world().disk(&member);
    disk.set_full(true);
    Ok((target.to_string(), Remedy::FreeDisk(disk)))
}

pub(super) fn inject_corrupt(cluster: &Cluster, target: &str) -> Result<(String, Remedy), FaultError> {
    let (target, member) = cluster.member("corruptByte", target)?;
    let (file, offset) = cluster.etcd().corrupt_log(&member).expect("targets are members");
    let disk = cluster.world().disk(&member);
    Ok((target.to_string(), Remedy::MendByte { disk, file, offset }))
}
