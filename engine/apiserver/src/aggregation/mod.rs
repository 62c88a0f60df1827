//! Aggregation: groups for which another server answers. Counterpart: `k8s.io/kube-aggregator`.
//!
//! - `registration`: the APIServices of what is served here.
//! - `endpoint`: from an APIService to a port of a pod.
//! - `availability`: whether a server answers, and which resources it has.
//! - `proxy`: a request to such a group, passed on.
//!
//! Invariants: a group that is served here is never passed on. A server that is asked for nothing but built-in kinds does
//! not look at APIServices, and none is stored before somebody asks for one.

pub(crate) mod availability;
mod endpoint;
pub(crate) mod proxy;
pub(crate) mod registration;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};

use labkit_api::Object;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::backends::Backends;
use crate::custom::status;
use crate::kinds::{self, api_services};

/// A group and version for which another server answers.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub group: &'static str,
    pub version: &'static str,
    pub service: ServiceReference,
    pub is_available: bool,
    /// The resources that it named when it last answered: its `APIResourceList`.
    pub resources: Option<Arc<Value>>,
    priority: (i64, i64),
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceReference {
    pub namespace: String,
    pub name: String,
    pub port: i64,
}

/// What a server knows of other servers.
#[derive(Debug)]
pub(crate) struct Aggregation {
    pub backends: Arc<dyn Backends>,
    /// Set once the APIServices of what is served here are stored.
    pub registered: OnceCell<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What each APIService's server named, by the name of the APIService.
    resources: BTreeMap<String, Arc<Value>>,
    /// Grows with every change of `resources`.
    generation: u64,
    is_controlled: bool,
}

impl Aggregation {
    pub fn new(backends: Arc<dyn Backends>) -> Aggregation {
        Aggregation { backends, registered: OnceCell::new(), state: Mutex::default() }
    }

    /// Whether the caller is the first one here, who has to run the controller.
    pub fn claims_control(&self) -> bool {
        !std::mem::replace(&mut self.locked().is_controlled, true)
    }

    pub fn generation(&self) -> u64 {
        self.locked().generation
    }

    fn note_resources(&self, name: &str, resources: Value) {
        let mut state = self.locked();
        if state.resources.get(name).is_none_or(|known| **known != resources) {
            state.resources.insert(name.to_owned(), Arc::new(resources));
            state.generation += 1;
        }
    }

    /// The group and version of an APIService, if it names a service and nobody here answers for them.
    pub fn remote(&self, api_service: &Object) -> Option<Remote> {
        let text = |name: &str| api_service.str_at(&["spec", name]).unwrap_or_default();
        let (group, version) = (text("group"), text("version"));
        let service = ServiceReference::of(api_service)?;
        if group.is_empty() || kinds::is_served(group, version) {
            return None;
        }
        let priority = |name: &str| api_service.i64_at(&["spec", name]).unwrap_or_default();
        Some(Remote {
            group: lasting(group),
            version: lasting(version),
            service,
            is_available: status::is_true(api_service, api_services::AVAILABLE),
            resources: self.locked().resources.get(&api_service.metadata.name).cloned(),
            priority: (priority("groupPriorityMinimum"), priority("versionPriority")),
        })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic happens under this lock")
    }
}

impl Remote {
    /// By which groups and versions are ordered.
    pub fn rank(&self) -> (Reverse<i64>, &'static str, Reverse<i64>, &'static str) {
        (Reverse(self.priority.0), self.group, Reverse(self.priority.1), self.version)
    }
}

impl ServiceReference {
    pub fn of(api_service: &Object) -> Option<ServiceReference> {
        let service = api_service.at(&["spec", "service"])?;
        let text = |name: &str| service[name].as_str().unwrap_or_default().to_owned();
        let port = service["port"].as_i64().unwrap_or(443);
        Some(ServiceReference { namespace: text("namespace"), name: text("name"), port })
    }
}

/// The name of a group or version, which stays in memory for the life of the process.
fn lasting(name: &str) -> &'static str {
    static NAMES: LazyLock<Mutex<BTreeSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut names = NAMES.lock().expect("no panic happens under this lock");
    if let Some(known) = names.get(name) {
        return known;
    }
    let made: &'static str = name.to_owned().leak();
    names.insert(made);
    made
}
