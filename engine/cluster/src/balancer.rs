//! How clients find an API server that listens: the load balancer in front of the replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use labkit_api::UserInfo;
use labkit_client::{ApiServers, Transport};
use labkit_sim::Component;
use tokio::sync::oneshot;
use tower::ServiceExt;

/// HAProxy's defaults: a server is asked every two seconds, is out after three failures and in again after two answers.
const CHECK_PERIOD: Duration = Duration::from_secs(2);
const FAILURES: u8 = 3;
const SUCCESSES: u8 = 2;
/// Health as far as it is the server's own: an etcd without a majority is no reason to go elsewhere.
const CHECK: &str = "/readyz?exclude=etcd";

/// The API servers that listen, by number. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Balancer {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    listening: BTreeMap<u8, (Component, Transport)>,
    /// Those of which the last checks failed.
    out: BTreeSet<u8>,
    last: u8,
}

/// What is known of one server's health.
#[derive(Default)]
struct Health {
    is_out: bool,
    /// Checks in a row that say otherwise.
    contrary: u8,
    /// A question that was not answered in time, and may be still.
    pending: Option<oneshot::Receiver<bool>>,
}

impl Health {
    /// Asks the server, or waits on for what it was asked before.
    async fn check(&mut self, component: Component, transport: Transport) {
        let mut answer = self.pending.take().unwrap_or_else(|| ask(&component, transport));
        let is_well = match tokio::time::timeout(CHECK_PERIOD, &mut answer).await {
            Ok(answered) => answered.unwrap_or(false),
            Err(_) => {
                self.pending = Some(answer);
                false
            }
        };
        self.note(is_well);
    }

    fn note(&mut self, is_well: bool) {
        if is_well != self.is_out {
            self.contrary = 0;
            return;
        }
        self.contrary += 1;
        if self.contrary >= if self.is_out { SUCCESSES } else { FAILURES } {
            (self.is_out, self.contrary) = (!self.is_out, 0);
        }
    }
}

fn ask(component: &Component, transport: Transport) -> oneshot::Receiver<bool> {
    let (sender, receiver) = oneshot::channel();
    let mut request = http::Request::builder().uri(CHECK).body(Bytes::new()).expect("the path is valid");
    request.extensions_mut().insert(UserInfo::new("system:load-balancer", &["system:monitoring"]));
    component.spawn(async move {
        let Ok(response) = transport.oneshot(request).await;
        let _nobody_may_wait = sender.send(response.status().is_success());
    });
    receiver
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.listening.keys()).finish()
    }
}

impl Balancer {
    pub fn join(&self, index: u8, component: Component, transport: Transport) {
        let mut inner = self.locked();
        inner.listening.insert(index, (component, transport));
        inner.out.remove(&index);
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

    /// Checks the health of the servers for as long as it is polled. Those that fail get no new connections, unless all
    /// do.
    pub async fn check_health(self) {
        let mut known: BTreeMap<u8, Health> = BTreeMap::new();
        loop {
            tokio::time::sleep(CHECK_PERIOD).await;
            let listening = self.locked().listening.clone();
            known.retain(|index, _| listening.contains_key(index));
            for index in listening.keys() {
                known.entry(*index).or_default();
            }
            let checks = known.iter_mut().map(|(index, health)| {
                let (component, transport) = listening[index].clone();
                health.check(component, transport)
            });
            join_all(checks).await;
            let out = known.iter().filter(|(_, health)| health.is_out).map(|(index, _)| *index);
            self.locked().out = out.collect();
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic happens under this lock")
    }
}

impl ApiServers for Balancer {
    /// One after the other.
    fn pick(&self) -> Option<(Component, Transport)> {
        let mut inner = self.locked();
        let all_are_out = inner.listening.keys().all(|index| inner.out.contains(index));
        let is_in = |(index, _): &(&u8, _)| all_are_out || !inner.out.contains(*index);
        let next = inner.listening.range(inner.last.saturating_add(1)..).find(is_in);
        let (index, picked) = next.or_else(|| inner.listening.iter().find(is_in))?;
        let (index, picked) = (*index, picked.clone());
        inner.last = index;
        Some(picked)
    }
}
