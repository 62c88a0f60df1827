//! Admission: the plugins that change or refuse what is about to be written, in upstream's order.
//! Counterpart: `pkg/kubeapiserver/options/plugins.go`.

mod default_toleration_seconds;
mod namespace_lifecycle;
mod priority;
mod service_account;

use std::sync::Arc;

use labkit_api::{Object, Status, Verb};

use crate::kinds::{Kind, Subresource};
use crate::registry::NamespaceState;
use crate::storage::Entry;

/// What is about to happen.
pub(crate) struct Attributes<'a> {
    pub verb: Verb,
    pub kind: &'static Kind,
    pub subresource: Option<Subresource>,
    pub namespace: &'a str,
    pub name: &'a str,
    /// None for a deletion.
    pub object: Option<&'a mut Object>,
    pub namespace_state: NamespaceState,
    /// The class that gives a new pod its priority.
    pub priority_class: Option<Arc<Entry>>,
}

impl Attributes<'_> {
    /// The spec of a pod that is being created.
    fn new_pod(&mut self) -> Option<&mut Object> {
        let is_pod = std::ptr::eq(self.kind, &crate::kinds::pods::KIND) && self.subresource.is_none();
        if is_pod && self.verb == Verb::Create { self.object.as_deref_mut() } else { None }
    }
}

type Admit = fn(&mut Attributes<'_>) -> Result<(), Status>;

static PLUGINS: &[Admit] =
    &[namespace_lifecycle::admit, service_account::admit, priority::admit, default_toleration_seconds::admit];

/// Runs every plugin; the first refusal stands.
pub(crate) fn admit(mut attributes: Attributes<'_>) -> Result<(), Status> {
    PLUGINS.iter().try_for_each(|admit| admit(&mut attributes))
}
