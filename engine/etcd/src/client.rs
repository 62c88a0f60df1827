//! The way of other components to the store, in process. Counterpart of `clientv3`: a client stays with one
//! member; reads are tried again elsewhere, writes only when it is certain that nothing was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::admin::*;
use crate::api::*;
use crate::cluster::Cluster;
use crate::error::{Code, EtcdError};
use crate::server::{self, Patience};
use crate::watch::Watcher;

/// etcdctl's `--command-timeout`.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
/// The wait before members that refused are dialled again: at first, and at most; each time twice as long.
/// gRPC's longest first wait is one second.
const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// A client of the store. Clones share its choice of a member.
#[derive(Debug, Clone)]
pub struct Client {
    cluster: Arc<Cluster>,
    from: Arc<str>,
    endpoints: Arc<[u64]>,
    /// Counts the endpoints that were given up.
    turn: Arc<AtomicUsize>,
    deadline: Duration,
    /// Of one who has authenticated.
    token: Option<String>,
}

/// How long a caller waits for the members the next time.
#[derive(Debug)]
pub(crate) struct BackOff(Duration);

impl Default for BackOff {
    fn default() -> BackOff {
        BackOff(BACK_OFF)
    }
}

impl BackOff {
    /// Waits, and will wait longer the next time.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(BACK_OFF_MAX);
    }
}

/// Unpacks the answer to a request of the same name.
macro_rules! answered {
    ($answer:expr, $variant:ident) => {
        match $answer? {
            Response::$variant(response) => Ok(response),
            other => unreachable!("the answer fits the request: {other:?}"),
        }
    };
}
#[cfg(feature = "grpc")]
pub(crate) use answered;

impl Client {
    pub(crate) fn new(cluster: Arc<Cluster>, from: &str, endpoints: Vec<u64>) -> Client {
        let turn = Arc::new(AtomicUsize::new(0));
        Client {
            cluster,
            from: from.into(),
            endpoints: endpoints.into(),
            turn,
            deadline: DEADLINE,
            token: None,
        }
    }

    /// The same client with another deadline for each of its requests.
    pub fn with_deadline(self, deadline: Duration) -> Client {
        Client { deadline, ..self }
    }

    /// The same client for one who has authenticated.
    #[cfg(feature = "grpc")]
    pub(crate) fn with_token(self, token: Option<String>) -> Client {
        Client { token, ..self }
    }

    pub async fn range(&self, r: RangeRequest) -> Result<RangeResponse, EtcdError> {
        answered!(self.call(Request::Range(r)).await, Range)
    }

    pub async fn put(&self, r: PutRequest) -> Result<PutResponse, EtcdError> {
        answered!(self.call(Request::Put(r)).await, Put)
    }

    pub async fn delete_range(&self, r: DeleteRangeRequest) -> Result<DeleteRangeResponse, EtcdError> {
        answered!(self.call(Request::DeleteRange(r)).await, DeleteRange)
    }

    pub async fn txn(&self, r: TxnRequest) -> Result<TxnResponse, EtcdError> {
        answered!(self.call(Request::Txn(r)).await, Txn)
    }

    pub async fn compact(&self, revision: i64) -> Result<(), EtcdError> {
        self.compaction(revision).await.map(drop)
    }

    /// Compacts and tells how far the store was.
    pub async fn compaction(&self, revision: i64) -> Result<CompactionResponse, EtcdError> {
        answered!(self.call(Request::Compact { revision }).await, Compact)
    }

    /// Grants a lease of `ttl` seconds; with id 0 the member chooses one.
    pub async fn lease_grant(&self, id: i64, ttl: i64) -> Result<LeaseGrantResponse, EtcdError> {
        answered!(self.call(Request::LeaseGrant { id, ttl }).await, LeaseGrant)
    }

    /// Ends a lease; its keys are deleted.
    pub async fn lease_revoke(&self, id: i64) -> Result<LeaseRevokeResponse, EtcdError> {
        answered!(self.call(Request::LeaseRevoke { id }).await, LeaseRevoke)
    }

    /// Starts a lease's time over. A lease that is gone answers with the time 0.
    pub async fn lease_keep_alive(&self, id: i64) -> Result<LeaseKeepAliveResponse, EtcdError> {
        answered!(self.call(Request::LeaseKeepAlive { id }).await, LeaseKeepAlive)
    }

    /// What is left of a lease, and its keys if `keys`.
    pub async fn lease_time_to_live(
        &self,
        id: i64,
        keys: bool,
    ) -> Result<LeaseTimeToLiveResponse, EtcdError> {
        answered!(self.call(Request::LeaseTimeToLive { id, keys }).await, LeaseTimeToLive)
    }

    pub async fn leases(&self) -> Result<LeaseLeasesResponse, EtcdError> {
        answered!(self.call(Request::LeaseLeases).await, LeaseLeases)
    }

    /// The state of the member that this client stays with.
    pub async fn status(&self) -> Result<StatusResponse, EtcdError> {
        answered!(self.call(Request::Status).await, Status)
    }

    pub async fn member_list(&self) -> Result<MemberListResponse, EtcdError> {
        answered!(self.call(Request::MemberList { linearizable: false }).await, MemberList)
    }

