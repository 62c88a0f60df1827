//! The store as it was at a revision. MVCC keeps every revision until it is compacted, so a running lab is simply
//! asked; of a lab that ends, [`History`] keeps what the store still has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use labkit_cluster::etcd::{Client, EtcdError, EventKind, KeyValue, RangeRequest, WatchRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::query::Wanted;
use crate::run::{GRADER, Run};

/// How many keys of the store are listed.
const KEYS_MAX: i64 = 1000;

/// Bytes of keys and values that a history keeps; of a longer one the latest part.
const HISTORY_MAX: usize = 64 << 20;

/// How long the store is asked for its history, in the lab's time: at its end it may have no leader.
const PATIENCE: Duration = Duration::from_secs(10);

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
            EtcdError::FutureRevision => came_to(present, at),
            EtcdError::Compacted => compacted(at),
            error => error.to_string(),
        })?;
    let mut keys: Vec<PastKey> = found.kvs.iter().map(|kv| Write::of(kv).as_key(wanted.is_some())).collect();
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

/// Every write that the store still had when a lab ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The oldest revision that can be looked at.
    pub oldest: i64,
    pub present: i64,
    /// In order; what was there at the oldest revision comes first.
    writes: Vec<Write>,
}

/// A key that was written, or deleted where it has no version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Write {
    key: String,
    create_revision: i64,
    mod_revision: i64,
    version: i64,
    value: String,
}

impl Write {
    fn of(kv: &KeyValue) -> Write {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (create_revision, mod_revision, version) = (kv.create_revision, kv.mod_revision, kv.version);
        Write { key: text(&kv.key), create_revision, mod_revision, version, value: text(&kv.value) }
    }

    fn size(&self) -> usize {
        self.key.len() + self.value.len()
    }

    fn as_key(&self, with_value: bool) -> PastKey {
        let value = || serde_json::from_str(&self.value).unwrap_or_else(|_| Value::from(self.value.clone()));
        PastKey {
            key: self.key.clone(),
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            value: with_value.then(value),
        }
    }
}

/// The store's history, as far as it answers.
pub(crate) async fn history(run: &Run) -> Option<History> {
    let client = run.cluster.etcd_client(GRADER);
    tokio::time::timeout(PATIENCE, collected(&client)).await.ok()?.ok()
}

async fn collected(client: &Client) -> Result<History, EtcdError> {
    let present = client.range(RangeRequest::key("\0")).await?.header.revision;
    let mut history = History { oldest: 1, present, writes: Vec::new() };
    if present <= 1 {
        return Ok(history);
    }
    let mut watch = client.watch(WatchRequest { start_revision: 1, ..WatchRequest::prefix("") }).await?;
    loop {
        let Some(response) = watch.next().await.transpose()? else { break };
        if response.compact_revision > 0 {
            history.oldest = response.compact_revision;
            let there = RangeRequest { revision: history.oldest, ..RangeRequest::prefix("") };
            history.writes = client.range(there).await?.kvs.iter().map(Write::of).collect();
            history.writes.sort_by_key(|write| write.mod_revision);
            let next = WatchRequest { start_revision: history.oldest + 1, ..WatchRequest::prefix("") };
            watch = client.watch(next).await?;
        }
        let told = response.events.iter().filter(|event| event.kv.mod_revision <= present);
        history.writes.extend(told.map(|event| match event.kind {
            EventKind::Put => Write::of(&event.kv),
            EventKind::Delete => Write { version: 0, ..Write::of(&event.kv) },
        }));
        let last = history.writes.iter().map(|write| write.mod_revision).max();
        if last.unwrap_or(history.oldest) >= present || (response.created && history.oldest >= present) {
            break;
        }
    }
    history.bound();
    Ok(history)
}

