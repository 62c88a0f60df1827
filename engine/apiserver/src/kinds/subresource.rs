//! The subresources: what hangs below `/NAME/` of an object.

use labkit_api::{GroupVersionKind, Verb};

use crate::kinds::kind::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subresource {
    Status,
    Scale,
    Binding,
    Eviction,
    Log,
    Exec,
    Attach,
    PortForward,
    Finalize,
    Token,
    Approval,
    EphemeralContainers,
}

impl Subresource {
    pub fn name(self) -> &'static str {
        match self {
            Subresource::Status => "status",
            Subresource::Scale => "scale",
            Subresource::Binding => "binding",
            Subresource::Eviction => "eviction",
            Subresource::Log => "log",
            Subresource::Exec => "exec",
            Subresource::Attach => "attach",
            Subresource::PortForward => "portforward",
            Subresource::Finalize => "finalize",
            Subresource::Token => "token",
            Subresource::Approval => "approval",
            Subresource::EphemeralContainers => "ephemeralcontainers",
        }
    }

    pub fn verbs(self) -> &'static [Verb] {
        match self {
            Subresource::Status
            | Subresource::Scale
            | Subresource::Approval
            | Subresource::EphemeralContainers => &[Verb::Get, Verb::Patch, Verb::Update],
            Subresource::Binding | Subresource::Eviction | Subresource::Token => &[Verb::Create],
            Subresource::Log => &[Verb::Get],
            Subresource::Exec | Subresource::Attach | Subresource::PortForward => &[Verb::Create, Verb::Get],
            Subresource::Finalize => &[Verb::Update],
        }
    }

    /// The kind of its bodies.
    pub fn gvk(self, kind: &Kind) -> GroupVersionKind {
        match self {
            Subresource::Status
            | Subresource::Log
            | Subresource::Finalize
            | Subresource::Approval
            | Subresource::EphemeralContainers => kind.gvk(),
            Subresource::Exec => GroupVersionKind::new("", "v1", "PodExecOptions"),
            Subresource::Attach => GroupVersionKind::new("", "v1", "PodAttachOptions"),
            Subresource::PortForward => GroupVersionKind::new("", "v1", "PodPortForwardOptions"),
            Subresource::Scale => GroupVersionKind::new("autoscaling", "v1", "Scale"),
            Subresource::Binding => GroupVersionKind::new("", "v1", "Binding"),
            Subresource::Eviction => GroupVersionKind::new("policy", "v1", "Eviction"),
            Subresource::Token => GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest"),
        }
    }
}
