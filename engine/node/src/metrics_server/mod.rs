//! The metrics server: a program that images can name. It asks every kubelet what its containers use, and answers for
//! `metrics.k8s.io/v1beta1`. Counterpart: `sigs.k8s.io/metrics-server`.
//!
//! - `storage`: the last two answers of each kubelet, and the rates between them.
//! - `serve`: its HTTP.
//!
//! Absent: TLS between it and the API server, watching pods and nodes (it lists them when it is asked).

mod serve;
mod storage;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use labkit_api::duration::parse_duration;
use labkit_api::{GroupVersionKind, Resource, Scope, UserInfo};
use labkit_client::{Client, ListParams};
use labkit_sim::World;

pub(crate) use self::serve::response;
use self::storage::Storage;
use crate::usage::ResourceMetrics;

/// What programs in containers reach beyond their machine; the cluster hands it in.
pub trait Outside: Send + Sync + Debug {
    /// A client of the API for a pod's service account. `None`: there is no cluster any more.
    fn client(&self, from: &str, user: UserInfo) -> Option<Client>;

    /// What a node's kubelet says that is used. The error is Go's.
    fn resource_metrics(&self, node: &str) -> BoxFuture<'static, Result<ResourceMetrics, String>>;
}

/// What its command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// `--secure-port`.
    pub port: u16,
    /// `--metric-resolution`.
    pub resolution: Duration,
}

/// One that runs.
#[derive(Debug)]
pub(crate) struct MetricsServer {
    world: World,
    client: Client,
    outside: Arc<dyn Outside>,
    pub options: Options,
    storage: Mutex<Storage>,
}

impl Options {
    /// Reads the flags that matter here; others do nothing.
    pub fn parse(words: &[String]) -> Options {
        let flag = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let port = flag("--secure-port").and_then(|port| port.parse().ok());
        let resolution = flag("--metric-resolution").and_then(|text| parse_duration(text).ok());
        let resolution = resolution.filter(|resolution| *resolution >= Duration::from_secs(10));
        Options { port: port.unwrap_or(10250), resolution: resolution.unwrap_or(Duration::from_secs(15)) }
    }
}

impl MetricsServer {
    pub fn new(world: &World, client: Client, outside: Arc<dyn Outside>, options: Options) -> MetricsServer {
        let storage = Mutex::new(Storage::new(options.resolution));
        MetricsServer { world: world.clone(), client, outside, options, storage }
    }

    /// Asks the kubelets again and again.
    pub async fn run(&self) -> std::convert::Infallible {
        let mut ticks = tokio::time::interval(self.options.resolution);
        loop {
            ticks.tick().await;
            let deadline = self.options.resolution.mul_f64(0.9);
            let _it_is_tried_again = tokio::time::timeout(deadline, self.scrape()).await;
        }
    }

    async fn scrape(&self) {
        let Ok(nodes) = self.client.list(&nodes(), &ListParams::default()).await else { return };
        let names: Vec<String> = nodes.items.into_iter().map(|node| node.metadata.name).collect();
        let asked = names.iter().map(|name| self.outside.resource_metrics(name));
        let answers = join_all(asked).await;
        let answers = names.into_iter().zip(answers).filter_map(|(name, answer)| Some((name, answer.ok()?)));
        self.storage.lock().expect("no panic happens under this lock").note(answers.collect());
    }
}

fn nodes() -> Resource {
    let gvk = GroupVersionKind::new("", "v1", "Node");
    Resource { gvk, plural: "nodes".to_owned(), scope: Scope::Cluster }
}

fn pods() -> Resource {
    let gvk = GroupVersionKind::new("", "v1", "Pod");
    Resource { gvk, plural: "pods".to_owned(), scope: Scope::Namespaced }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_it_does_not_know_or_cannot_read_do_nothing() {
        let parse =
            |words: &[&str]| Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let default = Options { port: 10250, resolution: Duration::from_secs(15) };
        assert_eq!(parse(&["--cert-dir=/tmp", "--metric-resolution=1s"]), default);
        let other = Options { port: 4443, resolution: Duration::from_secs(30) };
        assert_eq!(parse(&["--secure-port=4443", "--metric-resolution=30s"]), other);
    }
}
