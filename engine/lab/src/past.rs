//! The store as it was at a revision. MVCC keeps every revision until it is compacted; nothing is recorded for
//! this.

use std::sync::Arc;

use labkit_cluster::etcd::{EtcdError, KeyValue, RangeRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::query::Wanted;
use crate::run::{GRADER, Run};

/// How many keys of the store are listed.
const KEYS_MAX: i64 = 1000;

/// What the store had at a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    pub revision: i64,
    /// How far the store has come by now.
    pub present: i64,
    pub keys: Vec<PastKey>,
    /// How many keys there were, whatever is listed.
    pub count: i64,
    /// Where one object was asked for: the revisions at which what is there now was written.
    pub written_at: Vec<i64>,
}

/// A key as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastKey {
    pub key: String,
    pub create_revision: i64,
    pub mod_revision: i64,
    /// How often it had been written.
    pub version: i64,
    /// Only where one object was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

pub(crate) async fn look(run: &Arc<Run>, revision: i64, wanted: Option<&Wanted>) -> Result<Past, String> {
    let client = run.cluster.etcd_client(GRADER);
    let present = client.range(RangeRequest::key("\0")).await.map_err(|error| error.to_string())?;
    let present = present.header.revision;
    let at = if revision == 0 { present } else { revision };
    let request = match wanted {
        None => RangeRequest { keys_only: true, limit: KEYS_MAX, ..RangeRequest::prefix("") },
        Some(Wanted::Key(key)) => RangeRequest::key(key.clone()),
        Some(wanted) => RangeRequest::prefix(wanted.prefix()),
    };
    let found =
        client.range(RangeRequest { revision: at, ..request }).await.map_err(|error| match error {
            EtcdError::FutureRevision => format!("the store has come to revision {present}, not to {at}"),
            EtcdError::Compacted => format!("revision {at} has been compacted: the store no longer has it"),
            error => error.to_string(),
        })?;
    let mut keys: Vec<PastKey> = found.kvs.iter().map(|kv| past_key(kv, wanted.is_some())).collect();
    let mut count = found.count;
    if let Some(wanted) = wanted {
        keys.retain(|key| wanted.is_key(&key.key));
        count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
    }
    let mut written_at = Vec::new();
    if let Some(key) = wanted.and_then(|wanted| keys.first().map(|key| key.key.clone()).or(key_of(wanted))) {
        let writes = run.history(&key).await.unwrap_or_default();
        let revisions = writes.as_array().into_iter().flatten();
        written_at.extend(revisions.filter_map(|write| write["revision"].as_i64()));
    }
    Ok(Past { revision: at, present, keys, count, written_at })
}

/// The key of what is not there, as far as it can be told: an object's namespace is `default`, if it has one.
fn key_of(wanted: &Wanted) -> Option<String> {
    match wanted {
        Wanted::Key(key) => Some(key.clone()),
        Wanted::Object { resource, name } => {
            let namespace = crate::objects::namespace(resource, None);
            let between = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
            Some(format!("{}{between}{name}", wanted.prefix()))
        }
    }
}

fn past_key(kv: &KeyValue, with_value: bool) -> PastKey {
    let value = || {
        let text = String::from_utf8_lossy(&kv.value);
        serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.into_owned()))
    };
    PastKey {
        key: String::from_utf8_lossy(&kv.key).into_owned(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        value: with_value.then(value),
    }
}
