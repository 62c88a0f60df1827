//! Admission: the plugins that change or refuse what is about to be written, in upstream's order.
//! Counterpart: `pkg/kubeapiserver/options/plugins.go`.

mod certificate_subject_restriction;
mod default_toleration_seconds;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod priority;
pub(crate) mod resource_quota;
mod service_account;

use std::collections::BTreeSet;
use std::sync::Arc;

use labkit_api::{Object, Status, Verb};

use crate::kinds::{Kind, Subresource};
use crate::registry::NamespaceState;
use crate::storage::Entry;
use crate::verbs::Call;

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
    /// Whether the service account that a new pod names is not there.
    pub is_account_missing: bool,
    /// Those of the namespace, where [`limit_ranges`] says that they have a say.
    pub limit_ranges: Vec<Arc<Entry>>,
}

/// The limit ranges that have a say in what a request makes.
pub(crate) fn limit_ranges(call: &Call, verb: Verb) -> Vec<Arc<Entry>> {
    if call.info.subresource.is_some() || !limit_ranger::concerns(call.info.kind.stored(), verb) {
        return Vec::new();
    }
    let cache = call.registry.cache(&crate::kinds::limit_ranges::KIND);
    cache.snapshot(&format!("{}/", call.info.namespace)).0
}

impl Attributes<'_> {
    /// What refusals call the object: its name, or what its name will begin with.
    fn shown_name(&self) -> &str {
        let generated = || self.object.as_deref().map(|object| object.metadata.generate_name.as_str());
        if self.name.is_empty() { generated().unwrap_or_default() } else { self.name }
    }

    /// The spec of a pod that is being created.
    fn new_pod(&mut self) -> Option<&mut Object> {
        let is_pod = std::ptr::eq(self.kind, &crate::kinds::pods::KIND) && self.subresource.is_none();
        if is_pod && self.verb == Verb::Create { self.object.as_deref_mut() } else { None }
    }
}

type Admit = fn(&mut Attributes<'_>) -> Result<(), Status>;

static PLUGINS: &[(&str, Admit)] = &[
    ("NamespaceLifecycle", namespace_lifecycle::admit),
    ("LimitRanger", limit_ranger::admit),
    ("ServiceAccount", service_account::admit),
    ("Priority", priority::admit),
    ("DefaultTolerationSeconds", default_toleration_seconds::admit),
    ("CertificateSubjectRestriction", certificate_subject_restriction::admit),
];

/// The last one, which counts what is there.
const RESOURCE_QUOTA: &str = "ResourceQuota";

/// The one that is off unless it is enabled; it looks at who asks.
const NODE_RESTRICTION: &str = "NodeRestriction";

/// The plugins of one server: those that are on by default, but for those that were switched off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plugins {
    disabled: BTreeSet<String>,
    restricts_nodes: bool,
}

impl Plugins {
    /// From the lists of `--enable-admission-plugins` and `--disable-admission-plugins`.
    pub fn parse(enable: &str, disable: &str) -> Result<Plugins, String> {
        let names = |list: &str| -> Vec<String> {
            list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        };
        let (enabled, disabled) = (names(enable), names(disable));
        let known: Vec<&str> =
            PLUGINS.iter().map(|(name, _)| *name).chain([RESOURCE_QUOTA, NODE_RESTRICTION]).collect();
        if let Some(unknown) = enabled.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!(
                "enable-admission-plugins plugin {unknown:?} is unknown here; there are {}",
                known.join(", ")
            ));
        }
        match enabled.iter().find(|name| disabled.contains(name)) {
            Some(both) => Err(format!(
                "[{both:?}] in enable-admission-plugins and disable-admission-plugins overlapped"
            )),
            None => Ok(Plugins {
                restricts_nodes: enabled.iter().any(|name| name == NODE_RESTRICTION),
                disabled: disabled.into_iter().collect(),
            }),
        }
    }

    /// Refuses what a kubelet may not do, where NodeRestriction is on. `object` is none for a deletion.
    pub(crate) fn restrict_node(
        &self,
        call: &Call,
        verb: Verb,
        object: Option<&Object>,
    ) -> Result<(), Status> {
        if self.restricts_nodes { node_restriction::check(call, verb, object) } else { Ok(()) }
    }

    /// Whether [`resource_quota`] has a say.
    fn counts_quotas(&self) -> bool {
        !self.disabled.contains(RESOURCE_QUOTA)
    }

    /// Runs every plugin; the first refusal stands.
    pub(crate) fn admit(&self, mut attributes: Attributes<'_>) -> Result<(), Status> {
        let mut plugins = PLUGINS.iter().filter(|(name, _)| !self.disabled.contains(*name));
        plugins.try_for_each(|(_, admit)| admit(&mut attributes))
    }
}