impl History {
    /// Forgets the earliest writes of a history that is too long; what they left behind stays.
    fn bound(&mut self) {
        let mut size: usize = self.writes.iter().map(Write::size).sum();
        let mut forgotten = 0;
        while size > HISTORY_MAX {
            size -= self.writes[forgotten].size();
            forgotten += 1;
        }
        if forgotten == 0 {
            return;
        }
        let oldest = self.writes[forgotten - 1].mod_revision;
        let split = self.writes.partition_point(|write| write.mod_revision <= oldest);
        let kept = self.writes.split_off(split);
        let there = std::mem::take(&mut self.writes).into_iter().map(|write| (write.key.clone(), write));
        let there: BTreeMap<String, Write> = there.collect();
        self.writes = there.into_values().filter(|write| write.version > 0).chain(kept).collect();
        self.oldest = oldest;
    }

    /// As a running store answers.
    pub fn past(&self, revision: i64, wanted: Option<&Wanted>) -> Result<Past, String> {
        let at = if revision == 0 { self.present } else { revision };
        if at > self.present {
            return Err(came_to(self.present, at));
        }
        if at < self.oldest {
            return Err(compacted(at));
        }
        let mut there: BTreeMap<&str, &Write> = BTreeMap::new();
        for write in self.writes.iter().filter(|write| write.mod_revision <= at) {
            match write.version {
                0 => there.remove(write.key.as_str()),
                _ => there.insert(&write.key, write),
            };
        }
        let is_wanted = |write: &&&Write| wanted.is_none_or(|wanted| wanted.is_key(&write.key));
        let mut keys: Vec<PastKey> =
            there.values().filter(is_wanted).map(|write| write.as_key(wanted.is_some())).collect();
        let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
        keys.truncate(usize::try_from(KEYS_MAX).unwrap_or(usize::MAX));
        let key = wanted.and_then(|wanted| keys.first().map(|key| key.key.clone()).or(key_of(wanted)));
        let written_at = key.map(|key| self.written_at(&key)).unwrap_or_default();
        Ok(Past { revision: at, present: self.present, keys, count, written_at })
    }

    /// The revisions of what is there at the end, since it was last created.
    fn written_at(&self, key: &str) -> Vec<i64> {
        let mut revisions = Vec::new();
        for write in self.writes.iter().filter(|write| write.key == key) {
            if write.version <= 1 {
                revisions.clear();
            }
            revisions.extend((write.version > 0).then_some(write.mod_revision));
        }
        revisions
    }
}

fn came_to(present: i64, at: i64) -> String {
    format!("the store has come to revision {present}, not to {at}")
}

fn compacted(at: i64) -> String {
    format!("revision {at} has been compacted: the store no longer has it")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: &str, revision: i64, version: i64) -> Write {
        let create_revision = revision - version.max(1) + 1;
        Write {
            key: key.to_owned(),
            create_revision,
            mod_revision: revision,
            version,
            value: format!("{revision}"),
        }
    }

    #[test]
    fn a_history_tells_what_was_there_at_each_revision() {
        let writes =
            vec![write("a", 2, 1), write("a", 3, 2), write("b", 4, 1), write("a", 5, 0), write("a", 6, 1)];
        let history = History { oldest: 1, present: 6, writes };
        let keys = |revision| {
            let past = history.past(revision, None).unwrap();
            past.keys.into_iter().map(|key| key.key).collect::<String>()
        };
        assert_eq!([1, 2, 3, 4, 5, 6, 0].map(keys), ["", "a", "a", "ab", "b", "ab", "ab"]);
        let a = Wanted::Key("a".to_owned());
        let then = history.past(3, Some(&a)).unwrap();
        assert_eq!((then.keys[0].version, &then.keys[0].value), (2, &Some(Value::from(3))));
        assert_eq!(then.written_at, [6], "what is there now was created anew");
        assert!(history.past(7, None).unwrap_err().contains("has come to revision 6"));
        assert!(History { oldest: 3, ..history }.past(2, None).unwrap_err().contains("compacted"));
    }
}
