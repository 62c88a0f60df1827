//! `kill`: SIGKILL for a process. Healing starts it again.

use super::{FaultError, Remedy};
use crate::cluster::Cluster;
use crate::process;

pub(super) async fn inject(cluster: &Cluster, target: &str) -> Result<(String, Remedy), FaultError> {
    let target = cluster.running(target)?;
    process::end(cluster, &target).await;
    Ok((target.to_string(), Remedy::Start(target)))
}
