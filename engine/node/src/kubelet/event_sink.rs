//! Events of the kubelet, written by a task of their own: a pod's worker does not wait for the API server.

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use labkit_client::{Client, EventRecorder, EventType, reference};
use labkit_sim::{RecordId, caused_by, current_cause};
use tokio::sync::mpsc;

/// Where events go. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct EventSink {
    sender: mpsc::UnboundedSender<Pending>,
}

#[derive(Debug)]
struct Pending {
    object: ObjectReference,
    event_type: EventType,
    reason: &'static str,
    message: String,
    cause: Option<RecordId>,
}

impl EventSink {
    /// Starts the task that writes, in the caller's component.
    pub fn start(client: &Client, host: &str) -> EventSink {
        let recorder = EventRecorder::new(client, "kubelet", Some(host));
        let (sender, mut pending) = mpsc::unbounded_channel::<Pending>();
        labkit_sim::spawn(async move {
            while let Some(Pending { object, event_type, reason, message, cause }) = pending.recv().await {
                caused_by(cause, recorder.event(&object, event_type, reason, &message)).await;
            }
        });
        EventSink { sender }
    }

    pub fn event(
        &self,
        object: ObjectReference,
        event_type: EventType,
        reason: &'static str,
        message: String,
    ) {
        let pending = Pending { object, event_type, reason, message, cause: current_cause() };
        let _the_kubelet_is_ending = self.sender.send(pending);
    }

    /// About a pod as a whole.
    pub fn pod(&self, pod: &Pod, event_type: EventType, reason: &'static str, message: String) {
        self.event(reference(pod), event_type, reason, message);
    }

    /// About one container of a pod: the event says which.
    pub fn container(
        &self,
        pod: &Pod,
        container: ContainerRef<'_>,
        event_type: EventType,
        reason: &'static str,
        message: String,
    ) {
        let field_path = Some(format!("spec.{}{{{}}}", container.list, container.name));
        self.event(ObjectReference { field_path, ..reference(pod) }, event_type, reason, message);
    }
}

/// Names a container of a pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContainerRef<'a> {
    pub name: &'a str,
    /// `containers`, `initContainers` or `ephemeralContainers`.
    pub list: &'static str,
}
