//! SchedulingGates: a pod with gates is not even tried. Counterpart: `plugins/schedulinggates`.

use k8s_openapi::api::core::v1::Pod;

pub(crate) const NAME: &str = "SchedulingGates";

/// Whether the pod waits for someone to remove its gates.
pub(crate) fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_deref());
    gates.is_some_and(|gates| !gates.is_empty())
}
