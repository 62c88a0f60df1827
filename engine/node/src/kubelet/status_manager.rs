//! Writes the pods' statuses to the API, by a task of its own, and deletes pods that have ended when they
//! are to go. Counterpart: `pkg/kubelet/status`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use labkit_api::{Object, ObjectKey};
use labkit_client::{Client, DeleteOptions, Error, Kind, PatchKind, WorkQueue};
use labkit_sim::{RecordId, caused_by};
use serde_json::{Map, Value, json};

use super::conditions::OWNED;
use super::status_patch;

/// When a status could not be written it is tried again after so long.
const RETRY: Duration = Duration::from_secs(10);

/// The fields of a status that the kubelet owns.
const FIELDS: [&str; 10] = [
    "phase",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
    "qosClass",
];

/// Where workers leave the statuses. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct StatusManager {
    client: Client,
    queue: WorkQueue<ObjectKey>,
    wanted: Arc<Mutex<BTreeMap<ObjectKey, Wanted>>>,
}

#[derive(Debug, Clone)]
struct Wanted {
    uid: String,
    status: Map<String, Value>,
    /// Nothing of the pod runs any more: it may be deleted.
    has_ended: bool,
    /// The version of the object that our last write made.
    written: u64,
}

impl StatusManager {
    pub fn new(client: &Client) -> StatusManager {
        StatusManager { client: client.clone(), queue: WorkQueue::default(), wanted: Arc::default() }
    }

    /// Wants a status written, unless it is the one that was wanted before.
    pub fn set(
        &self,
        key: &ObjectKey,
        uid: &str,
        status: &PodStatus,
        has_ended: bool,
        cause: Option<RecordId>,
    ) {
        let Value::Object(status) = serde_json::to_value(status).expect("k8s-openapi's types are JSON")
        else {
            return;
        };
        {
            let mut all = self.locked();
            let before = all.get(key).filter(|before| before.uid == uid);
            if before.is_some_and(|before| before.status == status && before.has_ended == has_ended) {
                return;
            }
            let written = before.map_or(0, |before| before.written);
            all.insert(key.clone(), Wanted { uid: uid.to_owned(), status, has_ended, written });
        }
        self.queue.add(key.clone(), cause);
    }

    /// Looks at what the API has of a pod: another's write to our fields is written over, and a pod that has
    /// ended and is to be deleted is deleted.
    pub fn observe(&self, key: &ObjectKey, pod: &Pod, cause: Option<RecordId>) {
        let Some(wanted) = self.locked().get(key).cloned() else { return };
        let version = pod.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
        if version.unwrap_or(u64::MAX) < wanted.written {
            return;
        }
        let status = serde_json::to_value(&pod.status).unwrap_or_default();
        let differs = status_patch::patch(&status, &merged(&status, &wanted.status)).is_some();
        let is_to_go = wanted.has_ended && pod.metadata.deletion_timestamp.is_some();
        if differs || is_to_go {
            self.queue.add(key.clone(), cause);
        }
    }

    pub fn forget(&self, key: &ObjectKey, uid: &str) {
        let mut all = self.locked();
        if all.get(key).is_some_and(|wanted| wanted.uid == uid) {
            all.remove(key);
        }
    }

    /// Writes forever.
    pub async fn run(self) {
        loop {
            let (key, cause) = self.queue.next().await;
            let written = caused_by(cause, self.write(&key)).await;
            self.queue.done(&key);
            match written {
                Ok(()) => {}
                Err(error) if error.is_not_found() => drop(self.locked().remove(&key)),
                Err(_) => self.queue.add_after(key, RETRY),
            }
        }
    }

    async fn write(&self, key: &ObjectKey) -> Result<(), Error> {
        let Some(wanted) = self.locked().get(key).cloned() else { return Ok(()) };
        let pods = Pod::resource();
        let mut live = self.client.get(&pods, &key.namespace, &key.name).await?;
        if live.metadata.uid != wanted.uid {
            return Ok(());
        }
        let status = live.rest.get("status").cloned().unwrap_or_else(|| json!({}));
        if let Some(change) = status_patch::patch(&status, &merged(&status, &wanted.status)) {
            let patch = json!({"metadata": {"uid": wanted.uid}, "status": change});
            let (namespace, name) = (&key.namespace, &key.name);
            live = self
                .client
                .patch(&pods, namespace, name, Some("status"), PatchKind::Strategic, patch)
                .await?;
            self.note_written(key, &live);
        }
        if wanted.has_ended && live.metadata.is_being_deleted() {
            let options = DeleteOptions {
                grace_period_seconds: Some(0),
                uid: Some(wanted.uid),
                ..DeleteOptions::default()
            };
            self.client.delete(&pods, &key.namespace, &key.name, &options).await?;
        }
        Ok(())
    }

    fn note_written(&self, key: &ObjectKey, live: &Object) {
        if let Some(wanted) = self.locked().get_mut(key).filter(|wanted| wanted.uid == live.metadata.uid) {
            wanted.written = live.metadata.resource_version.parse().unwrap_or_default();
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectKey, Wanted>> {
        self.wanted.lock().expect("no panic happens under this lock")
    }
}

/// The live status with the kubelet's fields and conditions replaced by the wanted ones.
fn merged(live: &Value, wanted: &Map<String, Value>) -> Value {
    let mut merged = live.as_object().cloned().unwrap_or_default();
    for field in FIELDS {
        match wanted.get(field) {
            Some(value) => drop(merged.insert(field.to_owned(), value.clone())),
            None => drop(merged.shift_remove(field)),
        }
    }
    let is_owned = |condition: &&Value| condition["type"].as_str().is_some_and(|name| OWNED.contains(&name));
    let of = |status: Option<&Value>| status.and_then(Value::as_array).cloned().unwrap_or_default();
    let foreign = of(live.get("conditions")).into_iter().filter(|condition| !is_owned(&condition));
    let owned = of(wanted.get("conditions")).into_iter().filter(|condition| is_owned(&condition));
    merged.insert("conditions".to_owned(), foreign.chain(owned).collect());
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_own_in_a_status_stays() {
        let live = json!({
            "phase": "Pending", "nominatedNodeName": "n2",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "DisruptionTarget", "status": "True"}],
        });
        let wanted = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let expected = json!({
            "phase": "Running", "nominatedNodeName": "n2",
            "conditions": [{"type": "DisruptionTarget", "status": "True"}, {"type": "Ready", "status": "True"}],
        });
        assert_eq!(merged(&live, wanted.as_object().unwrap()), expected);
    }
}
