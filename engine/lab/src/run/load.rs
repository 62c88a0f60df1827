//! The background writer, and the account of what became of each write. A write is acknowledged, failed (it
//! was surely not done) or unknown (it may have been done, or still be).

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use labkit_cluster::Cluster;
use labkit_cluster::etcd::{self, EtcdError, PutRequest, RangeRequest, RequestOp, ResponseOp, TxnRequest};
use labkit_sim::{Clock, Component};
use tokio::time::{Instant, MissedTickBehavior};

use super::millis;
use crate::steps::LoadStep;

/// Reads in one transaction; etcd takes at most 128 operations.
const READS_PER_TXN: usize = 100;

/// A background writer. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    account: Arc<Mutex<Account>>,
    writer: Component,
}

#[derive(Debug, Default)]
struct Account {
    writes: Vec<Write>,
    began: Duration,
    /// When the writer was stopped or had made its total.
    ended: Option<Duration>,
    stopping: bool,
}

#[derive(Debug)]
struct Write {
    key: String,
    value: String,
    outcome: Outcome,
    done: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Acknowledged { revision: i64 },
    Failed,
    Unknown,
}

/// How many writes came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub acknowledged: u64,
    pub failed: u64,
    pub unknown: u64,
    /// The longest time without an acknowledgement.
    pub outage_ms: u64,
}

impl Load {
    pub fn start(cluster: &Cluster, id: &str, step: &LoadStep) -> Result<Load, String> {
        let clock = cluster.world().clock().clone();
        let account = Arc::new(Mutex::new(Account { began: clock.elapsed(), ..Account::default() }));
        let writer = cluster.world().component(id);
        let load = Load { account, writer };
        let client = cluster.etcd_client(id).with_deadline(step.timeout.0);
        step.write(1)?;
        load.writer.spawn(load.clone().write_on(client, clock, step.clone()));
        Ok(load)
    }

    async fn write_on(self, client: etcd::Client, clock: Clock, step: LoadStep) {
        let mut ticks = tokio::time::interval_at(Instant::now(), step.rate.interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for n in 1..=step.total {
            ticks.tick().await;
            if self.locked().stopping {
                break;
            }
            let (key, value) = step.write(n).expect("the first write was one, so are the others");
            let put = client.put(PutRequest::new(key.clone(), value.clone())).await;
            let outcome = match put {
                Ok(response) => Outcome::Acknowledged { revision: response.header.revision },
                Err(error) if error.is_ambiguous() => Outcome::Unknown,
                Err(_) => Outcome::Failed,
            };
            self.locked().writes.push(Write { key, value, outcome, done: clock.elapsed() });
        }
        self.locked().ended = Some(clock.elapsed());
    }

    /// Lets the write that is under way be the last.
    pub fn stop(&self) {
        self.locked().stopping = true;
    }

    pub fn counts(&self, now: Duration) -> Counts {
        let account = self.locked();
        let mut counts = Counts::default();
        let mut last = account.began;
        let mut outage = Duration::ZERO;
        for write in &account.writes {
            match write.outcome {
                Outcome::Acknowledged { .. } => {
                    counts.acknowledged += 1;
                    outage = outage.max(write.done.saturating_sub(last));
                    last = write.done;
                }
                Outcome::Failed => counts.failed += 1,
                Outcome::Unknown => counts.unknown += 1,
            }
        }
        outage = outage.max(account.ended.unwrap_or(now).saturating_sub(last));
        counts.outage_ms = millis(outage);
        counts
    }

    /// The acknowledged writes that the store does not have, as `key=value`. Each is looked up at the very
    /// revision at which it was acknowledged, so that later writes to the same key hide nothing.
    pub async fn lost(&self, client: &etcd::Client) -> Result<Vec<String>, String> {
        let acknowledged: Vec<(String, String, i64)> = {
            let account = self.locked();
            let of = |write: &Write| match write.outcome {
                Outcome::Acknowledged { revision } => {
                    Some((write.key.clone(), write.value.clone(), revision))
                }
                Outcome::Failed | Outcome::Unknown => None,
            };
            account.writes.iter().filter_map(of).collect()
        };
        let mut lost = Vec::new();
        for batch in acknowledged.chunks(READS_PER_TXN) {
            lost.extend(lost_of(client, batch).await?);
        }
        Ok(lost)
    }

    fn locked(&self) -> MutexGuard<'_, Account> {
        self.account.lock().expect("no panic happens under this lock")
    }
}

async fn lost_of(client: &etcd::Client, batch: &[(String, String, i64)]) -> Result<Vec<String>, String> {
    let read = |(key, _, revision): &(String, String, i64)| {
        RequestOp::Range(RangeRequest { revision: *revision, ..RangeRequest::key(key.clone()) })
    };
    let txn = TxnRequest { success: batch.iter().map(read).collect(), ..TxnRequest::default() };
    match client.txn(txn).await {
        Ok(found) => {
            let is_lost =
                |((_, value, revision), response): &(&(String, String, i64), &ResponseOp)| match response {
                    ResponseOp::Range(range) => !range
                        .kvs
                        .first()
                        .is_some_and(|kv| kv.mod_revision == *revision && kv.value == value.as_bytes()),
                    _ => true,
                };
            let pairs = batch.iter().zip(&found.responses);
            Ok(pairs.filter(is_lost).map(|((key, value, _), _)| format!("{key}={value}")).collect())
        }
        // The store has not come as far as it acknowledged: find out which.
        Err(EtcdError::FutureRevision) if batch.len() > 1 => {
            let (first, second) = batch.split_at(batch.len() / 2);
            let mut lost = Box::pin(lost_of(client, first)).await?;
            lost.extend(Box::pin(lost_of(client, second)).await?);
            Ok(lost)
        }
        Err(EtcdError::FutureRevision) => {
            Ok(batch.iter().map(|(key, value, _)| format!("{key}={value}")).collect())
        }
        Err(error) => Err(format!("reading back what was acknowledged: {error}")),
    }
}