    /// Adds, promotes, removes or updates a member. One that is added begins when it is started, see
    /// [`crate::Etcd::start`].
    pub async fn change_members(&self, change: MemberChange) -> Result<MemberChangeResponse, EtcdError> {
        answered!(self.call(Request::Member(change)).await, Member)
    }

    /// Hands leadership over to the member with the id `target`. Only the leader can.
    pub async fn move_leader(&self, target: u64) -> Result<ResponseHeader, EtcdError> {
        answered!(self.call(Request::MoveLeader { target }).await, Done)
    }

    /// Lists, raises or disarms alarms.
    pub async fn alarm(&self, r: AlarmRequest) -> Result<AlarmResponse, EtcdError> {
        answered!(self.call(Request::Alarm(r)).await, Alarm)
    }

    /// Has the member give back what compaction freed.
    pub async fn defragment(&self) -> Result<ResponseHeader, EtcdError> {
        answered!(self.call(Request::Defragment).await, Done)
    }

    /// The member's hash over its versions up to `revision`; 0 for all.
    pub async fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, EtcdError> {
        answered!(self.call(Request::HashKv { revision }).await, HashKv)
    }

    /// The member's store as a file that etcdctl and etcd read.
    pub async fn snapshot(&self) -> Result<SnapshotResponse, EtcdError> {
        answered!(self.call(Request::Snapshot).await, Snapshot)
    }

    /// Begins a watch. Returns when the member has begun it; the first response says `created`.
    pub fn watch(&self, r: WatchRequest) -> BoxFuture<'_, Result<Watcher, EtcdError>> {
        Box::pin(async move {
            let begun = tokio::time::timeout(self.deadline, Watcher::begin(self.clone(), r)).await;
            begun.map_err(|_elapsed| EtcdError::DeadlineExceeded)
        })
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// The same client at other members.
    pub(crate) fn at(&self, endpoints: Vec<u64>) -> Client {
        let turn = Arc::new(AtomicUsize::new(0));
        Client { endpoints: endpoints.into(), turn, ..self.clone() }
    }

    pub(crate) fn now(&self) -> Duration {
        self.cluster.world.clock().elapsed()
    }

    pub(crate) fn endpoints(&self) -> &[u64] {
        &self.endpoints
    }

    pub(crate) fn from(&self) -> &Arc<str> {
        &self.from
    }

    /// The turn of an endpoint, to give that one up only once, and the endpoint.
    pub(crate) fn endpoint(&self) -> (usize, u64) {
        let turn = self.turn.load(Ordering::Relaxed);
        (turn, self.endpoints[turn % self.endpoints.len()])
    }

    /// Gives up the endpoint of `turn`. Waits before the first one has its turn again, `back_off` long, which
    /// grows.
    pub(crate) async fn next_endpoint(&self, turn: usize, back_off: &mut BackOff) {
        let _ = self.turn.compare_exchange(turn, turn + 1, Ordering::Relaxed, Ordering::Relaxed);
        if (turn + 1).is_multiple_of(self.endpoints.len()) {
            back_off.wait().await;
        }
    }

    fn call(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let attempts = self.attempts(request);
            match tokio::time::timeout(self.deadline, attempts).await {
                Ok(answer) => answer,
                Err(_elapsed) => {
                    self.turn.fetch_add(1, Ordering::Relaxed);
                    Err(EtcdError::DeadlineExceeded)
                }
            }
        })
    }

    async fn attempts(&self, request: Request) -> Answer {
        let repeatable = is_repeatable(&request);
        let patience = if self.endpoints.len() > 1 { Patience::OneElection } else { Patience::Endless };
        let mut back_off = BackOff::default();
        loop {
            let (turn, endpoint) = self.endpoint();
            let error = match server::call(
                &self.cluster,
                &self.from,
                endpoint,
                request.clone(),
                patience,
                self.token.clone(),
            )
            .await
            {
                Err(error) if error.code() == Code::Unavailable => error,
                answer => return answer,
            };
            self.next_endpoint(turn, &mut back_off).await;
            // Of a write it must be certain that nothing was begun.
            if !repeatable
                && !matches!(error, EtcdError::Refused { .. } | EtcdError::NoLeader | EtcdError::NotProposed)
            {
                return Err(error);
            }
        }
    }
}

/// Whether a request may be sent twice.
fn is_repeatable(request: &Request) -> bool {
    match request {
        Request::Range(_)
        | Request::LeaseKeepAlive { .. }
        | Request::LeaseTimeToLive { .. }
        | Request::LeaseLeases
        | Request::Status
        | Request::HashKv { .. }
        | Request::Snapshot
        | Request::MemberList { .. } => true,
        Request::Put(_)
        | Request::DeleteRange(_)
        | Request::Txn(_)
        | Request::Compact { .. }
        | Request::LeaseGrant { .. }
        | Request::LeaseRevoke { .. }
        | Request::Member(_)
        | Request::MoveLeader { .. }
        | Request::Alarm(_)
        | Request::Defragment
        | Request::Auth(_) => false,
    }
}
