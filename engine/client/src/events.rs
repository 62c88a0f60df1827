//! Events: what a component wants people to know of an object. Counterpart: client-go's `tools/record`.
//! Repetitions of the same event raise its count. A failure to write one is not reported: events are
//! best effort, as upstream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use labkit_api::ObjectKey;
use serde_json::json;

use crate::client::Client;
use crate::typed::Kind;

/// `Normal` or `Warning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// Writes events of one component. Clones share the counts.
#[derive(Debug, Clone)]
pub struct EventRecorder {
    client: Client,
    source: EventSource,
    seen: Arc<Mutex<Seen>>,
}

type Sort = (String, EventType, String, String);

#[derive(Debug, Default)]
struct Seen {
    sequence: u64,
    /// The event that stands for a repeated one, with its count.
    events: BTreeMap<Sort, (ObjectKey, i32)>,
}

impl EventRecorder {
    /// `component` as in `kubectl describe`'s FROM column: `default-scheduler`, `kubelet`.
    pub fn new(client: &Client, component: &str, host: Option<&str>) -> EventRecorder {
        let source = EventSource { component: Some(component.to_owned()), host: host.map(str::to_owned) };
        EventRecorder { client: client.clone(), source, seen: Arc::default() }
    }

    /// Records an event about `object`. Done in the caller's task, so that its cause is the caller's.
    pub async fn event(&self, object: &ObjectReference, event_type: EventType, reason: &str, message: &str) {
        let now = self.client.world().clock().now();
        let about = object.uid.clone().or_else(|| object.name.clone()).unwrap_or_default();
        let sort: Sort = (about, event_type, reason.to_owned(), message.to_owned());
        let known = {
            let mut seen = self.seen.lock().expect("no panic happens under this lock");
            seen.events.get_mut(&sort).map(|(key, count)| {
                *count += 1;
                (key.clone(), *count)
            })
        };
        if let Some((key, count)) = known {
            let patch = json!({"count": count, "lastTimestamp": labkit_api::Time(now)});
            let patched = self.client.api::<Event>().patch(&key.namespace, &key.name, None, patch).await;
            if !patched.is_err_and(|error| error.is_not_found()) {
                return;
            }
        }
        let event = self.first(object, event_type, reason, message, now);
        let key = ObjectKey::new(
            event.metadata.namespace.as_deref().unwrap_or_default(),
            event.metadata.name.as_deref().unwrap_or_default(),
        );
        if self.client.api::<Event>().create(&event).await.is_ok() {
            self.seen.lock().expect("no panic happens under this lock").events.insert(sort, (key, 1));
        }
    }

    fn first(
        &self,
        object: &ObjectReference,
        event_type: EventType,
        reason: &str,
        message: &str,
        now: Timestamp,
    ) -> Event {
        let sequence = {
            let mut seen = self.seen.lock().expect("no panic happens under this lock");
            seen.sequence += 1;
            seen.sequence
        };
        let name = object.name.as_deref().unwrap_or_default();
        // Upstream's suffix is the time in nanoseconds; in virtual time many events share one.
        let unique = now.as_nanosecond() as u64 + sequence;
        let namespace = object.namespace.clone().filter(|namespace| !namespace.is_empty());
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{unique:x}")),
                namespace: Some(namespace.unwrap_or_else(|| "default".to_owned())),
                ..Default::default()
            },
            involved_object: object.clone(),
            type_: Some(event_type.as_str().to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            source: Some(self.source.clone()),
            reporting_component: self.source.component.clone(),
            reporting_instance: self.source.host.clone(),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            ..Default::default()
        }
    }
}

/// A reference to a typed object, as events want it.
pub fn reference<K: Kind>(object: &K) -> ObjectReference {
    let metadata = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}
