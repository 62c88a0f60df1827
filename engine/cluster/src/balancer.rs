//! How clients find an API server that listens: the load balancer in front of the replicas.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use labkit_client::{ApiServers, Transport};
use labkit_sim::Component;

/// The API servers that listen, by number. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Balancer {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    listening: BTreeMap<u8, (Component, Transport)>,
    last: u8,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.listening.keys()).finish()
    }
}

impl Balancer {
    pub fn join(&self, index: u8, component: Component, transport: Transport) {
        self.locked().listening.insert(index, (component, transport));
    }

    pub fn leave(&self, index: u8) {
        self.locked().listening.remove(&index);
    }

    pub fn is_empty(&self) -> bool {
        self.locked().listening.is_empty()
    }

    /// The server of that number, if it listens.
    pub fn transport(&self, index: u8) -> Option<Transport> {
        self.locked().listening.get(&index).map(|(_, transport)| transport.clone())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic happens under this lock")
    }
}

impl ApiServers for Balancer {
    /// One after the other.
    fn pick(&self) -> Option<(Component, Transport)> {
        let mut inner = self.locked();
        let next = inner.listening.range(inner.last.saturating_add(1)..).next();
        let (index, picked) = next.or_else(|| inner.listening.iter().next())?;
        let (index, picked) = (*index, picked.clone());
        inner.last = index;
        Some(picked)
    }
}
