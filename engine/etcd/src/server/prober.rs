//! Members compare their clocks. Counterpart of `rafthttp/probing_status.go`: a difference is warned of, and nothing
//! else comes of it. Leases, elections and time-outs are counted on clocks that no date moves.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::member::Member;
use crate::payload::Message;

/// How often a member looks at its peers (`statusMonitoringInterval`).
const MONITORING_INTERVAL: Duration = Duration::from_secs(30);
/// What is not worth a warning, in milliseconds.
const DRIFT_MS_MAX: i64 = 1000;

pub(crate) async fn compare_clocks(cluster: Arc<Cluster>, member: Arc<Member>) {
    loop {
        tokio::time::sleep(MONITORING_INTERVAL).await;
        if !cluster.world.clock().is_skewed() {
            continue;
        }
        for peer in cluster.peers().into_iter().filter(|peer| peer.id != member.id) {
            if cluster.running(peer.id).is_none() {
                continue;
            }
            let asked = async {
                let network = cluster.world.network();
                network.pass(&member.name, &peer.name).await?;
                network.pass(&peer.name, &member.name).await
            };
            if !matches!(tokio::time::timeout(cluster.config.election_timeout, asked).await, Ok(Ok(()))) {
                continue;
            }
            let clock = cluster.world.clock();
            let drift = clock.skew(&member.name).saturating_sub(clock.skew(&peer.name));
            let drift_ms = i64::try_from(drift.as_millis()).unwrap_or(i64::MAX);
            if drift_ms.abs() > DRIFT_MS_MAX {
                let message = Message::ClockDrift { peer: peer.name, drift_ms };
                cluster.world.trace().record(&member.name, &member.name, message);
            }
        }
    }
}
