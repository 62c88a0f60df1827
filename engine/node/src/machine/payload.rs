//! What the trace says of a machine: the CRI's verbs from the kubelet, and the containers that ended.

use labkit_sim::Payload;
use serde_json::{Value, json};

/// A request of the kubelet to the container runtime; its kind is the CRI's verb.
#[derive(Debug, Clone)]
pub(super) struct RuntimeRequest {
    /// `RunPodSandbox`, `PullImage`, `CreateContainer`, `StartContainer`, `StopContainer`,
    /// `RemovePodSandbox`, `Exec`, `Attach`, `PortForward`.
    pub verb: &'static str,
    /// `namespace/name`; empty for images.
    pub pod: String,
    /// Empty where it is about the whole pod.
    pub container: String,
    pub image: String,
}

/// A container's process ended.
#[derive(Debug, Clone)]
pub(super) struct ContainerDied {
    pub pod: String,
    pub container: String,
    pub exit_code: i32,
}

impl Payload for RuntimeRequest {
    fn kind(&self) -> &str {
        self.verb
    }

    fn fields(&self) -> Value {
        let mut fields = json!({});
        for (name, value) in [("pod", &self.pod), ("container", &self.container), ("image", &self.image)] {
            if !value.is_empty() {
                fields[name] = json!(value);
            }
        }
        fields
    }
}

impl Payload for ContainerDied {
    fn kind(&self) -> &str {
        "ContainerDied"
    }

    fn fields(&self) -> Value {
        json!({"pod": self.pod, "container": self.container, "exitCode": self.exit_code})
    }
}
