//! What only the leader can say of leases, because it alone counts down; and their end.

use std::sync::Arc;

use labkit_sim::caused_by;

use super::{Patience, Server};
use crate::api::{
    Answer, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseTimeToLiveResponse, Request, Response,
    ResponseHeader,
};
use crate::cluster::Cluster;
use crate::lease::EXPIRY_SCAN;
use crate::member::Member;
use crate::payload::{self, deliver};
use crate::peer::{Call, LeaseReply, Reply};
use crate::raft::Command;

impl Server {
    pub(super) fn leases(&self) -> Response {
        let leases = self.member.locked().store.leases.iter().map(|(id, _)| id).collect();
        Response::LeaseLeases(LeaseLeasesResponse { header: ResponseHeader::default(), leases })
    }

    /// Has the leader renew a lease or tell what is left of it.
    pub(super) async fn ask_countdown(&self, request: Request) -> Answer {
        self.in_time(async {
            loop {
                let leader = self.leader().await?;
                if let Some(answer) = self.ask_countdown_of(leader, &request).await {
                    return answer;
                }
                tokio::time::sleep(self.cluster.config.heartbeat_interval / 2).await;
            }
        })
        .await
    }

    async fn ask_countdown_of(&self, leader: u64, request: &Request) -> Option<Answer> {
        if leader == self.member.id {
            return count_down(&self.member, request);
        }
        if self.cluster.is_distributed() {
            return self.ask_lease_elsewhere(leader, request).await;
        }
        let network = self.cluster.world.network();
        let name = self.cluster.name_of(leader);
        let (_, response) = payload::names(request);
        let sent = deliver(network, &self.member.name, &name, &payload::request(request)).await.ok()?;
        let leader = self.cluster.running(leader)?;
        let (at_leader, asked) = (leader.clone(), request.clone());
        let answer = leader.component.spawn(async move { count_down(&at_leader, &asked) }).await.ok()??;
        let message = payload::answer(response, &answer);
        caused_by(Some(sent), deliver(network, &name, &self.member.name, &message)).await.ok()?;
        Some(answer)
    }

    async fn ask_lease_elsewhere(&self, leader: u64, request: &Request) -> Option<Answer> {
        let header = ResponseHeader::default();
        let (id, renew, with_keys) = match request {
            Request::LeaseKeepAlive { id } => (*id, true, false),
            Request::LeaseTimeToLive { id, keys } => (*id, false, *keys),
            _ => return None,
        };
        let call = Call::Lease { id, renew, keys: with_keys };
        let Some(Reply::Lease(reply)) = self.cluster.ask(&self.member, leader, call).await else {
            return None;
        };
        let LeaseReply { ttl, granted_ttl, keys } = reply?;
        Some(Ok(if renew {
            Response::LeaseKeepAlive(LeaseKeepAliveResponse { header, id, ttl })
        } else {
            Response::LeaseTimeToLive(LeaseTimeToLiveResponse { header, id, ttl, granted_ttl, keys })
        }))
    }
}

/// At the leader, for a member of another process.
#[cfg(feature = "grpc")]
pub(crate) fn lease_at(member: &Member, id: i64, renew: bool, keys: bool) -> Option<LeaseReply> {
    let request = if renew { Request::LeaseKeepAlive { id } } else { Request::LeaseTimeToLive { id, keys } };
    match count_down(member, &request)?.ok()? {
        Response::LeaseKeepAlive(r) => Some(LeaseReply { ttl: r.ttl, granted_ttl: 0, keys: Vec::new() }),
        Response::LeaseTimeToLive(r) => {
            Some(LeaseReply { ttl: r.ttl, granted_ttl: r.granted_ttl, keys: r.keys })
        }
        _ => None,
    }
}

/// The leader's answer; `None` from a member that does not lead.
fn count_down(member: &Member, request: &Request) -> Option<Answer> {
    if member.leader().id != Some(member.id) {
        return None;
    }
    let now = member.now();
    let header = ResponseHeader::default();
    let mut guard = member.locked();
    let state = &mut *guard;
    match request {
        Request::LeaseKeepAlive { id } => {
            // An expired lease cannot be saved: its revocation is on the way.
            let alive = state.countdown.remaining(*id, now).is_some_and(|left| !left.is_zero());
            let ttl = state.store.leases.get(*id).filter(|_| alive).map_or(0, |lease| lease.ttl);
            if alive {
                state.countdown.renew(*id, ttl, now);
            }
            Some(Ok(Response::LeaseKeepAlive(LeaseKeepAliveResponse { header, id: *id, ttl })))
        }
        Request::LeaseTimeToLive { id, keys } => {
            let mut response =
                LeaseTimeToLiveResponse { header, id: *id, ttl: -1, granted_ttl: 0, keys: Vec::new() };
            if let Some(lease) = state.store.leases.get(*id) {
                let left = state.countdown.remaining(*id, now).unwrap_or_default().as_secs();
                response.ttl = i64::try_from(left).unwrap_or(i64::MAX);
                response.granted_ttl = lease.ttl;
                response.keys.extend(lease.keys.iter().filter(|_| *keys).cloned());
            }
            Some(Ok(Response::LeaseTimeToLive(response)))
        }
        _ => None,
    }
}

/// Revokes, at the leader, the leases whose time is over, through the log as any other change.
pub(crate) async fn expire_leases(cluster: Arc<Cluster>, member: Arc<Member>) {
    let server = Server { cluster, member, patience: Patience::Endless, asker: None };
    loop {
        tokio::time::sleep(EXPIRY_SCAN).await;
        let now = server.member.now();
        let expired = server.member.locked().countdown.take_expired(now);
        for id in expired {
            let server = server.clone();
            // A client's revocation may come first; what fails otherwise is tried again later.
            labkit_sim::spawn(async move { server.propose(Command::LeaseRevoke { id }).await });
        }
    }
}
