//! Components by the names that faults, steps and `labkit status` use: `etcd/etcd1`, `apiServer/0`,
//! `controllerManager/0`, `scheduler/0`, `kubelet/worker1`, `node/worker1`.

use std::fmt;

/// One component of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A member of the store, by its name.
    Etcd(String),
    ApiServer(u8),
    ControllerManager(u8),
    Scheduler(u8),
    /// The kubelet's process; its containers run on when it stops.
    Kubelet(String),
    /// The machine: its power.
    Node(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Etcd(member) => write!(f, "etcd/{member}"),
            Target::ApiServer(index) => write!(f, "apiServer/{index}"),
            Target::ControllerManager(index) => write!(f, "controllerManager/{index}"),
            Target::Scheduler(index) => write!(f, "scheduler/{index}"),
            Target::Kubelet(node) => write!(f, "kubelet/{node}"),
            Target::Node(node) => write!(f, "node/{node}"),
        }
    }
}

impl Target {
    /// The name of its component in the world, and so in links and in the trace.
    pub fn component(&self) -> String {
        match self {
            Target::Etcd(member) => member.clone(),
            other => other.to_string(),
        }
    }

    /// Whether `text` names this one; a lone `scheduler` is `scheduler/0`, a bare `etcd1` is `etcd/etcd1`.
    pub(crate) fn is_called(&self, text: &str) -> bool {
        self.to_string() == text || self.component() == text || self.to_string() == format!("{text}/0")
    }
}
