//! Writes of outside clients, found in the trace. The trace names the keys and the revision of a write; what was
//! written is read back from the store's history at that revision, so that it does not matter in which
//! encoding it came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use labkit_cluster::etcd::RangeRequest;
use labkit_sim::{Record, RecordId};
use serde_json::Value;

use super::{Recorder, objects};
use crate::run::{GRADER, Run};
use crate::steps::{Etcdctl, Step};

/// How long an answer is waited for; a write without one was not acknowledged, and is not exported.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A write whose answer has not come yet.
struct Pending {
    at: Duration,
    record: RecordId,
    sent: Sent,
    /// The change of the store that it led to: the first key that was written, and the revision.
    key: Option<String>,
    revision: Option<i64>,
}

enum Sent {
    /// To the API: method and target.
    Http { method: String, target: String },
    /// To the store: kind and fields.
    Etcd { kind: String, fields: Value },
}

/// Notes every acknowledged write of an outside client after the record `seen`, until the lab ends.
pub(super) async fn follow(run: Arc<Run>, recorder: Recorder, mut seen: RecordId) {
    let trace = run.cluster.world().trace().clone();
    let mut pending: BTreeMap<RecordId, Pending> = BTreeMap::new();
    // The pending write that each record belongs to.
    let mut roots: BTreeMap<RecordId, RecordId> = BTreeMap::new();
    loop {
        trace.after(seen).await;
        for record in trace.since(seen) {
            seen = record.id;
            if let Some(done) = take_in(&record, &mut pending, &mut roots) {
                let (at, sent) = (done.at, done.record);
                for step in steps_of(&run, done).await {
                    // It was the world's next record after what stood there before.
                    recorder.note(at, sent - 1, step);
                }
            }
        }
        let now = run.now();
        pending.retain(|_, write| now.saturating_sub(write.at) < ANSWER_MAX);
        roots.retain(|_, root| pending.contains_key(root));
    }
}

/// Takes in one record; gives back the write that it completes.
fn take_in(
    record: &Record,
    pending: &mut BTreeMap<RecordId, Pending>,
    roots: &mut BTreeMap<RecordId, RecordId>,
) -> Option<Pending> {
    let root = match record.cause.and_then(|cause| roots.get(&cause).copied()) {
        None => {
            let sent = sent_from_outside(record)?;
            roots.insert(record.id, record.id);
            pending.insert(
                record.id,
                Pending { at: record.at, record: record.id, sent, key: None, revision: None },
            );
            return None;
        }
        Some(root) => root,
    };
    roots.insert(record.id, root);
    let write = pending.get_mut(&root)?;
    let fields = record.payload.fields();
    if record.payload.kind() == "Txn" && write.key.is_none() {
        // A transaction that writes, not one that only reads.
        let writes = fields["writes"].as_array().is_some_and(|writes| !writes.is_empty());
        write.key = fields["key"].as_str().filter(|_| writes).map(str::to_owned);
    }
    if record.payload.kind() == "TxnResponse"
        && fields["succeeded"] == true
        && write.key.is_some()
        && write.revision.is_none()
    {
        write.revision = fields["revision"].as_i64();
    }
    let answers = record.cause == Some(root) && is_answer(&write.sent, record, &fields);
    if !answers {
        return None;
    }
    let mut write = pending.remove(&root)?;
    roots.retain(|_, other| *other != root);
    match &write.sent {
        Sent::Http { .. } => {
            fields["code"].as_u64().is_some_and(|code| (200..300).contains(&code)).then_some(write)
        }
        Sent::Etcd { .. } => {
            write.revision = fields["revision"].as_i64();
            fields.get("error").is_none().then_some(write)
        }
    }
}

/// What an outside client sends if it may change something. Components are named after their kind, and the
/// lab's own setup was done before.
fn sent_from_outside(record: &Record) -> Option<Sent> {
    let kind = record.payload.kind();
    if &*record.from == GRADER {
        return None;
    }
    match kind {
        "POST" | "PUT" | "PATCH" | "DELETE" => {
            let fields = record.payload.fields();
            let outside = fields["user"] == "kubernetes-admin" && record.to.starts_with("apiServer/");
            let target = fields["target"].as_str()?.split('?').next()?.to_owned();
            outside.then(|| Sent::Http { method: kind.to_owned(), target })
        }
        "Put" | "DeleteRange" | "Compact" if &*record.from == "etcdctl" => {
            Some(Sent::Etcd { kind: kind.to_owned(), fields: record.payload.fields() })
        }
        _ => None,
    }
}

fn is_answer(sent: &Sent, record: &Record, fields: &Value) -> bool {
    match sent {
        Sent::Http { .. } => fields.get("code").is_some(),
        Sent::Etcd { .. } => &*record.to == "etcdctl",
    }
}

async fn steps_of(run: &Arc<Run>, write: Pending) -> Vec<Step> {
    match &write.sent {
        Sent::Http { method, target } => {
            objects::step_of(run, method, target, write.key.as_deref(), write.revision).await
        }
        Sent::Etcd { kind, fields } => etcdctl(run, kind, fields, write.revision).await,
    }
    .into_iter()
    .collect()
}

async fn etcdctl(run: &Arc<Run>, kind: &str, fields: &Value, revision: Option<i64>) -> Option<Step> {
    let key = fields["key"].as_str().unwrap_or_default();
    let command = match kind {
        "Put" => {
            let value = value_at(run, key, revision?).await?;
            format!("put -- {} {}", quoted(key), quoted(&value))
        }
        "DeleteRange" => match fields["rangeEnd"].as_str() {
            Some(end) => format!("del -- {} {}", quoted(key), quoted(end)),
            None => format!("del -- {}", quoted(key)),
        },
        _ => format!("compaction {}", fields["revision"]),
    };
    Some(Step { etcdctl: Some(Etcdctl(command)), ..Step::default() })
}

/// The value of a key at a revision; none where the key was deleted or the history is gone.
pub(super) async fn value_at(run: &Arc<Run>, key: &str, revision: i64) -> Option<String> {
    let request = RangeRequest { revision, ..RangeRequest::key(key.to_owned()) };
    let found = run.cluster.etcd_client(GRADER).range(request).await.ok()?;
    found.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
}

/// A word as `words::split` reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.:=,+@%-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_are_split_as_they_were() {
        for word in ["a", "", "a b", r#"say "hi" \n"#, "리더", "${n}"] {
            assert_eq!(crate::words::split(&format!("put -- {}", quoted(word))).unwrap()[2], word);
        }
    }
}
