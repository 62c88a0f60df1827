//! All writes to a key since it was last created, read back revision by revision.

use labkit_cluster::etcd::RangeRequest;
use serde_json::{Value, json};

use super::{GRADER, Run};

/// How many writes are read back.
const WRITES_MAX: usize = 1000;

impl Run {
    /// The writes, oldest first: `revision`, `version`, and `value` as JSON where it is such, else as text.
    pub(crate) async fn history(&self, key: &str) -> Result<Value, String> {
        let client = self.cluster.etcd_client(GRADER);
        let mut writes = Vec::new();
        let mut revision = 0;
        while writes.len() < WRITES_MAX {
            let request = RangeRequest { revision, ..RangeRequest::key(key.to_owned()) };
            let found = client.range(request).await.map_err(|error| format!("history of {key}: {error}"))?;
            let Some(kv) = found.kvs.first() else { break };
            let text = String::from_utf8_lossy(&kv.value);
            let value = serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.into_owned()));
            writes.push(json!({"revision": kv.mod_revision, "version": kv.version, "value": value}));
            if kv.version <= 1 {
                break;
            }
            revision = kv.mod_revision - 1;
        }
        writes.reverse();
        Ok(Value::Array(writes))
    }
}
